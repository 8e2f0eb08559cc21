# SPDX-License-Identifier: ISC
"""Streams that share a process: each gets what it would get in one of its own."""
import pytest

from processes import publish_ids, wait_until


@pytest.fixture
def fcgi_sse(redis, start_fcgi_sse):
    return start_fcgi_sse(redis, "--streams-per-process=50")


def test_streams_move(redis, fcgi_sse, loop):
    """Streams that are live are held by one carrier; each goes on with each event, once and in order."""
    streams = [loop.live(fcgi_sse, "all,c%d" % i) for i in range(3)]
    fcgi_sse.wait_carried(3)
    assert len(fcgi_sse.carriers()) == 1
    ids = [publish_ids(redis, "all", "event %d" % i)[0] for i in range(5)]
    for s in streams:
        s.wait_data(5)
        assert [int(e.id) for e in s.events] == ids
