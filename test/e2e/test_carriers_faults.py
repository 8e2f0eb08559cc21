# SPDX-License-Identifier: ISC
"""A carrier that crashes or stands still, and a parent that restarts, ends or is killed: what that means for the
streams."""
import os
import signal
import time

import pytest

from fcgi import END_REQUEST, Connection
from processes import FCGI_SSE_BIN, alive, publish_ids, wait_until
from returning import Returning, wait_all
from sse import cgi_variables

LOG = r"[Rr]edis|recorder|recorded|subscription|lease|signal|connect|carrier"


@pytest.fixture
def redis(start_redis):
    return start_redis(appendonly=True, extra=["--auto-aof-rewrite-percentage", "0", "--appendfsync", "no"])


class Trickle:
    """Numbered plain events, a few hundred a second."""

    def __init__(self, redis, loop, channels="ab"):
        self.redis, self.loop, self.channels = redis, loop, channels
        self.number = 0
        self.due = 0

    def __call__(self):
        if time.monotonic() < self.due:
            return
        self.due = time.monotonic() + 0.005
        for channel in self.channels:
            self.redis.client.publish(channel, "%s:%d" % (channel, self.number))
        self.number += 1

    def until(self, condition, seconds=60, what="a condition"):
        def step():
            self()
            return condition()
        self.loop.wait_for(step, seconds, what)

    def during(self, seconds):
        end = time.monotonic() + seconds
        self.until(lambda: time.monotonic() > end)


@pytest.fixture
def trickle(redis, loop):
    return Trickle(redis, loop)


@pytest.fixture
def start(redis, start_fcgi_sse):
    def start(*options, **more):
        return start_fcgi_sse(redis, "--history-count=100000", *options, **more).expect_log(LOG)
    return start


def returning(loop, fcgi_sse, number, channels="a,b"):
    """So many clients, in carriers."""
    before = fcgi_sse.carried()
    clients = [Returning(loop, fcgi_sse, channels) for _ in range(number)]
    for client in clients:
        client.wait_live()
    fcgi_sse.wait_carried(before + number)
    return clients


def check_all(redis, clients):
    ids = wait_all(redis, clients)
    for client in clients:
        client.check(ids)
        assert not client.resets, client.describe()


def carrier_of(fcgi_sse, others=()):
    [pid] = [pid for pid in fcgi_sse.carriers() if pid not in others]
    return pid


# ---- crashes

# (a sanitizer would report the second)
@pytest.mark.parametrize("number", [signal.SIGKILL] + ([] if "/san/" in FCGI_SSE_BIN else [signal.SIGSEGV]))
def test_crash(redis, start, loop, trickle, number):
    """The streams of a carrier that crashes come back and miss nothing; those of another one notice nothing; the
    parent logs it, and has another one."""
    fcgi_sse = start("--streams-per-process=10")
    first = returning(loop, fcgi_sse, 10)
    victim = carrier_of(fcgi_sse)
    second = returning(loop, fcgi_sse, 5)
    trickle.during(0.3)
    os.kill(victim, number)
    trickle.until(lambda: all(c.opened == 2 for c in first), 20)
    trickle.until(lambda: fcgi_sse.carried() == 15, 20, fcgi_sse.stderr)
    trickle.during(0.2)
    check_all(redis, first + second)
    assert [c.ends for c in first] == [["cut"]] * 10 and not any(c.ends for c in second)
    fcgi_sse.wait_log(r"carrier %d was ended by signal %d" % (victim, number))
    assert len(fcgi_sse.carriers()) == 2


def test_crash_again_and_again(redis, start, loop, trickle):
    """Carriers that crash one after the other: all are back each time."""
    fcgi_sse = start("--streams-per-process=4")
    clients = returning(loop, fcgi_sse, 12)
    for _ in range(5):
        trickle.until(fcgi_sse.carriers)
        os.kill(fcgi_sse.carriers()[0], signal.SIGKILL)
        trickle.during(0.25)
    check_all(redis, clients)
    fcgi_sse.wait_carried(12)


@pytest.mark.parametrize("seconds", [2, pytest.param(7, marks=pytest.mark.soak)])
def test_standstill(redis, start, loop, trickle, seconds):
    """SIGSTOP of a carrier: late, and nothing lost; who comes meanwhile stays in a responder."""
    fcgi_sse = start("--streams-per-process=20", "--heartbeat=1")
    clients = returning(loop, fcgi_sse, 10)
    carrier = carrier_of(fcgi_sse)
    os.kill(carrier, signal.SIGSTOP)
    try:
        trickle.during(0.2)
        late = [Returning(loop, fcgi_sse, "a,b") for _ in range(3)]
        trickle.during(seconds)
        assert all(len(c.data) > 50 for c in late), [c.describe() for c in late]
    finally:
        os.kill(carrier, signal.SIGCONT)
    trickle.during(0.3)
    check_all(redis, clients + late)
    assert not any(c.ends for c in clients + late), [c.ends for c in clients + late]
    fcgi_sse.wait_carried(13)


