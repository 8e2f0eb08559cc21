# SPDX-License-Identifier: ISC
"""Pages of one site that share a stream (sse-share), as the tests see them."""
from processes import wait_until

DIED = r"signal|kill|died|ended|refused"
# sources: the page's own EventSources, to see which tab has one.
# heard: what the other tabs said.
# isDeaf: what comes from the other tabs is lost, as with a leader that dies.
HEAD = """<script>
var isDeaf = false, heard = [];
var Channel = window.BroadcastChannel;
window.BroadcastChannel = Channel && function (name) {
	var channel = new Channel(name);

	channel.addEventListener("message", function (e) {
		heard.push(e.data.k);
		if (isDeaf === "to this leader" && (leads() || e.data.k === "hello" && !e.data.to))
			isDeaf = false;
		if (isDeaf)
			e.stopImmediatePropagation();
	});
	return channel;
};
var sources = [];
var Native = window.EventSource;
window.EventSource = function (url, options) {
	var source = new Native(url, options);

	sources.push(source);
	return source;
};
function leads() {
	return sources.some(function (source) {
		return source.readyState !== 2;
	});
}
</script>"""
TYPES = '["open", "error", "message", "reset", "end"]'


class Tabs:
    """The tabs of one page."""

    def __init__(self, chromium, site, origin, query="channels=all", name="share.html", attributes=""):
        self.chromium = chromium
        self.url = origin + site.page(name, """
<body sse-data="/sse/?%s" sse-share %s><script>record(document.body, %s);</script></body>""" % (
            query, attributes, TYPES), HEAD)
        self.tabs = []

    def open(self, count=1, state="open"):
        for _ in range(count):
            self.tabs.append(self.chromium.open(self.url))
        for tab in self.tabs:
            tab.wait('document.body.sseStream.state === "%s"' % state)
        return self.tabs[-1]

    def leader(self):
        def look():
            leaders = [tab for tab in self.tabs if tab.js("leads()")]
            return leaders[0] if len(leaders) == 1 else None
        return wait_until(look, what="one tab to lead")

    def close(self, tab):
        self.tabs.remove(tab)
        tab.close()

    def wait_messages(self, count):
        for tab in self.tabs:
            tab.wait('log.filter(function (e) { return e.type === "message"; }).length >= %d' % count)

    def check(self, ids):
        for tab in self.tabs:
            assert [int(e["id"]) for e in tab.noted("message")] == ids
