# SPDX-License-Identifier: ISC
"""Streams that share a process: each gets what it would get in one of its own."""
import contextlib
import fcntl
import os
import signal
import socket
import struct
import termios

import pytest

from fcgi import Connection
from processes import memory_peak_kb, publish_ids, sse_publish, under_sanitizer, wait_until
from sse import cgi_variables
from test_session import LOCATION, cookie, key_of, login


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


def writes_that_fit(size):
    """How many of that size a Unix socket takes that nobody reads: after them it takes nothing at all."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    count = 0
    with ours, theirs, contextlib.suppress(BlockingIOError):
        while ours.send(b"x" * size) == size:
            count += 1
    return count


def unread(conn):
    """How many bytes wait to be read."""
    return struct.unpack("i", fcntl.ioctl(conn.sock, termios.FIONREAD, b"\0" * 4))[0]


def has_moved(fcgi_sse):
    """The stream that was opened is in a carrier, and its responder has done with it, and ended."""
    fcgi_sse.wait_carried(1)
    fcgi_sse.wait_responders(0)


def live_and_full(redis, fcgi_sse):
    """A stream in a carrier whose client has read nothing, and could not take a byte more."""
    conn = Connection(fcgi_sse.address)
    conn.request(cgi_variables("GET", "channels=all", {}, None))
    has_moved(fcgi_sse)
    while unread(conn):
        conn.sock.recv(65536)
    size = len(b"id: 1234567890123456\ndata: \n\n") + 20000 + 8
    for count in range(1, writes_that_fit(size) + 1):
        publish_ids(redis, "all", "x" * 20000)
        wait_until(lambda n=count: unread(conn) == n * size, what="event %d" % count)
    return conn


def test_last_stream_ends_though_nobody_reads(redis, start_fcgi_sse):
    """Its client takes all, and then not even the end: that is waited for as long as for anything else."""
    fcgi_sse = start_fcgi_sse(redis, "--streams-per-process=50", "--write-timeout=1", "--max-lifetime=10")
    conn = live_and_full(redis, fcgi_sse)
    fcgi_sse.wait_carried(0)
    conn.close()


def test_write_timeout_does_not_wait_for_a_heartbeat(redis, start_fcgi_sse):
    """A client that takes nothing is waited for as long as --write-timeout says, however rare heartbeats are."""
    fcgi_sse = start_fcgi_sse(redis, "--streams-per-process=50", "--write-timeout=1")
    conn = live_and_full(redis, fcgi_sse)
    publish_ids(redis, "all", "y")
    fcgi_sse.wait_carried(0)
    conn.close()


def test_heartbeats_while_a_session_is_in_doubt(redis, start_fcgi_sse, loop):
    """It has spoken, and Redis does not say what its grant is now: no event passes, but a sign of life does."""
    fcgi_sse = start_fcgi_sse(redis, "--streams-per-process=50", "--heartbeat=1").expect_log(r"Redis")
    login(redis, ["all"])
    stream = loop.live(fcgi_sse, params=LOCATION, headers=cookie())
    has_moved(fcgi_sse)
    with redis.client.pipeline() as pipe:
        pipe.publish(key_of(), "0 0 p\n").execute_command("CLIENT", "PAUSE", 120000, "ALL").execute()
    # some may have come before
    stream.wait_for(lambda s: len(s.comments) >= 10)
    redis.restart()


def test_what_many_have_missed_comes_by_and_by(redis, start_fcgi_sse, loop):
    """A carrier that was cut off takes 4 MB for each of 200 streams, and does not hold all that at once."""
    fcgi_sse = start_fcgi_sse(redis, "--streams-per-process=1000")
    streams = [loop.live(fcgi_sse, "all") for _ in range(200)]
    fcgi_sse.wait_carried(200)
    fcgi_sse.wait_responders(0)
    [carrier] = fcgi_sse.carriers()
    os.kill(carrier, signal.SIGSTOP)
    try:
        redis.client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        sse_publish(redis, "--lines", "all", stdin=(b"x" * 20000 + b"\n") * 195)
    finally:
        os.kill(carrier, signal.SIGCONT)
    fcgi_sse.wait_log("subscription to Redis was lost")
    # on a machine that has much else to do a client may be too slow, and is sent back
    for stream in streams:
        stream.wait_for(lambda s: s.ended or len(s.data) >= 195)
        assert not stream.resets
    assert sum(not stream.ended for stream in streams) > 100
    assert under_sanitizer(carrier) or memory_peak_kb(carrier) < 300000
