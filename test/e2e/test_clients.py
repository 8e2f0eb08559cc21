# SPDX-License-Identifier: ISC
"""Real clients, left to themselves: they connect, are cut, and come back."""
import json
import os
import subprocess

import pytest

from processes import lacks_node, publish_ids, wait_until

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

    def events(self):
        return [line for line in self.said() if "event" in line]

    def data(self):
        return [e["data"] for e in self.events()]

    def wait(self, condition, what):
        wait_until(condition, what=lambda: "%s; the client said %r" % (what, self.said()[-20:]))


@pytest.fixture(params=["eventsource", "eventsource-client"])
def library(request):
    return request.param


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
        fcgi_sse.kill_responders()
        wait_until(lambda: redis.channel_subscribers("sse:event:a") == 0)
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
