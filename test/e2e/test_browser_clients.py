# SPDX-License-Identifier: ISC
"""What pages use beside EventSource: cut before its first event, each comes back from where it joined, and what is
handed to a handler is JSON."""
import os
import urllib.parse

import pytest

from browser import NODE_MODULES, both_servers, chromium, need_npm, serve, site  # noqa: F401
from firefox import firefox  # noqa: F401
from processes import publish_ids, wait_until

pytestmark = pytest.mark.chromium

DIED = r"signal|kill|died|ended"


@pytest.fixture(params=["chromium", "firefox"])
def browser(request):
    return request.getfixturevalue(request.param)


def cut(redis, fcgi_sse, *argv):
    """All streams are cut, and what is published meanwhile: its id."""
    fcgi_sse.kill_responders()
    wait_until(lambda: redis.channel_subscribers("sse:event:all") == 0)
    return publish_ids(redis, *argv)[0]


@both_servers
def test_sse_js(redis, start_fcgi_sse, browser, serve, site, server):
    """Our sse.js: cut before its first event, the cursor is kept."""
    fcgi_sse = start_fcgi_sse(redis).expect_log(DIED)
    page = site.page("newcomer.html", """
<body><script>
var stream = SSE.connect("/sse/?channels=all", { retry: 100 });
["open", "error", "message", "reset"].forEach(function (type) {
	stream.on(type, function (data, message) {
		note(type, data, { id: message.id });
	});
});
</script></body>""")
    [before] = publish_ids(redis, "all", "before it joined")
    tab = browser.open(serve(server, fcgi_sse).origin + page)
    tab.wait("stream.lastEventId === '%d'" % before)
    missed = cut(redis, fcgi_sse, "all", '{"n": 1}')
    log = tab.wait_log(4)
    assert [e["type"] for e in log] == ["open", "error", "open", "message"]
    assert (log[3]["data"], log[3]["id"]) == ({"n": 1}, str(missed))


@both_servers
def test_npm_sse_js(redis, start_fcgi_sse, browser, serve, server, loop):
    """npm's sse.js, the farewell and a heartbeat too."""
    need_npm(os.path.join(NODE_MODULES, "sse.js", "lib", "sse.js"))
    options = ["--retry=100", "--heartbeat=1", "--drain=1"]
    fcgi_sse = start_fcgi_sse(redis, *options).expect_log(DIED)
    [before] = publish_ids(redis, "all", "before it joined")
    tab = browser.open(serve(server, fcgi_sse).origin + "/static/pages/npm-sse.html?url=" +
                       urllib.parse.quote("/sse/?channels=all"))
    position = {"type": "stream-position", "data": before, "id": str(before)}
    assert tab.wait_log(2) == [position, position]
    missed = cut(redis, fcgi_sse, "all", '{"n": 1}')
    tab.wait('log.some(function (e) { return e.type === "message"; })')
    assert tab.log()[2] == position and tab.log()[3] == {"type": "message", "data": {"n": 1}, "id": str(missed)}
    heartbeats = loop.live(fcgi_sse, "all")
    heartbeats.wait_for(lambda s: len(s.comments) >= 2)
    heartbeats.close()
    fcgi_sse.stop()
    tab.wait('log.filter(function (e) { return e.type === "stream-retry"; }).length === 2')
    assert {e["type"] for e in tab.log()[4:]} <= {"stream-position", "stream-retry"}


@both_servers
def test_htmx_2(redis, start_fcgi_sse, browser, serve, server):
    """htmx 2 and its extension."""
    need_npm(os.path.join(NODE_MODULES, "htmx-ext-sse", "dist", "sse.js"))
    fcgi_sse = start_fcgi_sse(redis, "--retry=100").expect_log(DIED)
    [before] = publish_ids(redis, "all", "before it joined")
    tab = browser.open(serve(server, fcgi_sse).origin + "/static/pages/htmx.html")
    tab.wait('document.getElementById("position").innerText === "%d"' % before, show="document.body.innerHTML")
    cut(redis, fcgi_sse, "--event=news", "all", "<li>1</li>")
    tab.wait('document.getElementById("news").innerText === "1"', show="document.body.innerHTML")


@both_servers
def test_htmx_4(redis, start_fcgi_sse, browser, serve, server):
    """htmx 4 and its extension; nothing of ours is put into the page."""
    need_npm(os.path.join(NODE_MODULES, "htmx4", "dist", "ext", "hx-sse.min.js"))
    fcgi_sse = start_fcgi_sse(redis, "--retry=100", "--drain=1").expect_log(DIED)
    [before] = publish_ids(redis, "all", "before it joined")
    tab = browser.open(serve(server, fcgi_sse).origin + "/static/pages/htmx4.html")
    position = {"type": "stream-position", "data": before, "id": str(before)}
    assert tab.wait_log(2) == [position, position]
    cut(redis, fcgi_sse, "all", "<li>1</li>")
    tab.wait('document.getElementById("news").innerHTML === "<li>1</li>"', show="document.body.innerHTML")
    publish_ids(redis, "--event=price", "all", "1.10")
    tab.wait('log.some(function (e) { return e.type === "price"; })')
    fcgi_sse.stop()
    tab.wait('log.filter(function (e) { return e.type === "stream-retry"; }).length === 2')
    assert tab.js('document.getElementById("news").innerHTML') == "<li>1</li>"