# ---- restarts and ends

def test_sighup(redis, start, loop, trickle):
    """SIGHUP in a flood: who is carried stays where he is, who comes goes to a new carrier; nothing is lost."""
    fcgi_sse = start("--streams-per-process=10")
    clients = returning(loop, fcgi_sse, 6)
    old = carrier_of(fcgi_sse)
    for i in range(2):
        fcgi_sse.signal(signal.SIGHUP)
        trickle.until(lambda n=i: fcgi_sse.stderr().count("restarted by SIGHUP") > n)
        trickle.during(0.1)
    later = [Returning(loop, fcgi_sse, "a,b") for _ in range(3)]
    trickle.until(lambda: fcgi_sse.carried() == 9, what=fcgi_sse.stderr)
    assert alive(old) and len(fcgi_sse.carriers()) == 2
    check_all(redis, clients + later)
    assert not any(c.ends for c in clients + later)


def test_sigterm_drains(start, loop, trickle):
    """SIGTERM: the streams end one after the other over --drain, each with a time to come back, and properly."""
    fcgi_sse = start("--streams-per-process=50", "--drain=3")
    streams = [loop.live(fcgi_sse, "a,b") for _ in range(30)]
    fcgi_sse.wait_carried(30)
    trickle.during(0.1)
    pids = fcgi_sse.carriers()
    ends = {}
    began = time.monotonic()
    fcgi_sse.signal(signal.SIGTERM)

    def are_over():
        for stream in streams:
            if stream.ended:
                ends.setdefault(stream, time.monotonic() - began)
        return len(ends) == len(streams)

    trickle.until(are_over, 10)
    assert fcgi_sse.wait() == 0
    times = sorted(ends.values())
    assert times[0] < 1.2 and times[-1] < 4 and times[-1] - times[0] > 1.2, times
    assert sum(1 for a, b in zip(times, times[1:]) if b - a > 0.02) > 8, times
    for stream in streams:
        assert stream.ended == "clean" and 1000 <= stream.retry_ms <= 5000, stream.describe()
    assert len({s.retry_ms for s in streams}) > 10
    assert not any(alive(pid) for pid in pids)


def test_killed_parent(redis, start, folder, stack, loop, trickle):
    """SIGKILL of the parent: its carriers' streams go on; a new parent takes the socket over, and has its own."""
    fcgi_sse = start("--streams-per-process=10")
    clients = returning(loop, fcgi_sse, 6)
    carrier = carrier_of(fcgi_sse)
    fcgi_sse.kill()
    trickle.during(0.3)
    new = start("--streams-per-process=10", socket_path=fcgi_sse.socket_path)
    later = [Returning(loop, new, "a,b") for _ in range(3)]
    trickle.until(lambda: new.carried() == 3, what=new.stderr)
    trickle.during(0.3)
    assert alive(carrier)
    check_all(redis, clients + later)
    assert not any(client.ends for client in clients + later)
    for client in clients:
        client.leave()
    wait_until(lambda: not alive(carrier), what="the end of the old carrier")


# ---- leaving

def test_leaving(start, loop):
    """A client that leaves is noticed at once, whether the connection is closed or the web server aborts the request."""
    fcgi_sse = start("--streams-per-process=10", "--heartbeat=60")
    streams = [loop.live(fcgi_sse, "a") for _ in range(3)]
    fcgi_sse.wait_carried(3)
    began = time.monotonic()
    streams[0].close()
    fcgi_sse.wait_carried(2)
    assert time.monotonic() - began < 0.3
    conn = Connection(fcgi_sse.address)
    conn.request(cgi_variables("GET", "channels=a", {"Accept": "text/event-stream"}, None))
    fcgi_sse.wait_carried(3)
    began = time.monotonic()
    conn.sock.sendall(b"\1\2\0\1\0\0\0\0")
    fcgi_sse.wait_carried(2)
    assert time.monotonic() - began < 0.3
    records = conn.read_to_end()
    conn.close()
    assert records[-1].type == END_REQUEST and not streams[1].ended
    publish_ids(fcgi_sse.redis, "a", "x")
    assert streams[1].wait_data(1) == ["x"] and streams[2].wait_data(1) == ["x"]
