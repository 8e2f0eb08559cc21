# SPDX-License-Identifier: ISC
"""static/sse.js in Chromium, through nginx and lighttpd: what a page author writes and gets."""
import hashlib
import json
import os
import signal
import subprocess
import time

import pytest

from browser import (NODE_MODULES, VENDOR, both_servers, chromium, gzipped_size, module_chromium,  # noqa: F401
                     need_npm, send_status, send_stream, serve, serve_bare, site, upstream)
from processes import TOP, clock, publish_ids, sse_publish
from webservers import STATIC

pytestmark = pytest.mark.chromium

SSE_JS = os.path.join(STATIC, "sse.js")
DIED = r"signal|kill|died|ended"
FIVE = '["open", "error", "message", "reset", "end"]'


def typed(type_, **more):
    return json.dumps(dict(more, type=type_))


# ---- the file

def test_small_and_old_fashioned():
    """sse.js is under 6 kB gzipped, in ES5 syntax, and asks for nothing from elsewhere."""
    assert gzipped_size(SSE_JS) < 6000
    acorn = os.path.join(NODE_MODULES, "acorn", "bin", "acorn")
    need_npm(acorn)
    subprocess.run(["node", acorn, "--ecma5", "--silent", SSE_JS], check=True)
    with open(SSE_JS, encoding="utf-8") as f:
        text = f.read()
    assert "http:" not in text and "https:" not in text


def test_vendor():
    """make vendor: pinned by hash and bound to no address; licences lie beside; make install leaves it out."""
    with open(os.path.join(TOP, "tools", "vendor", "package-lock.json"), encoding="utf-8") as f:
        lock = json.load(f)["packages"]
    for name, package in lock.items():
        assert name == "" or package["integrity"].startswith("sha512-") and "resolved" not in package, name
    need_npm(os.path.join(VENDOR, "jquery.min.js"))
    assert sorted(os.listdir(VENDOR)) == [
        "eventsource.LICENSE.md", "eventsource.min.js", "jquery.LICENSE.txt", "jquery.min.js"]
    files = subprocess.run(["make", "-n", "-C", TOP, "install"], check=True, stdout=subprocess.PIPE).stdout.decode()
    assert "static/sse.js" in files and "vendor" not in files
    ignored = subprocess.run(["git", "-C", TOP, "check-ignore", "-q", "static/vendor/jquery.min.js"])
    assert ignored.returncode in (0, 128)  # 128: no git work tree


# ---- one attribute

@both_servers
def test_one_attribute(redis, fcgi_sse, chromium, serve, site, server):
    """One script tag and one attribute: sse:TYPE with the parsed data, id, name and raw text beside it."""
    page = site.page("one.html", """
<body sse-data="/sse/?channels=all,foo">
<script>record(document.body, %s.concat("foo", "price"));</script></body>""" % FIVE)
    tab = chromium.open(serve(server, fcgi_sse).origin + page)
    tab.wait_log(1)
    ids = publish_ids(redis, "all", typed("foo", user="tug", n=[1, None]))
    ids += publish_ids(redis, "foo", "no { JSON")
    ids += publish_ids(redis, "all", "[1.5, true]")
    ids += publish_ids(redis, "foo", "line 1\nline 2")
    redis.publish("all", '["message", "{\\"type\\": \\"price\\", \\"p\\": 3}"]')
    log = tab.wait_log(6)
    assert [(e["type"], e["data"]) for e in log] == [
        ("open", None), ("foo", {"type": "foo", "user": "tug", "n": [1, None]}), ("message", "no { JSON"),
        ("message", [1.5, True]), ("message", "line 1\nline 2"), ("price", {"type": "price", "p": 3})]
    assert [int(e["id"]) for e in log[1:]] == ids + [clock(redis)]
    assert {e["name"] for e in log[1:]} == {"message"} and log[1]["raw"] == typed("foo", user="tug", n=[1, None])
    assert tab.js("document.body.sseStream.lastEventId") == str(clock(redis))


