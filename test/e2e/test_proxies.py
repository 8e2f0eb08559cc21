# SPDX-License-Identifier: ISC
"""A web server behind another one: each kind inside and outside."""
import os
import signal

import pytest

from processes import TOP, publish_ids
from proxies import FRONTS, INNERS


with open(os.path.join(TOP, "README.md"), encoding="utf-8") as file:
    README = file.read()


@pytest.fixture
def front(folder, stack):
    """front(kind, server, ...) -> a running proxy of this kind in front of a server."""
    def start(kind, server, **more):
        proxy = FRONTS[kind](folder, server, **more)
        stack.callback(proxy.stop)
        return proxy
    return start


@pytest.fixture
def chain(folder, stack, front):
    """chain(outer, inner, fcgi_sse, ...) -> the outer of two running servers."""
    def start(outer, inner, fcgi_sse, **more):
        server = INNERS[inner](folder, fcgi_sse)
        stack.callback(server.stop)
        server = front(outer, server, **more)

        def end_streams():
            """Else Apache, which has not heard that its clients left, waits for them."""
            stack.close_streams()
            fcgi_sse.kill_responders(signal.SIGTERM)

        stack.callback(end_streams)
        return server
    return start


@pytest.mark.parametrize("inner", INNERS)
@pytest.mark.parametrize("outer", FRONTS)
def test_each_event_at_once(redis, fcgi_sse, loop, chain, outer, inner):
    """Through two servers, the outer one with its defaults and the line that README names: the header at once, each
    event at once, and a resume."""
    server = chain(outer, inner, fcgi_sse)
    stream = loop.live(server, "all")
    ids = []
    for text in ("one", "two"):
        ids += publish_ids(redis, "all", text)
        stream.wait_data(len(ids))
    assert stream.data == ["one", "two"]
    assert loop.live(server, "all", last_event_id=ids[0]).wait_data(1) == ["two"]


def test_three_in_a_row(redis, fcgi_sse, loop, chain, front):
    """nginx between two others passes the header on by the line that README names."""
    line = "proxy_pass_header X-Accel-Buffering;"
    assert line in README
    server = front("nginx", chain("nginx", "nginx", fcgi_sse, needs=line))
    stream = loop.live(server, "all")
    publish_ids(redis, "all", "x")
    assert stream.wait_data(1) == ["x"]


def test_lighttpd_in_front_needs_its_line(redis, fcgi_sse, loop, chain):
    """lighttpd with its defaults keeps everything to the end: what README names is needed, and it names it."""
    assert FRONTS["lighttpd"].needs in README
    stream = loop.open(chain("lighttpd", "nginx", fcgi_sse, needs=""), "all")
    loop.wait_for(lambda: redis.channel_subscribers("sse:event:all") == 1)
    publish_ids(redis, "all", "x")
    assert stream.status is None
    fcgi_sse.kill_responders(signal.SIGTERM)
    assert stream.wait_end().data == ["x"]


@pytest.mark.parametrize("outer, inner", [
    ("nginx", "nginx"), ("lighttpd", "nginx"), ("apache", "haproxy"), ("haproxy", "apache"), ("nginx", "lighttpd")])
def test_client_that_left(redis, start_fcgi_sse, loop, chain, outer, inner):
    """A client that left is noticed through two servers, by the heartbeats."""
    fcgi_sse = start_fcgi_sse(redis, "--heartbeat=1")
    loop.live(chain(outer, inner, fcgi_sse), "all").close()
    fcgi_sse.wait_streams(0)
