# SPDX-License-Identifier: ISC
"""static/sse.js in Chromium, through nginx and lighttpd: what a page author writes and gets."""
import json
import os
import subprocess

import pytest

from browser import (NODE_MODULES, VENDOR, both_servers, chromium, gzipped_size,  # noqa: F401
                     need_npm, serve, site)
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
    fcgi_sse.wait_streams(4)


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
    fcgi_sse.wait_streams(1)
    tab.run("stream.close();")
    fcgi_sse.wait_streams(0)
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
    # it does not catch what comes of closing a stream that was cut
    chromium.expected_console = [r"eventsource\.min\.js.*network error"]
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
    fcgi_sse.wait_streams(0)
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
    fcgi_sse.wait_streams(1)
    fcgi_sse.kill_responders()
    fcgi_sse.wait_streams(0)
    for i in range(3):
        sse_publish(redis, "--event=news", "all", "<li>%d</li>" % i)
    tab.wait('news.innerText.split("\\n").join("") === "012"', show="document.body.innerHTML")


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