@both_servers
def test_several_elements(redis, fcgi_sse, chromium, serve, site, server):
    """Any element may carry the attribute, several may; sse-events names what EventSource must know in advance."""
    page = site.page("several.html", """
<body>
<p id="a" sse-data="/sse/?channels=a" sse-events="price, alert"></p>
<p id="b" sse-data="/sse/?channels=b"></p>
<script>
record(document.getElementById("a"), %s.concat("price", "alert", "other", "x"));
document.body.addEventListener("sse:message", function (e) {
	if (e.target.id === "b")
		note("bubbled", e.detail, { id: e.id });
});
</script></body>""" % FIVE)
    tab = chromium.open(serve(server, fcgi_sse).origin + page)
    tab.wait('a.sseStream.state === "open" && b.sseStream.state === "open"')
    sse_publish(redis, "--event=price", "a", "1")
    sse_publish(redis, "--event=other", "a", "nobody listens to this name")
    sse_publish(redis, "--event=alert", "a", typed("x"))  # the data's type goes first
    sse_publish(redis, "--event=price", "b", "not listed there")
    sse_publish(redis, "b", "2")
    tab.wait_log(4)
    assert [(e["type"], e["data"], e.get("name")) for e in tab.log() if e["type"] != "bubbled"] == [
        ("open", None, ""), ("price", 1, "price"), ("x", {"type": "x"}, "alert")]
    assert tab.data("bubbled") == [2]


@both_servers
def test_nobody_can_fake_a_control_event(redis, fcgi_sse, chromium, serve, site, server):
    """What publishers call open, error, reset or end, as type or as event name, arrives as sse:message."""
    need_npm(os.path.join(VENDOR, "jquery.min.js"))
    page = site.page("fake.html", """
<body sse-data="/sse/?channels=all" sse-events="open,error,reset,end">
<script>
record(document.body, %s.concat("done"));
["open", "error", "reset", "end", "open.plugin", "message"].forEach(function (type) {
	jQuery(document.body).on("sse." + type, function (e, data) {
		if (data)
			note("jquery " + type, data);
	});
});
</script></body>""" % FIVE, '<script src="/static/vendor/jquery.min.js"></script>')
    tab = chromium.open(serve(server, fcgi_sse).origin + page)
    tab.wait_log(1)
    names = ["open", "error", "reset", "end"]
    for name in names:
        sse_publish(redis, "all", typed(name))
        sse_publish(redis, "--event=" + name, "all", typed("", name=name))
    # what jQuery would take for a regular expression, or for more namespaces
    for name in ["o.en", "ope[n]", "(", "open.plugin", "plugin.open", "..", "o?pen|open"]:
        sse_publish(redis, "all", typed(name))
    sse_publish(redis, "all", typed("done"))
    tab.wait('log.some(function (e) { return e.type === "done"; })')
    assert {e["type"] for e in tab.log()} == {"open", "message", "done", "jquery message"}
    assert tab.noted("open") == [{"type": "open", "data": None, "id": "", "name": "", "raw": None}]
    assert [d.get("name", d["type"]) for d in tab.data("message")] == [n for name in names for n in (name, name)]
    assert len(tab.data("jquery message")) == 8 + 2  # the two with a dot
    assert tab.js("document.body.sseStream.state") == "open"


@both_servers
def test_reset_and_position_in_the_page(redis, start_fcgi_sse, chromium, serve, site, server):
    """data-last-event-id, or a position in the URL, is where the stream begins; sse:reset says what is gone."""
    fcgi_sse = start_fcgi_sse(redis, "--history-count=2")
    ids = [publish_ids(redis, "all", str(i))[0] for i in range(4)]
    server = serve(server, fcgi_sse)
    body = """
<body sse-data="/sse/?%s" %s><script>record(document.body, """ + FIVE + """);</script></body>"""
    attribute = chromium.open(server.origin + site.page(
        "attribute.html", body % ("channels=all", 'data-last-event-id="%d"' % ids[2])))
    assert [e["data"] for e in attribute.wait_log(2)] == [None, 3]
    parameter = chromium.open(server.origin + site.page(
        "parameter.html", body % ("last_event_id=%d&amp;channels=all" % ids[0], "")))
    log = parameter.wait_log(4)
    assert [e["type"] for e in log] == ["open", "reset", "message", "message"]
    assert log[1]["data"] == {"channels": ["all"], "reason": "trimmed", "id": str(ids[3])}
    assert [e["data"] for e in log[2:]] == [2, 3]


