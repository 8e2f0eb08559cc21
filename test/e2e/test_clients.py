# SPDX-License-Identifier: ISC
"""Real clients, left to themselves: they connect, are cut, and come back."""
import json
import os
import subprocess

import pytest

from processes import alive, lacks_node, publish_ids, wait_until

pytestmark = pytest.mark.skipif(lacks_node(), reason="no Node 20, or no npm packages")
HERE = os.path.dirname(os.path.abspath(__file__))


class NodeClient:
    """A node program with a real EventSource; what it says on stdout."""

    def __init__(self, run, library, url, names=("news",)):
        self.program = run("node", ["node", os.path.join(HERE, "clients", "eventsource.mjs"), library, url,
                                    ",".join(names)], stdin=subprocess.PIPE)

    def said(self):
        lines = self.program.stdout().split(b"\n")[:-1]
        return [json.loads(line) for line in lines]

    def opened(self):
        return sum("open" in line for line in self.said())

    def heard(self, *names):
        """The events that its handlers got, of these names."""
        return [line for line in self.said() if line.get("event") in names]

    def events(self):
        """Without those that only some are told of: the others know no handler for them."""
        return [line for line in self.said() if "event" in line
                and line["event"] not in ("stream-position", "stream-heartbeat", "stream-retry")]

    def data(self):
        return [e["data"] for e in self.events()]

    def wait(self, condition, what):
        wait_until(condition, what=lambda: "%s; the client said %r" % (what, self.said()[-20:]))


def cut_all(fcgi_sse):
    """(Nobody waits for the last one to be gone from its channel: by then the first one may be back.)"""
    pids = fcgi_sse.kill_responders()
    wait_until(lambda: not any(map(alive, pids)))


LIBRARIES = ["eventsource", "launchdarkly-eventsource", "event-source-polyfill", "reconnecting-eventsource",
             # these hand every block to one function
             "eventsource-client", "fetch-event-source"]


@pytest.fixture(params=LIBRARIES)
def library(request):
    return request.param


@pytest.mark.parametrize("server", ["nginx-example", "lighttpd-example"])
def test_newcomer_is_cut(redis, start_fcgi_sse, web, run, library, server):
    """Cut before its first event, a client comes back from where it joined: what was published meanwhile arrives."""
    fcgi_sse = start_fcgi_sse(redis, "--retry=100").expect_log(r"signal|kill|died|ended")
    [before] = publish_ids(redis, "a", "before")
    client = NodeClient(run, library, web(server, fcgi_sse).url("channels=a"), ["stream-position"])
    client.wait(lambda: len(client.heard("stream-position")) == 2, "FLOOR and CLOCK")
    assert {(e["id"], e["data"]) for e in client.heard("stream-position")} == {(str(before), str(before))}
    cut_all(fcgi_sse)
    [missed] = publish_ids(redis, "a", "missed")
    client.wait(lambda: client.data(), "what it missed")
    [event] = client.events()
    assert (event["event"], event["data"], event["id"]) == ("message", "missed", str(missed))


def test_all_that_is_handled_is_json(redis, start_fcgi_sse, web, run, loop):
    """JSON.parse of what a handler gets never throws: positions, heartbeats, a reset, the farewell, the answer of a
    web server without us, and our own when Redis is away, also where every block goes to one handler."""
    options = ["--history-count=2", "--retry=100", "--heartbeat=1", "--drain=1"]
    fcgi_sse = start_fcgi_sse(redis, *options)
    url = web("nginx-example", fcgi_sse).url("channels=a&lastEventId=0")
    publish_ids(redis, "--lines", "a", stdin=b"0\n1\n2\n3\n")
    clients = {library: NodeClient(run, library, url) for library in LIBRARIES}

    def all_clients(condition, what):
        wait_until(lambda: all(map(condition, clients.values())), what=lambda: "%s; they said %r" % (
            what, {library: client.said()[-10:] for library, client in clients.items()}))

    all_clients(lambda c: c.data()[-1:] == ["3"], "the kept ones")
    heartbeats = loop.live(fcgi_sse, "a")
    heartbeats.wait_for(lambda s: len(s.comments) >= 2)
    heartbeats.close()
    fcgi_sse.stop()  # the farewell; then they come back to a web server without us
    all_clients(lambda c: sum("error" in line for line in c.said()) > 1, "two breaks")
    again = start_fcgi_sse(redis, *options, socket_path=fcgi_sse.address)
    again.expect_log("come back", "[Rr]edis|recorder")
    redis.stop()
    all_clients(lambda c: sum("error" in line for line in c.said()) > 2, "a third break")
    for library, client in clients.items():
        assert all(e["isJson"] for e in client.said() if "event" in e), client.said()
        assert [e["event"] for e in client.events()] == ["stream-reset", "message", "message"]
        if library in ("eventsource-client", "fetch-event-source"):
            # (a slow machine gives them time to ask once more)
            assert len(client.heard("stream-retry")) >= 3 and client.heard("stream-position")


