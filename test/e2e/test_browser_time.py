# SPDX-License-Identifier: ISC
"""static/sse.js: for how long it waits.  Time, chance and streams are the test's own (pages/clock.js)."""
import pytest

from browser import by_hand, chromium, upstream  # noqa: F401
from processes import wait_until

pytestmark = pytest.mark.chromium


STREAM = """
var stream = SSE.connect("/sse/?channels=all").on("error", function () {
	note("error", time());
});
"""


def errors(tab):
    """When the page heard that the stream was lost, in seconds."""
    return [at / 1000 for at in tab.data("error")]


def test_silence(by_hand):
    """What was silent for 2.5 heartbeats is opened anew; whatever comes begins that time again."""
    tab = by_hand(STREAM + """
say("open");
say("stream-heartbeat", "4", "7");
pass(9000);
say("stream-heartbeat", "4", "7");
pass(9000);
say("message", "x", "8");
pass(9000);
say("stream-position", "9", "9");
pass(9999);
note("quiet", sources.length);
pass(1);""")
    assert tab.data("quiet") == [1] and errors(tab) == [37]
    tab.run("pass(1000);")
    assert tab.js("sources.length === 2 && /lastEventId=9$/.test(sources[1].url)")


def test_without_heartbeats(by_hand):
    """Where no heartbeats come, any silence is normal."""
    tab = by_hand(STREAM + 'say("open"); say("message", "x"); pass(1e7);')
    assert errors(tab) == [] and tab.js("sources.length") == 1


def test_slow_event(by_hand):
    """An event that takes longer than 2.5 heartbeats: it is given twice as long each time, until it has come."""
    tab = by_hand(STREAM + """
function patience() { // how long a stream may be silent that has said what it begins with
	var count = log.length, from = time();

	say("open");
	say("stream-position", "7", "7"); // these come before the event
	say("stream-heartbeat", "4", "7");
	while (log.length === count && time() < from + 1e6)
		pass(1000);
	pass(1000); // it is opened anew
	return (log[count].data - from) / 1000;
}
var slow = [1, 2, 3, 4, 5, 6].map(patience);

say("open");
say("stream-position", "7", "7");
say("stream-heartbeat", "4", "7");
say("error"); // cut meanwhile
pass(1000);
slow.push(patience());
say("open");
say("stream-position", "7", "7");
say("stream-heartbeat", "4", "7");
say("stream-position", "7", "7"); // nothing was on its way
var idle = [patience(), patience()];

say("open");
say("message", "big", "8");
var arrived = patience();""")
    assert tab.js("slow") == [10, 20, 40, 80, 160, 160, 160]
    assert tab.js("idle") == [10, 20] and tab.js("arrived") == 10


@pytest.mark.parametrize("first", ["swallowed", "after a break"])
def test_connecting(by_hand, first):
    """A request that nobody answers is given up after a minute, the first one and a later one, and repeated."""
    tab = by_hand(STREAM + """
if (%s) {
	say("open");
	say("message", "x", "7");
	say("error");
	pass(500);
	sources.splice(0, 1);
	log.splice(0);
}
pass(59999);
note("quiet", sources.length);
pass(1);
note("state", stream.state);
pass(1000);
note("again", sources.length);
say("open");
pass(1e7);""" % ("true" if first == "after a break" else "false"))
    assert [(e["type"], e["data"]) for e in tab.log()] == [
        ("quiet", 1), ("error", 60500 if first == "after a break" else 60000), ("state", "connecting"), ("again", 2)]


def test_breaks(by_hand):
    """After a break the browser does not come back by itself: a new stream is opened, with the position in its URL, a
    newcomer's, too; when the server says when (stream-retry), then."""
    tab = by_hand(STREAM + """
say("open");
say("stream-position", "7", "7");
say("error"); // EventSource would reconnect: it is not closed
note("state", sources[0].readyState);
pass(499);
note("quiet", sources.length);
pass(1);
say("open");
say("stream-position", "7", "7");
say("message", "x", "8");
say("stream-retry", "7000", "8");
pass(6999);
note("quiet", sources.length);
pass(1);
say("open");
say("stream-retry", "5000", "");
say("error"); // it ends after that, and is told once
pass(4999);
note("quiet", sources.length);
pass(1);""")
    assert [(e["type"], e["data"]) for e in tab.log()] == [
        ("error", 0), ("state", 2), ("quiet", 1), ("error", 500), ("quiet", 2), ("error", 7500), ("quiet", 3)]
    assert [url.rpartition("&")[2] for url in tab.js("sources.map(function (s) { return s.url; })")] == [
        "heartbeat=event", "lastEventId=7", "lastEventId=8", "lastEventId=8"]