@both_servers
def test_store_emptied(redis, start_fcgi_sse, chromium, serve, site, server):
    """The store is emptied under an open stream: sse:reset, and the position is its beginning, not the old one."""
    page = site.page("emptied.html", """
<body sse-data="/sse/?channels=all"><script>record(document.body, %s);</script></body>""" % FIVE)
    tab = chromium.open(serve(server, start_fcgi_sse(redis, "--heartbeat=1")).origin + page)
    tab.wait_log(1)
    publish_ids(redis, "all", "1")
    tab.wait_log(2)
    redis.client.flushall()
    log = tab.wait_log(3)
    assert log[2]["type"] == "reset" and log[2]["data"]["reason"] == "flushed"
    assert tab.js("document.body.sseStream.lastEventId") == "0"
    [id_] = publish_ids(redis, "all", "2")
    tab.wait_log(4)
    assert tab.js("document.body.sseStream.lastEventId") == str(id_)


def test_events_without_an_id(redis, start_fcgi_sse, chromium, serve, site):
    """What nobody records has no id, whatever the stream's position is when it comes."""
    server = serve("nginx", start_fcgi_sse(redis, "--record=none"))
    before, first = publish_ids(redis, "--lines", "all", stdin=b"before\n0\n")
    [newest] = publish_ids(redis, "other", "the clock goes on")
    tab = chromium.open(server.origin + site.page("noid.html", """
<body sse-data="/sse/?channels=all" data-last-event-id="%d"><script>record(document.body, %s);</script></body>""" % (
        before, FIVE)))
    tab.wait_log(2)
    tab.wait("document.body.sseStream.lastEventId === '%d'" % newest)
    for i in (1, 2):
        redis.publish("all", str(i))
    [last] = publish_ids(redis, "all", "3")
    redis.publish("all", "4")
    assert [(e["data"], e["id"]) for e in tab.wait_log(6)[1:]] == [
        (0, str(first)), (1, ""), (2, ""), (3, str(last)), (4, "")]


def test_names_that_objects_inherit(redis, fcgi_sse, chromium, serve, site):
    """An event may be called what every JavaScript object has."""
    names = ["constructor", "toString", "hasOwnProperty", "valueOf", "__proto__"]
    tab = chromium.open(serve("nginx", fcgi_sse).origin + site.page("names.html", """
<body sse-data="/sse/?channels=all" sse-events="%s"><script>record(document.body, %s);</script></body>""" % (
        ",".join(names), json.dumps(["open"] + names))))
    tab.wait_log(1)
    for name in names:
        sse_publish(redis, "--event=" + name, "all", "x")
    assert [e["type"] for e in tab.wait_log(1 + len(names))[1:]] == names


def test_position_zero(redis, fcgi_sse, chromium, serve, site):
    """lastEventId: 0, the number, is a position: all that is kept."""
    publish_ids(redis, "--lines", "all", stdin=b"1\n2\n")
    tab = chromium.open(serve("nginx", fcgi_sse).origin + site.page("zero.html", """<body><script>
SSE.connect("/sse/?channels=all", { lastEventId: 0 }).on("*", function (data) {
	note("any", data);
});
</script></body>"""))
    assert [e["data"] for e in tab.wait_log(2)] == [1, 2]


@pytest.mark.parametrize("position, reason", [("%31%35", "flushed"), ("%zz", "unknown")])
def test_encoded_position(redis, fcgi_sse, chromium, serve, site, position, reason):
    """A position in the page's URL is decoded once; one that cannot be is unknown, and said to be."""
    tab = chromium.open(serve("nginx", fcgi_sse).origin + site.page("encoded.html", """
<body sse-data="/sse/?channels=all&amp;lastEventId=%s"><script>record(document.body, %s);</script></body>""" % (
        position, FIVE)))
    tab.wait_log(1)
    publish_ids(redis, "all", "1")
    log = tab.wait_log(3)
    assert [e["type"] for e in log] == ["open", "reset", "message"] and log[1]["data"]["reason"] == reason


