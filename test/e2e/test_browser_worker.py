# SPDX-License-Identifier: ISC
"""Pages that a service worker controls."""
import pytest

from browser import chromium, serve, site  # noqa: F401
from firefox import firefox  # noqa: F401
from processes import publish_ids, wait_until

pytestmark = pytest.mark.chromium

DIED = r"signal|kill|died|ended"

# It passes everything on, as those do that keep some files for times without a network.
WORKER = """
var passed = [];

self.addEventListener("install", function (event) {
	event.waitUntil(self.skipWaiting());
});
self.addEventListener("activate", function (event) {
	event.waitUntil(self.clients.claim());
});
self.addEventListener("fetch", function (event) {
	passed.push(event.request.url);
	event.respondWith(fetch(event.request));
});
self.addEventListener("message", function (event) {
	event.source.postMessage(passed);
});
"""

# The page begins its stream when the worker controls it.
PAGE = """
<body><script>
navigator.serviceWorker.register("/static/worker.js");
(navigator.serviceWorker.controller ? Promise.resolve() : new Promise(function (resolve) {
	navigator.serviceWorker.addEventListener("controllerchange", resolve);
})).then(function () {
	window.positions = 0;
	%s
});
navigator.serviceWorker.addEventListener("message", function (event) {
	window.passed = event.data;
});
</script></body>"""


def leave(tab):
    """No worker stays for a test that gets the same port."""
    tab.run("""navigator.serviceWorker.getRegistration().then(function (registration) {
	return registration.unregister();
}).then(function () {
	window.isGone = true;
});""")
    tab.wait("window.isGone", show="window.isGone")


@pytest.fixture(params=["chromium", "firefox"])
def browser(request):
    return request.getfixturevalue(request.param)


def test_sse_js(redis, start_fcgi_sse, browser, serve, site, folder):
    """A worker that passes requests on may drop Last-Event-ID; sse.js keeps its position, a newcomer's, too."""
    fcgi_sse = start_fcgi_sse(redis, "--retry=100").expect_log(DIED)
    folder.write("site/worker.js", WORKER)
    page = site.page("worker.html", PAGE % """
	window.stream = SSE.connect("/sse/?channels=all", { retry: 100 });
	stream.on("*", function (data, message) {
		note(message.type, data, { id: message.id });
	});""")
    ids = publish_ids(redis, "all", "0")
    tab = browser.open(serve("nginx", fcgi_sse).origin + page)
    for n in range(1, 4):
        tab.wait("window.stream && stream.lastEventId === '%d'" % ids[-1])
        fcgi_sse.kill_responders()
        wait_until(lambda: redis.channel_subscribers("sse:event:all") == 0)
        ids += publish_ids(redis, "all", str(n))
        tab.wait_log(n)
    assert [(e["data"], int(e["id"])) for e in tab.log()] == list(zip([1, 2, 3], ids[1:]))
    tab.run("navigator.serviceWorker.controller.postMessage(0);")
    streams = [url for url in tab.wait("window.passed", show="window.passed") if "/sse/" in url]
    assert [url.rpartition("lastEventId=")[2] for url in streams[1:]] == [str(i) for i in ids[:3]]
    leave(tab)
