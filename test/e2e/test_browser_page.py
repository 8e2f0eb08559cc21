# SPDX-License-Identifier: ISC
"""static/sse.js: how a page may include it and call it.  Streams are the test's own (pages/clock.js)."""
import pytest

from browser import by_hand, chromium, send_text, upstream  # noqa: F401

pytestmark = pytest.mark.chromium

AGAIN = """
function again() { // sse.js once more
	var script = document.createElement("script");

	script.textContent = [].filter.call(document.scripts, function (script) {
		return /window.SSE = /.test(script.textContent);
	})[0].textContent;
	document.head.appendChild(script);
}
document.body.setAttribute("sse-data", "/sse/?channels=all");
"""


def test_element_of_that_name(by_hand):
    """<div id="SSE">, which browsers make window.SSE, does not stop it."""
    tab = by_hand(AGAIN + "var stream = SSE.connect('/sse/?channels=foo');", head='<div id="SSE"></div>')
    tab.wait("sources.length === 2", show="sources.length")


def test_twice(by_hand):
    """Included twice it is there once."""
    tab = by_hand(AGAIN + """
var first = SSE;
again();
addEventListener("load", function () {
	note("load", SSE === first);
});""")
    assert tab.wait_log(1)[0]["data"] is True
    assert tab.js("sources.length") == 1


def test_options_of_others(by_hand):
    """What a page does with its options object afterwards changes no stream."""
    tab = by_hand("""
var options = { credentials: true, retry: 100 };
SSE.connect("/sse/?channels=all", options);
options.credentials = false;
options.retry = 1e6;
answer = 503;
say("closed");
pass(0);
pass(1000);""")
    assert tab.js("asked[0].withCredentials") is True
    assert tab.js("sources.map(function (s) { return s.options.withCredentials; })") == [True, True]


def test_scan_of_any_node(by_hand):
    """SSE.scan takes what a MutationObserver gives, texts and comments too."""
    tab = by_hand("""
var list = document.createElement("div");
list.innerHTML = "text<!-- comment --><p sse-data='/sse/'></p>";
list.childNodes.forEach(function (node) {
	SSE.scan(node);
});""")
    assert tab.js("sources.length") == 1


def test_late(by_hand):
    """A script that comes when the page is there already (async) opens the page's streams at once."""
    tab = by_hand("")
    tab.wait("document.readyState === 'complete'", show="document.readyState")
    tab.run("delete window.SSE;" + AGAIN + "again();")
    assert tab.js("sources.length") == 1


def test_one_polyfill(by_hand, upstream):
    """Several elements wait for one polyfill."""
    upstream.answers["/vendor/eventsource.min.js"] = lambda handler: send_text(
        handler, "text/javascript", "window.EventSource = Fake;")
    tab = by_hand("""
["a", "b"].forEach(function (channel) {
	var p = document.createElement("p");

	p.setAttribute("sse-data", "/sse/?channels=" + channel);
	document.body.appendChild(p);
});""", "window.Fake = EventSource; delete window.EventSource;")
    tab.wait("sources.length === 2", show="sources.length")
    assert upstream.asked().count("/vendor/eventsource.min.js") == 1


def test_credentials(by_hand):
    """SSE.connect sends cookies to another origin where it is told to, with the question, too."""
    tab = by_hand("""
[true, false].forEach(function (credentials) {
	SSE.connect("/sse/?channels=all", { credentials: credentials });
	say("closed");
});""")
    for i, want in enumerate((True, False)):
        assert tab.js("sources[%d].options.withCredentials" % i) is want
        assert tab.js("asked[%d].withCredentials" % i) is want


def test_type_that_means_all(by_hand):
    """Data of type "*" is a message, and reaches those who listen to all once."""
    tab = by_hand("""
SSE.connect("/sse/?channels=all").on("*", function (data, message) {
	note("any", message.type);
}).on("message", function () {
	note("message");
});
say("message", '{"type": "*"}');""")
    assert [(e["type"], e["data"]) for e in tab.log()] == [("message", None), ("any", "message")]