@pytest.mark.parametrize("share", ["false", "true"])
def test_no_url(fcgi_sse, chromium, serve, site, share):
    """An address that is none: one sse:error that says it is final, with sse-share, too."""
    tab = chromium.open(serve("nginx", fcgi_sse).origin + site.page("nourl.html", """<body><script>
addEventListener("unhandledrejection", function (e) {
	note("unhandled", String(e.reason));
});
var stream = SSE.connect("http://", { share: %s }).on("error", function (data) {
	note("error", data, { state: this.state });
});</script></body>""" % share))
    assert tab.wait_log(1) == [{"type": "error", "data": {"status": 0, "retry": False}, "state": "closed"}]


def test_later_element(redis, fcgi_sse, chromium, serve, site):
    """SSE.scan(element) opens the stream of an element that came later, and those within it, also where it is in no
    page yet; others it leaves alone."""
    tab = chromium.open(serve("nginx", fcgi_sse).origin + site.page("later.html", "<body></body>"))
    tab.run("""
document.body.innerHTML = "<p sse-data='/sse/?channels=all'></p><div sse-data='/sse/?channels=all'></div>";
var sibling = document.body.firstChild, later = document.body.lastChild;
later.innerHTML = "<p sse-data='/sse/?channels=all'></p>";
SSE.scan(later);
var streams = [later.sseStream, later.firstChild.sseStream];
SSE.scan(later);
window.same = streams[0] === later.sseStream && streams[0] && streams[1] && streams[0] !== streams[1];
window.alone = !sibling.sseStream;
var fragment = document.createDocumentFragment(), detached = document.createElement("p");
detached.setAttribute("sse-data", "/sse/?channels=all");
SSE.scan(detached);
fragment.appendChild(sibling);
SSE.scan(fragment);
window.elsewhere = detached.sseStream && sibling.sseStream;""")
    assert tab.js("same && alone && !!elsewhere")
    fcgi_sse.wait_responders(4)


# ---- the API, jQuery, the polyfill, htmx

@both_servers
def test_api(redis, fcgi_sse, chromium, serve, site, server):
    """SSE.connect(): on(), "*", close(); a handler that throws hurts no other."""
    page = site.page("api.html", """
<body><script>
var stream = SSE.connect("/sse/?channels=all#here", { events: ["price"] })
	.on("open", function () {
		note("open", this.state);
	})
	.on("foo", function () {
		throw new Error("a page's mistake");
	})
	.on("foo", function (data, message) {
		note("foo", data, message);
	})
	.on("*", function (data, message) {
		note("any", message.raw);
	});
</script></body>""")
    chromium.expected_console = ["a page's mistake"]
    tab = chromium.open(serve(server, fcgi_sse).origin + page)
    tab.wait_log(1)
    [id_] = publish_ids(redis, "all", typed("foo"))
    sse_publish(redis, "--event=price", "all", "1.10")
    log = tab.wait_log(4)
    assert log == [{"type": "open", "data": "open"},
                   {"type": "foo", "data": {"type": "foo"}, "id": str(id_), "name": "message", "raw": typed("foo")},
                   {"type": "any", "data": typed("foo")}, {"type": "any", "data": "1.10"}]
    fcgi_sse.wait_responders(1)
    tab.run("stream.close();")
    fcgi_sse.wait_responders(0)
    assert tab.js("stream.state") == "closed"


