# SPDX-License-Identifier: ISC
"""sse-share: whose tab has the stream, and what happens when that one closes, dies, sleeps or hangs."""
import json
import os
import random
import subprocess
import threading
import time

import pytest

from browser import both_servers, chromium, serve, site, upstream  # noqa: F401
from browser_tabs import DIED, HEAD, TYPES, Tabs
from processes import DEADLINE_S, SSE_PUBLISH_BIN, publish_ids, redis_environment

pytestmark = pytest.mark.chromium


@both_servers
def test_leader_closed_in_a_burst(redis, start_fcgi_sse, chromium, serve, site, server):
    """The leader's tab is closed in the middle of 1,000 events, and the next one too: each tab has each once."""
    fcgi_sse = start_fcgi_sse(redis, "--history-count=100000").expect_log(DIED)
    tabs = Tabs(chromium, site, serve(server, fcgi_sse).origin)
    tabs.open(6)
    first = publish_ids(redis, "all", "0")
    tabs.wait_messages(1)
    publisher = subprocess.Popen([SSE_PUBLISH_BIN, "--lines", "all"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 env=redis_environment(redis))

    closing = [threading.Event(), threading.Event()]

    def publish():
        for i in range(0, 1000, 10):
            if i in (500, 900):  # not past this before a leader is being closed
                closing[i // 900].wait(60)
            publisher.stdin.write(b"".join(b"%d\n" % n for n in range(i, i + 10)))
            publisher.stdin.flush()
            time.sleep(0.005)  # a burst, not one write
        publisher.stdin.close()

    thread = threading.Thread(target=publish, daemon=True)
    leader = tabs.leader()
    thread.start()
    for event in closing:
        event.set()
        tabs.close(leader)
        leader = tabs.leader()
        leader.wait("log.length > 600")
    thread.join()
    ids = first + [int(line) for line in publisher.stdout.read().split()]
    publisher.wait()
    publisher.stdout.close()
    assert len(ids) == 1001 and len(tabs.tabs) == 4
    tabs.wait_messages(1001)
    tabs.check(ids)
    tabs.leader()
    fcgi_sse.wait_streams(1)


@pytest.mark.parametrize("first", ["after an event", "before any event"])
def test_close_hands_over(redis, fcgi_sse, chromium, serve, site, first):
    """close() in the leader's page, or a move to another page: another tab leads."""
    tabs = Tabs(chromium, site, serve("nginx", fcgi_sse).origin)
    tabs.open(3)
    ids = []
    if first == "after an event":
        ids = publish_ids(redis, "all", "1")
    for tab in tabs.tabs:
        tab.wait("document.body.sseStream.lastEventId")
    for statement in ("document.body.sseStream.close();", "location = 'about:blank';"):
        leader = tabs.leader()
        tabs.tabs.remove(leader)
        leader.run(statement)
        ids += publish_ids(redis, "all", "x")
        tabs.wait_messages(len(ids))
        tabs.check(ids)
    fcgi_sse.wait_streams(1)


def test_leader_that_is_dead(redis, fcgi_sse, chromium, serve, site):
    """A tab that has the lock and says nothing (suspended, hung) loses it after 5 s; one that was robbed follows."""
    origin = serve("nginx", fcgi_sse).origin
    tabs = Tabs(chromium, site, origin)
    tab = tabs.open()
    ids = publish_ids(redis, "all", "1")
    tabs.wait_messages(1)
    tab.run("navigator.locks.query().then(function (q) { window.lock = q.held[0].name; });")
    lock = tab.wait("window.lock")
    chromium.expected_console = ["steal"]
    dead = chromium.open(origin + site.page("bare.html", "<body></body>"))
    dead.run("navigator.locks.request(%s, {steal: true}, function () { return new Promise(function () {}); });"
             % json.dumps(lock))
    tab.wait("!leads()")
    ids += publish_ids(redis, "all", "2")
    tabs.wait_messages(2)
    assert tab.js("leads()")
    tabs.open()
    ids += publish_ids(redis, "all", "3")
    tabs.wait_messages(1)
    assert [int(e["id"]) for e in tab.noted("message")] == ids
    assert tabs.tabs[1].data("message") == [3]


def test_robbed(redis, fcgi_sse, chromium, serve, site):
    """A leader that has lost its lock lets its stream go, and stands in line again."""
    tabs = Tabs(chromium, site, serve("nginx", fcgi_sse).origin)
    tab = tabs.open()
    ids = publish_ids(redis, "all", "1")
    tabs.wait_messages(1)
    tab.run("""navigator.locks.query().then(function (q) {
        return navigator.locks.request(q.held[0].name, {steal: true}, function () {
            return new Promise(function (resolve) { window.giveBack = resolve; });
        });
    });""")
    tab.wait("!leads()")
    ids += publish_ids(redis, "all", "2")
    tab.run("giveBack();")
    tabs.wait_messages(2)
    tabs.check(ids)
    assert tab.js("leads() && sources.length === 2")


def test_robbed_while_it_slept(redis, fcgi_sse, chromium, serve, site):
    """A leader that was asleep when it lost its lock knows that it may have missed something."""
    tabs = Tabs(chromium, site, serve("nginx", fcgi_sse).origin)
    tabs.open(3)
    ids = publish_ids(redis, "all", "1")
    tabs.wait_messages(1)
    tabs.close(tabs.leader())
    leader = tabs.leader()  # and it has followed before
    [other] = [tab for tab in tabs.tabs if tab is not leader]
    leader.run("""isDeaf = true;
    navigator.locks.query().then(function (q) {
        return navigator.locks.request(q.held[0].name, {steal: true}, function () {});
    });""")
    other.wait("leads()")
    ids += publish_ids(redis, "all", "2")
    other.wait("log[log.length - 1].data === 2")
    leader.run("isDeaf = false;")
    ids += publish_ids(redis, "all", "3")
    tabs.wait_messages(3)
    tabs.check(ids)
    tabs.leader()


HANG = "setTimeout(function () { var began = Date.now(); while (Date.now() - began < %d); }, 50);"


class Hang:
    """A page that waits for the test's server runs no script meanwhile."""

    def __init__(self, upstream):
        self.url = "http://127.0.0.1:%d/hang" % upstream.port
        self.begun, self.over = threading.Event(), threading.Event()
        upstream.answers["/hang"] = self._answer

    def _answer(self, handler):
        self.begun.set()
        self.over.wait(2 * DEADLINE_S)
        handler.send_response(200)
        handler.send_header("Access-Control-Allow-Origin", "*")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    def begin(self, tab, other):
        """Another tab says when: the driver would wait for an answer of this one."""
        tab.run("""new BroadcastChannel("hang").onmessage = function () {
            var request = new XMLHttpRequest();

            request.open("GET", %s, false);
            request.send();
        };""" % json.dumps(self.url))
        other.run('new BroadcastChannel("hang").postMessage({});')
        assert self.begun.wait(DEADLINE_S)


def test_leader_hangs(redis, start_fcgi_sse, chromium, serve, site, upstream):
    """A leader that hangs is replaced, also where events come so often that there are no heartbeats.  When it wakes,
    the trouble of its stream is nobody else's."""
    fcgi_sse = start_fcgi_sse(redis, "--heartbeat=1", "--retry=50").expect_log(DIED)
    tabs = Tabs(chromium, site, serve("nginx", fcgi_sse).origin)
    chromium.expected_console = ["steal"]
    over = threading.Event()

    def publish():
        while not over.wait(0.3):
            publish_ids(redis, "all", "x")

    thread = threading.Thread(target=publish, daemon=True)
    thread.start()
    leader, other = tabs.open(), tabs.open()
    tabs.wait_messages(3)
    assert leader.js("leads()")
    hang = Hang(upstream)
    hang.begin(leader, other)
    fcgi_sse.kill_responders()  # a sleeping tab's connection is cut
    other.wait("leads()")
    other.run("""window.states = {};
    document.body.addEventListener("sse:message", function () {
        states[document.body.sseStream.state] = true;
    });""")
    hang.over.set()
    leader.js("1")  # it has woken up
    over.set()
    thread.join()
    [last] = publish_ids(redis, "all", "y")
    for tab in tabs.tabs:
        tab.wait("log[log.length - 1].id === '%d'" % last)
    assert leader.noted("message")[-20:] == other.noted("message")[-20:]
    assert other.js("states") == {"open": True} and not other.noted("error")


SLOW = """<script>
var Plain = window.EventSource;
window.EventSource = function (url, options) {
	var self = { readyState: 0, listeners: [], addEventListener: function (name, f) {
		self.listeners.push([name, f]);
	}, close: function () {
		self.readyState = 2;
		if (self.source)
			self.source.close();
	} };

	setTimeout(function () {
		if (self.readyState === 2)
			return;
		self.source = new Plain(url, options);
		self.listeners.forEach(function (l) {
			self.source.addEventListener(l[0], l[1]);
		});
	}, 9000);
	return self;
};
</script>"""


def test_former_leader(redis, fcgi_sse, chromium, serve, site):
    """What a former leader still says, because it does not know yet that it was robbed, is not believed."""
    origin = serve("nginx", fcgi_sse).origin
    tabs = Tabs(chromium, site, origin)
    tabs.open(2)
    [id_] = publish_ids(redis, "all", "1")
    tabs.wait_messages(1)
    former = chromium.open(origin + site.page("bare.html", "<body></body>"))
    former.run("""navigator.locks.query().then(function (q) {
        var channel = new BroadcastChannel(q.held[0].name);

        [{ k: "hello", at: "1", isOpen: false }, { k: "error", data: { status: 0, retry: true } },
            { k: "event", id: "%d", name: "message", text: "2", at: "%d" }].forEach(function (m) {
            m.term = 1;
            channel.postMessage(m);
        });
        window.isSaid = true;
    });""" % (id_ + 1, id_ + 1))
    former.wait("window.isSaid")
    publish_ids(redis, "all", "3")
    tabs.wait_messages(2)
    for tab in tabs.tabs:
        assert tab.data("message") == [1, 3] and not tab.noted("error")
        assert tab.js("document.body.sseStream.state") == "open"


@pytest.mark.soak
def test_leader_wakes_and_answers(redis, start_fcgi_sse, chromium, serve, site):
    """A leader that was robbed while it hung answers an old question: a tab that catches up does not believe it."""
    fcgi_sse = start_fcgi_sse(redis, "--heartbeat=1").expect_log(DIED)
    chromium.expected_console = ["steal"]
    origin = serve("nginx", fcgi_sse).origin
    tabs = Tabs(chromium, site, origin)
    tabs.open(2)
    ids = publish_ids(redis, "--lines", "all", stdin=b"0\n1\n2\n3\n")
    tabs.wait_messages(4)
    leader = tabs.leader()
    [other] = [tab for tab in tabs.tabs if tab is not leader]
    other.wait("heard.indexOf('beat') >= 0")  # it knows the interval
    leader.run(HANG % 14000)
    other.focus()
    time.sleep(4)  # it loses patience first; and a look at it would make it begin anew
    fcgi_sse.kill_responders()
    late = chromium.open(origin + site.page("slow.html", """
<body sse-data="/sse/?channels=all" data-last-event-id="%d" sse-share>
<script>record(document.body, %s);</script></body>""" % (ids[0], TYPES), HEAD + SLOW))
    late.wait("heard.indexOf('hello') >= 0", 12)
    assert other.js("leads()")
    ids += publish_ids(redis, "--lines", "all", stdin=b"4\n5\n6\n")
    other.wait("log[log.length - 1].data === 6")
    leader.wait("log[log.length - 1].data === 6", 30)
    late.wait("log.length && log[log.length - 1].data === 6", 20)
    ids += publish_ids(redis, "--lines", "all", stdin=b"7\n8\n")
    late.wait("log[log.length - 1].data === 8")
    assert [int(e["id"]) for e in late.noted("message")] == ids[1:]


@both_servers
@pytest.mark.soak
@pytest.mark.seconds(300)
def test_tabs_come_and_go(redis, start_fcgi_sse, chromium, serve, site, run, server):
    """Two minutes of tabs that open, close, miss messages and lose their stream: each has each event once, in order."""
    fcgi_sse = start_fcgi_sse(redis, "--retry=100", "--history-count=100000").expect_log(DIED)
    web_server = serve(server, fcgi_sse)
    url = web_server.origin + site.page("soak.html", """
<body sse-data="/sse/?channels=all" sse-share><script>
if (location.hash)
	document.body.setAttribute("data-last-event-id", location.hash.slice(1));
record(document.body, %s);
</script></body>""" % TYPES, HEAD)
    chance = random.Random(os.environ.get("SOAK_SEED", "1"))
    tabs, ids, lock, over = [], [], threading.Lock(), threading.Event()

    def publish():
        while not over.is_set():
            new = publish_ids(redis, "--lines", "all", stdin=b"x\n" * chance.randint(1, 30))
            with lock:
                ids.extend(new)
            over.wait(chance.random() / 5)

    def open_tab():
        with lock:
            at = chance.choice([None] + ids[-200:-1:20]) if ids else None
        tab = chromium.open(url + ("#%d" % at if at else ""))
        tab.begins_behind = at
        tabs.append(tab)

    def close_tab():
        tab = chance.choice(tabs)
        tab.run(chance.choice(["", "location = 'about:blank';", "document.body.sseStream.close();"]))
        tabs.remove(tab)
        tab.close()

    def lose_leader():
        leaders = [tab for tab in tabs if tab.js("leads()")]
        if len(leaders) == 1:
            tabs.remove(leaders[0])
            for tab in chance.sample(tabs, len(tabs) // 2):
                tab.run("isDeaf = 'to this leader';")
            time.sleep(0.2)
            leaders[0].close()

    def restart_web_server():
        web_server.stop()
        time.sleep(chance.random())
        run(server, web_server.argv)

    thread = threading.Thread(target=publish, daemon=True)
    thread.start()
    deadline = time.monotonic() + 120
    rounds = 0
    while time.monotonic() < deadline:
        rounds += 1
        if len(tabs) < 3 or len(tabs) < 7 and chance.random() < 0.5:
            open_tab()
        else:
            chance.choice([close_tab, close_tab, lose_leader, fcgi_sse.kill_responders] +
                          ([restart_web_server] if rounds % 10 == 0 and server == "nginx" else []))()
        time.sleep(chance.random() / 2)
    over.set()
    thread.join()
    ids.extend(publish_ids(redis, "all", "last"))
    for tab in tabs:
        tab.wait("log.some(function (e) { return e.data === 'last'; })", 60)
        got = [int(e["id"]) for e in tab.noted("message")]
        first = tab.begins_behind and ids.index(tab.begins_behind) + 1
        assert got == ids[first if first else ids.index(got[0]):]
        assert not tab.noted("reset")
    fcgi_sse.wait_streams(1)
    print("%d rounds, %d events, %d tabs at the end" % (rounds, len(ids), len(tabs)))