@pytest.mark.parametrize("luck, delays", [(0, [.5, 1, 2, 4, 8, 15, 15]), (1, [1, 2, 4, 8, 16, 30, 30])])
def test_back_off(by_hand, luck, delays):
    """Refused again and again, it waits twice as long each time, up to 30 s; of that, chance takes off up to a half.
    What has arrived makes the delay short again."""
    tab = by_hand(STREAM + """
chance = %d;
answer = 503;
function refuse() { // how long until it tries again
	var count = sources.length, from = time();

	say("closed");
	while (sources.length === count && time() < from + 1e5)
		pass(100);
	return (time() - from) / 1000;
}
var delays = [1, 2, 3, 4, 5, 6, 7].map(refuse);

say("open");
say("message", "x", "7");
delays.push(refuse(), refuse());""" % luck)
    assert tab.js("delays") == delays + delays[:2]


def test_question_without_an_answer(by_hand):
    """A question by HEAD that nobody answers is given up after 10 s; then the stream is opened again."""
    tab = by_hand(STREAM + """
say("closed");
pass(9999);
note("quiet", asked.length);
pass(1);
pass(1000);""")
    assert [(e["type"], e["data"]) for e in tab.log()] == [("quiet", 1), ("error", 10000)]
    assert tab.js("asked[0].method") == "HEAD" and tab.js("sources.length") == 2


def test_swallowed_with_a_lock(by_hand):
    """The same for tabs that share a stream."""
    tab = by_hand(STREAM.replace('all"', 'all", { share: true }'))
    tab.wait("sources.length", show="sources.length")
    tab.run("pass(61000);")
    assert errors(tab) == [60] and tab.js("sources.length") == 2


# ---- tabs that share: several streams of one page are as several tabs

def locks(tab):
    """How many locks are held, and how many are waited for."""
    tab.run("""window.locks = null;
navigator.locks.query().then(function (q) { locks = [q.held.length, q.pending.length]; });""")
    return tab.wait("locks", show="locks")


SHARED = """
function share(options) {
	return SSE.connect("/sse/?channels=all", Object.assign({ share: true }, options));
}
"""


def test_closed_in_line(by_hand):
    """A stream that is closed while it stands in line for the lock leaves the line."""
    tab = by_hand(SHARED + "var leader = share();")
    tab.wait("sources.length", show="sources.length")
    tab.run("for (var i = 0; i < 50; i++) share().close(); window.follower = share();")
    wait_until(lambda: locks(tab) == [1, 1], what=lambda: locks(tab))
    tab.run("leader.close(); pass(0);")
    tab.wait("sources.length === 2", show="sources.length")


def test_who_shares(by_hand):
    """Streams are shared by URL, names of events and credentials; the order of the names does not matter."""
    tab = by_hand(SHARED + """
share();
share();
share({ events: ["price"] });
share({ events: "price, alert" });
share({ events: ["alert", "price"] });
share({ credentials: true });""")
    wait_until(lambda: locks(tab) == [4, 2], what=lambda: locks(tab))
    assert tab.js("sources.length") == 4


def test_ids_are_forgotten(by_hand):
    """Of the ids that a tab had it keeps 4096; what is older than a forgotten one does not come again."""
    tab = by_hand(SHARED + """
share().on("*", function (data, message) {
	note(data, message.id);
});""")
    tab.wait("sources.length", show="sources.length")
    tab.run("""
say("open");
say("stream-heartbeat", "4", "0");
for (var id = 20; id < 40980; id += 10)
	say("message", "new", String(id));
say("message", "late", "11"); // for it 20 is forgotten
say("message", "again", "20");
say("message", "again", "30");
say("message", "late", "25"); // for it 30
say("message", "again", "30");
say("message", "new", "40980");
say("message", "too late", "27");""")
    assert len(tab.data("new")) == 4097
    assert [(e["type"], e["data"]) for e in tab.log() if e["type"] != "new"] == [("late", "11"), ("late", "25")]


def test_lock_after_an_end(by_hand):
    """At an end the lock is kept for a second: the others hear of it before one of them would lead."""
    tab = by_hand(SHARED + "var stream = share();")
    tab.wait("sources.length", show="sources.length")
    tab.run("say('open'); say('stream-end', '{}'); pass(999);")
    assert tab.js("stream.state") == "closed" and locks(tab) == [1, 0]
    tab.run("pass(1);")
    wait_until(lambda: locks(tab) == [0, 0], what=lambda: locks(tab))