@both_servers
def test_jquery(redis, fcgi_sse, chromium, serve, site, server):
    """A page of tornado-sse, with real jQuery: sse.open, sse.error, sse.TYPE with (event, msg)."""
    need_npm(os.path.join(VENDOR, "jquery.min.js"))
    server = serve(server, fcgi_sse)
    tab = chromium.open(server.origin + "/static/pages/tornado.html")
    tab.wait_log(1)
    redis.publish("all", '["message", "{\\"type\\": \\"foo\\", \\"user\\": \\"tug\\"}"]')
    redis.publish("foo", "no JSON")
    redis.publish("all", '["message", "[1, [2]]"]')
    redis.publish("all", '["message", "{\\"type\\": \\"x.y\\"}"]')
    tab.wait_log(5)
    server.stop()
    log = tab.wait_log(6)
    assert log[:6] == [
        {"type": "open", "data": None}, {"type": "foo", "data": {"type": "foo", "user": "tug"}},
        {"type": "message", "data": "no JSON"}, {"type": "message", "data": [1, [2]]},
        {"type": "x.y", "data": {"type": "x.y"}}, {"type": "error", "data": {"status": 0, "retry": True}}]


@both_servers
def test_polyfill(redis, start_fcgi_sse, chromium, serve, site, server):
    """Without EventSource, vendor/eventsource.min.js is loaded and does the same, resume too."""
    need_npm(os.path.join(VENDOR, "eventsource.min.js"))
    fcgi_sse = start_fcgi_sse(redis, "--retry=1000", "--heartbeat=1").expect_log(DIED)
    page = site.page("polyfill.html", """
<body sse-data="/sse/?channels=all" sse-events="price">
<script>record(document.body, %s.concat("price"));</script></body>""" % FIVE,
                     "<script>delete window.EventSource;</script>")
    tab = chromium.open(serve(server, fcgi_sse).origin + page)
    tab.wait_log(1)
    assert tab.js("!!window.EventSourcePolyfill && window.EventSource === window.EventSourcePolyfill")
    ids = publish_ids(redis, "all", "1")
    sse_publish(redis, "--event=error", "all", "2")
    tab.wait_log(3)
    fcgi_sse.kill_responders()
    fcgi_sse.wait_responders(0)
    sse_publish(redis, "--event=price", "all", "3")
    tab.wait_log(6)
    assert [e["type"] for e in tab.log()] == ["open", "message", "message", "error", "open", "price"]
    assert tab.data("message", "price") == [1, 2, 3] and tab.log()[1]["id"] == str(ids[0])


@both_servers
def test_no_eventsource_at_all(redis, fcgi_sse, chromium, serve, site, server):
    """With neither EventSource nor the polyfill: one sse:error that says it is final."""
    os.makedirs(site.path + "/alone")
    os.symlink(SSE_JS, site.path + "/alone/sse.js")
    page = site.page("none.html", """
<body sse-data="/sse/?channels=all"><script>record(document.body, %s);</script></body>""" % FIVE,
                     """<script>delete window.EventSource;</script><script src="/static/alone/sse.js"></script>""")
    tab = chromium.open(serve(server, fcgi_sse).origin + page)
    [entry] = tab.wait_log(1)
    assert (entry["type"], entry["data"]) == ("error", {"status": 0, "retry": False})
    assert tab.js("document.body.sseStream.state") == "closed"


@both_servers
def test_htmx(redis, start_fcgi_sse, chromium, serve, site, server):
    """htmx with its sse extension (no script of ours): sse-connect, sse-swap by event name, resume."""
    need_npm(os.path.join(NODE_MODULES, "htmx-ext-sse", "dist", "sse.js"))
    fcgi_sse = start_fcgi_sse(redis, "--retry=50").expect_log(DIED)
    tab = chromium.open(serve(server, fcgi_sse).origin + "/static/pages/htmx.html")
    tab.wait("opened === 1")
    redis.publish("all", '["price", "<b>1.10</b>"]')
    tab.wait('price.innerHTML === "<b>1.10</b>"', show="document.body.innerHTML")
    fcgi_sse.wait_responders(1)
    fcgi_sse.kill_responders()
    fcgi_sse.wait_responders(0)
    for i in range(3):
        sse_publish(redis, "--event=news", "all", "<li>%d</li>" % i)
    tab.wait('news.innerText.split("\\n").join("") === "012"', show="document.body.innerHTML")


