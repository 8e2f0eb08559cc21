# SPDX-License-Identifier: ISC
"""static/sse.js and jQuery: what tornado-sse's users have, and nothing that somebody else made look like it."""
import os

import pytest

from browser import VENDOR, by_hand, chromium, need_npm, upstream  # noqa: F401

pytestmark = pytest.mark.chromium


@pytest.fixture
def jquery():
    """jQuery itself, as a script of the page."""
    need_npm(os.path.join(VENDOR, "jquery.min.js"))
    with open(os.path.join(VENDOR, "jquery.min.js"), encoding="utf-8") as f:
        return "<script>%s</script>" % f.read()


PAGE = """
document.body.setAttribute("sse-data", "/sse/?channels=all");
["open", "error", "reset", "end", "foo", "message"].forEach(function (type) {
	jQuery("body").on("sse." + type, function (event, data) {
		note(type, data);
	});
});
SSE.scan();
say("open");
"""


def test_control_events(by_hand, jquery):
    """sse.reset and sse.end, when the server says so."""
    tab = by_hand(PAGE + """
say("stream-reset", '{"channels": ["all"], "reason": "trimmed", "id": "9"}', "7");
say("message", '{"type": "foo"}', "8");
say("stream-end", '{"reason": "session"}');""", head=jquery)
    assert [(e["type"], e["data"]) for e in tab.log()] == [
        ("open", None), ("reset", {"channels": ["all"], "reason": "trimmed", "id": "9"}),
        ("foo", {"type": "foo"}), ("end", {"reason": "session"})]


def test_exclamation_mark(by_hand, jquery):
    """Since 1.9 a "!" is a character like any other."""
    tab = by_hand(PAGE + """
jQuery("body").on("sse.wow!", function (event, data) {
	note("wow!", data);
});
say("message", '{"type": "wow!"}', "7");""", head=jquery)
    assert [e["type"] for e in tab.log()] == ["open", "wow!"]


def test_before_1_9(by_hand, jquery):
    """jQuery before 1.9 takes the last character from a name with a "!": that makes no control event of data."""
    tab = by_hand(PAGE + """
["open!", "error!", "reset!", "end!", "a!.endx", "foo"].forEach(function (type) {
	say("message", JSON.stringify({ type: type }), "7");
});""", """
var trigger = jQuery.fn.trigger;
jQuery.fn.trigger = function (type, data) {
	return trigger.call(this, type.indexOf("!") < 0 ? type : type.slice(0, -1), data);
};""", head=jquery)
    assert [e["type"] for e in tab.log()] == ["open"] + 5 * ["message"] + ["foo"]
    assert [e["data"]["type"] for e in tab.log()[1:6]] == ["open!", "error!", "reset!", "end!", "a!.endx"]
