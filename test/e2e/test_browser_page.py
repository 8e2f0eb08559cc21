# SPDX-License-Identifier: ISC
"""static/sse.js: how a page may include it and call it.  Streams are the test's own (pages/clock.js)."""
import pytest

from browser import by_hand, chromium, module_chromium, send_text, upstream  # noqa: F401

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