# ---- coming back, and giving up

@both_servers
def test_web_server_away_for_3_s(redis, start_fcgi_sse, chromium, serve, site, run, server):
    """The web server is stopped for 3 s and started again: sse:error, then all that was published meanwhile."""
    web_server = serve(server, start_fcgi_sse(redis, "--retry=500"))
    page = site.page("away.html", """
<body sse-data="/sse/?channels=all"><script>record(document.body, %s);</script></body>""" % FIVE)
    tab = chromium.open(web_server.origin + page)
    tab.wait_log(1)
    ids = publish_ids(redis, "all", "0")
    tab.wait_log(2)
    web_server.stop()
    tab.run("window.gone = Date.now();")
    for i in range(1, 20):
        ids += publish_ids(redis, "all", str(i))
    tab.wait("Date.now() - gone > 3000")
    run(server, web_server.argv)
    tab.wait('log.filter(function (e) { return e.type === "open"; }).length === 2', 20)
    ids += publish_ids(redis, "all", "20")
    tab.wait('log.filter(function (e) { return e.type === "message"; }).length === 21')
    assert tab.data("message") == list(range(21)) and [int(e["id"]) for e in tab.noted("message")] == ids
    assert all(e["data"] == {"status": 0, "retry": True} for e in tab.noted("error"))


def kill_all(fcgi_sse):
    """The daemon and its streams are gone at once, and tell nobody when to come back."""
    pids = fcgi_sse.responders()
    fcgi_sse.kill()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


@both_servers
@pytest.mark.parametrize("first", ["after an event", "before any event"])
def test_closed_by_a_5xx(redis, start_fcgi_sse, chromium, serve_bare, site, server, first):
    """A 502 or 503 makes EventSource give up; sse.js asks with HEAD, backs off, goes on from where it was."""
    fcgi_sse = start_fcgi_sse(redis, "--retry=50")
    at = publish_ids(redis, "all", "before it joined")
    web_server = serve_bare(server, fcgi_sse)
    page = site.page("5xx.html", """
<body><script>
var stream = SSE.connect("/sse/?channels=all", { retry: 100 });
["open", "error", "message"].forEach(function (type) {
	stream.on(type, function (data, message) {
		note(type, data, { id: message.id });
	});
});
</script></body>""")
    tab = chromium.open(web_server.origin + page)
    tab.wait_log(1)
    ids = []
    if first == "after an event":
        ids = at = publish_ids(redis, "all", "0")
    tab.wait("stream.lastEventId === '%d'" % at[0], 3)
    kill_all(fcgi_sse)
    tab.wait('log.some(function (e) { return e.type === "error" && e.data.status >= 500; })')
    ids = ids + publish_ids(redis, "--lines", "all", stdin=b"1\n2\n")
    start_fcgi_sse(redis, "--retry=50", socket_path=fcgi_sse.socket_path)
    tab.wait('log.filter(function (e) { return e.type === "message"; }).length === %d' % len(ids), 20)
    assert [int(e["id"]) for e in tab.noted("message")] == ids
    errors = tab.data("error")
    # 0: cut; 200: it was back by the time of the question
    assert {e["status"] for e in errors} <= {0, 200, 500, 502, 503} and all(e["retry"] for e in errors)
    assert ("HEAD", "/sse/?channels=all&heartbeat=event&lastEventId=%d" % at[0]) in web_server.requests()


@both_servers
@pytest.mark.parametrize("status", [204, 403, 404])
def test_gives_up(redis, fcgi_sse, chromium, serve_bare, upstream, site, server, status):
    """After 204 and 4xx it does not come back: one sse:error with the status."""
    upstream.answers["/upstream/"] = lambda handler: send_status(handler, status)
    page = site.page("gives-up.html", """
<body><script>
var stream = SSE.connect("/upstream/", { retry: 1 }).on("error", function (data) {
	note("error", data, { state: this.state });
});
</script></body>""")
    tab = chromium.open(serve_bare(server, fcgi_sse, upstream).origin + page)
    assert tab.wait_log(1) == [{"type": "error", "data": {"status": status, "retry": False}, "state": "closed"}]
    # had it backed off instead, it would have come back within a millisecond
    tab.run("window.then = performance.now();")
    tab.wait("performance.now() - then > 300")
    assert [command for command, _, _ in upstream.requests] == ["GET", "HEAD"] and len(tab.log()) == 1


