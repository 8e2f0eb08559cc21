# SPDX-License-Identifier: ISC
"""sse-share: what a tab that follows does with what a leader says.  The leader is the test, as are time and streams
(pages/clock.js)."""
import json

import pytest

from browser import by_hand, chromium, upstream  # noqa: F401

pytestmark = pytest.mark.chromium

LEADER = """
var term = 10, wants = 0, lastWant, channel;
function say_(m) {
	m.term = term;
	channel.postMessage(m);
}
function hello(at, to) {
	say_({ k: "hello", to: to, at: at, isOpen: true, interval: 15000 });
}
function event(id) {
	say_({ k: "event", id: String(id), name: "message", text: String(id), at: String(id) });
}
// What a stream of its own begins with.
function begin(id) {
	say("open");
	say("stream-position", id, id);
	say("stream-heartbeat", "15", id);
}
chance = 0.5;
(function (url, options) {
	var key = ["sse2", new URL(url + "&heartbeat=event", document.baseURI), "message", false].join(" ");

	navigator.locks.request(key, function () {
		channel = new BroadcastChannel(key);
		channel.onmessage = function (e) {
			if (e.data.k === "want") {
				wants++;
				lastWant = e.data.me;
			}
		};
		options.share = true;
		window.stream = SSE.connect(url, options)
			.on("*", function (data, message) {
				note("event", data, { id: message.id });
			})
			.on("reset", function (data) {
				note("reset", data);
			});
		return new Promise(function () {});
	});
})("/sse/?channels=all%s", %s);
"""


class Follower:
    """A tab that shares, and has asked the leader already."""

    def __init__(self, by_hand, options, query=""):
        self.tab = by_hand(LEADER % (query, json.dumps(options)))
        self.tab.wait("wants > 0", show="wants")

    def run(self, script):
        """Run it, and wait until what it said to the tab has arrived: another channel's message comes after it."""
        self.tab.run(script + """
        window.isHeard = false;
        (function (turns) {
            var pair = new MessageChannel();
            pair.port1.onmessage = function () {
                if (--turns)
                    return pair.port2.postMessage(1);
                window.isHeard = true;
            };
            pair.port2.postMessage(1);
        })(20);""")
        self.tab.wait("isHeard", show="isHeard")

    def events(self):
        return [e["data"] for e in self.tab.noted("event")]

    def streams(self):
        return self.tab.js("sources.map(function (s) { return s.readyState; })")


def test_catches_up(by_hand):
    """Its own stream gives what it lacks, the leader what came meanwhile, each once and in order."""
    tab = Follower(by_hand, {"lastEventId": "1"})
    tab.run("hello('4'); event(5);")
    tab.run("begin('1'); say('message', '2', '2'); say('message', '4', '4');")
    tab.run("event(6);")
    assert tab.events() == [2, 4, 5, 6] and tab.streams() == [2]


def test_asks_again_before_its_past(by_hand):
    """A leader's second answer does not end the catching up of a tab whose past is still to come (since=)."""
    tab = Follower(by_hand, {}, "&since=60")
    tab.run("hello('4');")
    tab.run("begin('4');")
    tab.run("event(5);")
    tab.run("hello('5', lastWant);")
    tab.run("event(6);")
    tab.run("say('stream-position', '4', '4');")
    assert tab.events() == [5, 6] and tab.streams() == [2]


def test_new_leader_without_a_position(by_hand):
    """While it catches up, another tab takes the lead that does not know where it is: the own stream goes on."""
    tab = Follower(by_hand, {"lastEventId": "1"})
    tab.run("hello('4');")
    tab.run("begin('1'); say('message', '2', '2');")
    tab.run("term = 11; hello('');")
    tab.run("say('message', '3', '3');")
    tab.run("say_({ k: 'beat', interval: 15000, at: '9' });")
    tab.run("event(10);")
    tab.run("[4, 5, 6, 7, 8, 9].forEach(function (id) { say('message', String(id), String(id)); });")
    assert tab.events() == [2, 3, 4, 5, 6, 7, 8, 9, 10] and tab.streams() == [2]


def test_too_much_meanwhile(by_hand):
    """What does not fit any more is not kept for ever: the leader is asked where it is by now."""
    tab = Follower(by_hand, {"lastEventId": "1"})
    tab.run("hello('4');")
    tab.run("begin('1');")
    before = tab.tab.js("wants")
    tab.run("for (var id = 5; id < 5 + 4096; id++) event(id);")
    tab.tab.wait("wants > %d" % before, show="wants")
    tab.run("event(4101); hello('4101', lastWant); event(4102);")
    tab.run("for (var id = 2; id <= 4101; id++) say('message', String(id), String(id));")
    assert tab.events() == list(range(2, 4103)) and tab.streams() == [2]


def test_closed_while_catching_up(by_hand):
    """close() by a handler of an event that completes the past opens nothing."""
    tab = Follower(by_hand, {"lastEventId": "1"})
    tab.run("""stream.on("*", function (data, message) {
        if (message.id === "7")
            stream.close();
    });
    hello('4');""")
    tab.run("""begin('1'); say('message', '3', '3');
    say_({ k: 'reset', text: '{"id":"9","reason":"trimmed"}', at: '6', from: '4', clock: '9', reason: 'trimmed' });""")
    tab.run("say('message', '7', '7');")
    assert tab.streams() == [2]


def test_closed_by_its_own_handler_at_the_end(by_hand):
    """A leader's page that closes the stream when it ends: the others hear of the end before one of them may lead."""
    tab = by_hand("""
SSE.connect("/sse/?channels=all", { share: true }).on("end", function () {
	this.close();
});
function look() {
	return navigator.locks.query().then(function (q) {
		note("held", q.held.length);
	});
}""")
    tab.wait("sources.length", show="sources.length")
    tab.run("""say('open'); say('stream-end', '{"reason": "session"}'); pass(500);
    look().then(look).then(look).then(function () {
        pass(500);
    });""")
    assert [e["data"] for e in tab.wait_log(3)] == [1, 1, 1]
    tab.wait("look() && log[log.length - 1].data === 0")