def test_two_cursors(redis, start_fcgi_sse, web, run):
    """event-source-polyfill adds where it is to a URL in which the page has said where it began: the newer one counts."""
    fcgi_sse = start_fcgi_sse(redis, "--retry=100").expect_log(r"signal|kill|died|ended")
    old = publish_ids(redis, "--lines", "a", stdin=b"0\n1\n2\n3\n")[0]
    where = web("nginx-example", fcgi_sse)
    client = NodeClient(run, "event-source-polyfill", where.url("channels=a&last_event_id=%d" % old))
    client.wait(lambda: client.data() == ["1", "2", "3"], "what came since")
    fcgi_sse.kill_responders()
    publish_ids(redis, "a", "4")
    client.wait(lambda: "4" in client.data(), "what it missed")
    assert client.data() == ["1", "2", "3", "4"]


@pytest.mark.parametrize("server", ["nginx-example", "lighttpd-example"])
def test_cut_and_back(redis, start_fcgi_sse, web, run, library, server):
    """The client's responder is killed again and again; it resumes by itself and has each event once."""
    fcgi_sse = start_fcgi_sse(redis, "--retry=100", "--heartbeat=1").expect_log(r"signal|kill|died|ended")
    client = NodeClient(run, library, web(server, fcgi_sse).url("channels=a,b"))
    client.wait(lambda: client.opened() == 1, "it to connect")
    wait_until(lambda: redis.channel_subscribers("sse:event:a") == 1)
    want = []
    for round_ in range(4):
        for channel in "ab":
            want.append("%s%d" % (channel, round_))
            publish_ids(redis, "--event=news", channel, want[-1])
        client.wait(lambda: client.data() == want, "the events of round %d" % round_)
        cut_all(fcgi_sse)
        want.append("missed%d" % round_)
        publish_ids(redis, "a", want[-1])
        redis.publish("b", "plain%d" % round_)
        want.append("plain%d" % round_)
        client.wait(lambda: len(client.data()) >= len(want), "the missed ones of round %d" % round_)
        # between the two ways of publishing there is no order
        assert sorted(client.data()) == sorted(want)
        want = client.data()
        client.wait(lambda: client.opened() == round_ + 2, "it to be back")
        wait_until(lambda: redis.channel_subscribers("sse:event:a") == 1)
    assert {e["event"] for e in client.events()} == {"news", "message"}


def test_drain_and_restart(redis, start_fcgi_sse, web, run, library):
    """The service is restarted: the client comes back to the new one and has each event once."""
    options = ["--retry=100", "--drain=1"]
    fcgi_sse = start_fcgi_sse(redis, *options)
    client = NodeClient(run, library, web("nginx-example", fcgi_sse).url("channels=a"))
    wait_until(lambda: redis.channel_subscribers("sse:event:a") == 1)
    publish_ids(redis, "a", "one")
    client.wait(lambda: client.data() == ["one"], "the first")
    fcgi_sse.stop()
    publish_ids(redis, "a", "missed")
    start_fcgi_sse(redis, *options, socket_path=fcgi_sse.address)
    client.wait(lambda: client.data() == ["one", "missed"], "the missed one")
    wait_until(lambda: redis.channel_subscribers("sse:event:a") == 1)
    publish_ids(redis, "a", "two")
    client.wait(lambda: client.data() == ["one", "missed", "two"], "the last")


def test_redis_away_and_back(redis, start_fcgi_sse, web, run):
    """Redis is away at connect: eventsource does not give up (it would at a 503) and streams when it is back."""
    fcgi_sse = start_fcgi_sse(redis, "--retry=100").expect_log(r"[Rr]edis|recorder")
    redis.program.kill()
    client = NodeClient(run, "eventsource", web("nginx-example", fcgi_sse).url("channels=a"))
    client.wait(lambda: any("error" in line for line in client.said()), "the end of the first try")
    assert not any(line.get("code") for line in client.said()), "not given up"
    redis.start()
    # retry: said 5 to 15 seconds
    wait_until(lambda: redis.channel_subscribers("sse:event:a") == 1)
    publish_ids(redis, "a", "x")
    client.wait(lambda: client.data() == ["x"], "the event")


def test_a_reset_reaches_the_page(redis, start_fcgi_sse, web, run, library):
    """stream-reset is an event that a page can listen to; its cursor stays."""
    fcgi_sse = start_fcgi_sse(redis, "--history-count=2", "--retry=100")
    publish_ids(redis, "--lines", "a", stdin=b"0\n1\n2\n3\n")
    client = NodeClient(run, library, web("nginx-example", fcgi_sse).url("channels=a&lastEventId=0"))
    client.wait(lambda: client.data()[-1:] == ["3"], "the kept ones")
    first, *rest = client.events()
    assert first["event"] == "stream-reset" and json.loads(first["data"])["reason"] == "trimmed"
    assert [e["data"] for e in rest] == ["2", "3"]