@both_servers
def test_backs_off(redis, fcgi_sse, chromium, serve_bare, upstream, site, server):
    """Refused with 503 again and again, it waits ever longer, from half of the delay on."""
    times = []

    def answer(handler):
        if handler.command == "GET":
            times.append(time.monotonic())
        if len(times) < 6 or handler.command == "HEAD":
            send_status(handler, 503)
        else:
            send_stream(handler, "event: stream-end\ndata: {}\n\n")

    upstream.answers["/upstream/"] = answer
    page = site.page("backs-off.html", """
<body><script>
var stream = SSE.connect("/upstream/", { retry: 40 }).on("end", function (data) {
	note("end", data);
});
</script></body>""")
    chromium.open(serve_bare(server, fcgi_sse, upstream).origin + page).wait_log(1)
    gaps = [b - a for a, b in zip(times, times[1:])]
    assert all(gap > 0.020 * 2 ** i for i, gap in enumerate(gaps)), gaps


@both_servers
def test_asks_with_the_same_credentials(redis, fcgi_sse, chromium, serve, serve_bare, upstream, site, server):
    """The question by HEAD carries the cookies that the stream's request carried, and only those."""
    def answer(handler):
        handler.send_response(404)
        handler.send_header("Access-Control-Allow-Origin", handler.headers["Origin"])
        handler.send_header("Access-Control-Allow-Credentials", "true")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    upstream.answers["/upstream/with"] = upstream.answers["/upstream/without"] = answer
    page = site.page("credentials.html", """
<body>
<p sse-data="%(there)s/upstream/with" sse-credentials></p><p sse-data="%(there)s/upstream/without"></p>
<script>
document.cookie = "who=me; path=/";
document.querySelectorAll("p").forEach(function (p) {
	record(p, ["error"]);
});
</script></body>""" % {"there": serve_bare(server, fcgi_sse, upstream).origin})
    tab = chromium.open(serve("lighttpd", fcgi_sse).origin + page)
    for entry in tab.wait_log(2):
        assert entry["data"] == {"status": 404, "retry": False}
    assert sorted((method, path.split("?")[0], headers.get("Cookie")) for method, path, headers in upstream.requests) == [
        ("GET", "/upstream/with", "who=me"), ("GET", "/upstream/without", None),
        ("HEAD", "/upstream/with", "who=me"), ("HEAD", "/upstream/without", None)]


@both_servers
def test_refused_channel(redis, fcgi_sse, chromium, serve, site, server):
    """A channel that may not be read: fcgi-sse's own 403 reaches the page through our set-ups."""
    fcgi_sse.expect_log("refused")
    page = site.page("refused.html", """
<body sse-data="/sse/?channels=secret"><script>record(document.body, %s);</script></body>""" % FIVE)
    tab = chromium.open(serve(server, fcgi_sse, SSE_ALLOW="all,foo").origin + page)
    [entry] = tab.wait_log(1)
    assert (entry["type"], entry["data"]) == ("error", {"status": 403, "retry": False})


