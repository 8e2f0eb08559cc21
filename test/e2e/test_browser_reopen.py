# SPDX-License-Identifier: ISC
"""static/sse.js: when it comes back, and when it gives up."""
import hashlib
import os
import signal
import time

import pytest

from browser import (both_servers, chromium, send_status, send_stream, serve,  # noqa: F401
                     serve_bare, site, upstream)
from processes import publish_ids, sse_publish, wait_until

pytestmark = pytest.mark.chromium

DIED = r"signal|kill|died|ended"
FIVE = '["open", "error", "message", "reset", "end"]'


@both_servers
def test_web_server_away(redis, start_fcgi_sse, chromium, serve, site, run, server):
    """The web server is stopped for a while and started again: sse:error, then all that was published meanwhile."""
    web_server = serve(server, start_fcgi_sse(redis, "--retry=200"))
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
    tab.wait("Date.now() - gone > 1000")  # some tries
    run(server, web_server.argv)
    tab.wait('log.filter(function (e) { return e.type === "open"; }).length === 2')
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
    tab.wait("stream.lastEventId === '%d'" % at[0])
    kill_all(fcgi_sse)
    tab.wait('log.some(function (e) { return e.type === "error" && e.data.status >= 500; })')
    ids = ids + publish_ids(redis, "--lines", "all", stdin=b"1\n2\n")
    start_fcgi_sse(redis, "--retry=50", socket_path=fcgi_sse.socket_path)
    tab.wait('log.filter(function (e) { return e.type === "message"; }).length === %d' % len(ids))
    assert [int(e["id"]) for e in tab.noted("message")] == ids
    errors = tab.data("error")
    # 0: cut; 200: it was back by the time of the question
    assert {e["status"] for e in errors} <= {0, 200, 500, 502, 503} and all(e["retry"] for e in errors)
    asked = ("HEAD", "/sse/?channels=all&heartbeat=event&lastEventId=%d" % at[0])
    wait_until(lambda: asked in web_server.requests(), what=lambda: "%r in %r" % (asked, web_server.requests()))


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
    fcgi_sse.wait_streams(0)
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


def test_slow_event(redis, fcgi_sse, chromium, serve_bare, upstream, site):
    """An event that takes longer to arrive than the watchdog permits arrives all the same, and once."""
    def answer(handler):
        send_stream(handler, "id: 7\nevent: stream-heartbeat\ndata: 0.4\n\n")
        if "lastEventId=7" in handler.path:
            for piece in ["id: 8\ndata: "] + 15 * ["x"] + ["\n\n"]:
                handler.wfile.write(piece.encode())
                time.sleep(0.1)
        handler.rfile.read()  # until the browser leaves

    upstream.answers["/upstream/"] = answer
    page = site.page("slow.html", """
<body><script>
var stream = SSE.connect("/upstream/", { retry: 1, lastEventId: 7 });
["open", "error", "message"].forEach(function (type) {
	stream.on(type, function (data) {
		note(type, data);
	});
});
</script></body>""")
    tab = chromium.open(serve_bare("nginx", fcgi_sse, upstream).origin + page)
    log = tab.wait_log(4)
    assert [(e["type"], e["data"]) for e in log] == [
        ("open", None), ("error", {"status": 0, "retry": True}), ("open", None), ("message", 15 * "x")]
