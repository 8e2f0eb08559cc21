# SPDX-License-Identifier: ISC
"""sse-serve: one command that starts everything and ends it all."""
import os
import re
import signal

import pytest

import webservers
from processes import FCGI_SSE_BIN, SSE_PUBLISH_BIN, TOP, free_port, port_listens, publish_ids, wait_until


class Served:
    """The web server inside sse-serve."""

    speaks, name, path = "http", "sse-serve", "/sse/"

    def __init__(self, run, *options):
        self.port = free_port()
        self.address = ("127.0.0.1", self.port)
        self.program = run("sse-serve", [os.path.join(TOP, "sse-serve"), "--port=%d" % self.port, *options],
                           env={"FCGI_SSE_BIN": FCGI_SSE_BIN, "SSE_PUBLISH_BIN": SSE_PUBLISH_BIN},
                           start_new_session=True)
        # it says what to open when all parts are up
        self.program.ready(lambda: b"http://" in self.program.stdout(), 20)

    def url(self, query=""):
        return webservers.WebServer.url(self, query)


def test_with_its_own_redis(run, loop, folder):
    """sse-serve with no Redis named starts a private one; the page and the stream are there; Ctrl-C ends it all."""
    served = Served(run)
    page = loop.fetch(served, path="/", accept="text/html")
    if page.status in (301, 302):
        page = loop.fetch(served, path=re.sub(r"^http://[^/]*", "", page.headers["location"]), accept="text/html")
    assert page.status == 200 and "EventSource" in page.text
    stream = loop.live(served, "all,foo", seconds=20)
    # the publish command that it prints works
    out = served.program.stdout().decode() + served.program.stderr()
    socket_path = re.search(r"(/\S+\.sock\S*)", out)
    if socket_path:
        os.system("redis-cli -s %s PUBLISH all pasted >/dev/null" % socket_path.group(1).rstrip("'\""))
        assert stream.wait_data(1) == ["pasted"]
    os.killpg(served.program.pid, signal.SIGINT)
    stream.wait_end(15)
    served.program.wait(15)


def test_with_a_named_redis(redis, run, loop):
    """--redis names one; plain PUBLISH and sse-publish arrive."""
    served = Served(run, "--redis=" + redis.url)
    stream = loop.live(served, "all", seconds=20)
    redis.publish("all", "plain")
    publish_ids(redis, "all", "recorded")
    stream.wait_data(2)
    served.program.signal(signal.SIGTERM)
    served.program.wait(15)
    assert redis.client.ping(), "a named Redis is not ours to stop"


@pytest.mark.parametrize("number", [signal.SIGKILL])
def test_killed(run, folder, number):
    """Even SIGKILL of sse-serve leaves nothing behind (the folder fixture looks)."""
    served = Served(run)
    served.program.signal(number)
    wait_until(lambda: not port_listens(served.port), 15)