@both_servers
def test_session_ends(redis, start_fcgi_sse, chromium, serve, site, server):
    """The session ends: sse:end, and nobody comes back; a page without a session gets the 403."""
    fcgi_sse = start_fcgi_sse(redis, "--retry=1").expect_log("refused|session|SSE_")
    key = "sse:session:" + hashlib.sha256(b"0123456789abcdef0123").hexdigest()
    redis.client.set(key, '{"user":"admin","channels":["admin"]}', ex=100)
    web_server = serve(server, fcgi_sse, SSE_SESSION_COOKIE="sid")
    page = site.page("session.html", """
<body sse-data="/sse/"><script>record(document.body, %s);</script></body>""" % FIVE,
                     "<script>document.cookie = 'sid=0123456789abcdef0123; path=/';</script>")
    tab = chromium.open(web_server.origin + page)
    tab.wait_log(1)
    sse_publish(redis, "admin", "x")
    tab.wait_log(2)
    redis.client.delete(key)
    redis.publish(key, "")
    log = tab.wait_log(3)
    assert [e["type"] for e in log] == ["open", "message", "end"] and log[2]["data"]["reason"]
    assert tab.js("document.body.sseStream.state") == "closed"
    fcgi_sse.wait_responders(0)
    [entry] = chromium.open(web_server.origin + page).wait_log(1)
    assert (entry["type"], entry["data"]) == ("error", {"status": 403, "retry": False})
    assert len(tab.log()) == 3


@both_servers
def test_stream_end(redis, fcgi_sse, chromium, serve_bare, upstream, site, server):
    """After stream-end the browser would come back at once; sse.js does not."""
    upstream.answers["/upstream/"] = lambda handler: send_stream(
        handler, 'retry: 1\n\nid: 5\ndata: x\n\nevent: stream-end\ndata: {"reason":"session"}\n\n')
    page = site.page("end.html", """
<body sse-data="/upstream/"><script>record(document.body, %s);</script></body>""" % FIVE)
    tab = chromium.open(serve_bare(server, fcgi_sse, upstream).origin + page)
    log = tab.wait_log(3)
    assert [(e["type"], e["data"]) for e in log] == [("open", None), ("message", "x"), ("end", {"reason": "session"})]
    tab.run("window.then = performance.now();")
    tab.wait("performance.now() - then > 300")
    assert len(upstream.requests) == 1 and len(tab.log()) == 3


@both_servers
def test_watchdog(redis, start_fcgi_sse, chromium, serve, site, server):
    """A stream that is silent for 2.5 heartbeats is opened anew, from the last id."""
    fcgi_sse = start_fcgi_sse(redis, "--heartbeat=1").expect_log(DIED)
    page = site.page("watchdog.html", """
<body sse-data="/sse/?channels=all"><script>record(document.body, %s);</script></body>""" % FIVE)
    tab = chromium.open(serve(server, fcgi_sse).origin + page)
    tab.wait_log(1)
    ids = publish_ids(redis, "all", "1")
    tab.wait_log(2)
    [silent] = fcgi_sse.responders()
    os.kill(silent, signal.SIGSTOP)  # half-open: nothing comes, nothing is closed
    try:
        ids += publish_ids(redis, "all", "2")
        log = tab.wait_log(5)
    finally:
        os.kill(silent, signal.SIGKILL)
    assert [e["type"] for e in log] == ["open", "message", "error", "open", "message"]
    assert [int(e["id"]) for e in log if e["type"] == "message"] == ids


@both_servers
def test_from_another_origin(redis, fcgi_sse, chromium, serve, site, server):
    """A page of another origin: open streams without credentials; with them where SSE_ORIGIN names it."""
    here = serve("lighttpd", fcgi_sse)
    there = serve(server, fcgi_sse)
    named = serve(server, fcgi_sse, SSE_ALLOW="*", SSE_ORIGIN=here.origin)
    page = site.page("origin.html", """
<body>
<p id="plain" sse-data="%(there)s/sse/?channels=all"></p>
<p id="trusted" sse-data="%(named)s/sse/?channels=all" sse-credentials></p>
<p id="refused" sse-data="%(there)s/sse/?channels=all" sse-credentials></p>
<script>
["plain", "trusted", "refused"].forEach(function (id) {
	document.getElementById(id).addEventListener("sse:message", function (e) {
		note(id, e.detail);
	});
});
</script></body>""" % {"there": there.origin, "named": named.origin})
    tab = chromium.open(here.origin + page)
    tab.wait('plain.sseStream.state === "open" && trusted.sseStream.state === "open"')
    sse_publish(redis, "all", "x")
    assert sorted(e["type"] for e in tab.wait_log(2)) == ["plain", "trusted"]
    assert tab.js("refused.sseStream.state") == "connecting"
