# SPDX-License-Identifier: ISC
"""Clients that do not read, in a process that they share with others: they cost those neither events nor time."""
import resource
import time

import pytest

from processes import SSE_PUBLISH_BIN, alive, redis_environment, under_sanitizer
from returning import Returning

SIZE = 2000
NUMBER = 600  # 1.2 MB: some times what waits in a socket
MANY = pytest.param(200, 800, marks=[pytest.mark.soak, pytest.mark.seconds(600)])


@pytest.fixture(autouse=True)
def descriptors():
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


@pytest.fixture
def publish(redis, run, folder):
    """publish() -> sse-publish at work on numbered events, each time on from the last one."""
    published = [0]

    def start(number=NUMBER, size=SIZE):
        first, published[0] = published[0], published[0] + number
        lines = folder.write("lines", "".join(
            "%06d%s\n" % (i, "x" * size) for i in range(first, first + number)))
        with open(lines, "rb") as f:
            return run("sse-publish", [SSE_PUBLISH_BIN, "--lines", "a"], stdin=f, env=redis_environment(redis))
    return start


@pytest.fixture
def start(redis, start_fcgi_sse):
    def start(*options):
        return start_fcgi_sse(redis, "--heartbeat=30", "--history-count=100000", "--history-bytes=1000000000", *options)
    return start


def rss_kb(pid):
    with open("/proc/%d/status" % pid) as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def numbers(events):
    return [int(d[:6]) for d in events]


def opened(loop, fcgi_sse, number):
    """So many clients, in a carrier."""
    before = fcgi_sse.carried()
    clients = [Returning(loop, fcgi_sse, "a").wait_live() for _ in range(number)]
    fcgi_sse.wait_carried(before + number)
    return clients


def time_for(loop, clients, publish, watch=lambda: None):
    """How long it takes until those who read have all that is published."""
    began, there = time.monotonic(), len(clients[0].got)
    publish()

    def is_there():
        watch()
        return all(len(c.got) == there + NUMBER for c in clients)

    loop.wait_for(is_there, 120)
    return time.monotonic() - began


@pytest.mark.parametrize("slow, fast", [(20, 80), MANY])
def test_they_cost_others_nothing(start, loop, publish, slow, fast):
    """Who reads has all in about the time without them; the carrier stays small; they end by --write-timeout."""
    fcgi_sse = start("--streams-per-process=2000", "--write-timeout=4", "--max-streams=2000")
    readers = opened(loop, fcgi_sse, fast)
    alone = min(time_for(loop, readers, publish) for _ in range(2))
    sleepers = opened(loop, fcgi_sse, slow)
    [carrier] = fcgi_sse.carriers()
    for client in sleepers:
        loop.stop_reading(client.stream)
        client.is_over = True
    most = [0]

    def watch():
        most[0] = max(most[0], rss_kb(carrier))

    together = min(time_for(loop, readers, publish, watch) for _ in range(2))
    print("alone %.2f s, together %.2f s, %d kB at the most" % (alone, together, most[0]))
    assert together < 2 * alone + 1
    if not under_sanitizer(carrier):
        assert most[0] < 120 << 10
    loop.wait_for(lambda: fcgi_sse.carried() == fast, 12, lambda: "%d carried" % fcgi_sse.carried())
    assert len(fcgi_sse.responders()) < 70
    for client in readers:
        assert numbers(client.data) == list(range(4 * NUMBER)) and not client.resets, client.describe()
    # a few may have fallen behind where the test itself is the slow one
    assert sum(len(client.ends) for client in readers) <= fast // 10


def test_who_reads_again_goes_on(start, loop, publish):
    """One that is behind while others are not is sent to a responder, and has all, once and in order."""
    fcgi_sse = start("--streams-per-process=50", "--write-timeout=60")
    *readers, client = opened(loop, fcgi_sse, 6)
    loop.stop_reading(client.stream)
    slow = client.stream
    publish()
    loop.wait_for(lambda: all(len(c.got) == NUMBER for c in readers))
    # while it takes nothing its end waits, and nothing else does
    loop.stays(lambda: not slow.ended, 3)
    publish(10)
    loop.resume_reading(slow)
    loop.wait_for(lambda: len(client.data) == NUMBER + 10, what=client.describe)
    assert numbers(client.data) == list(range(NUMBER + 10)) and not client.resets
    assert client.ends == ["clean"], client.describe()
    fcgi_sse.wait_carried(6)


def test_all_are_slow_for_a_moment(start, loop, publish):
    """All stop for longer than one among others may, while not much waits: no stream ends."""
    fcgi_sse = start("--streams-per-process=50", "--write-timeout=60")
    streams = [client.stream for client in opened(loop, fcgi_sse, 4)]
    for stream in streams:
        loop.stop_reading(stream)
    publish().wait()
    loop.stays(lambda: fcgi_sse.carried() == 4, 3)
    for stream in streams:
        loop.resume_reading(stream)
    for stream in streams:
        stream.wait_data(NUMBER)
        assert numbers(stream.data) == list(range(NUMBER)) and stream.ended is None


@pytest.mark.parametrize("number, seconds", [
    (40, 1), pytest.param(40, 8, marks=pytest.mark.soak), pytest.param(500, 8, marks=pytest.mark.soak)])
def test_all_are_slow(start, loop, publish, number, seconds):
    """All stop at once: no storm of processes; and when they read again nothing is lost."""
    fcgi_sse = start("--streams-per-process=1000", "--write-timeout=60")
    clients = opened(loop, fcgi_sse, number)
    [carrier] = fcgi_sse.carriers()
    for client in clients:
        loop.stop_reading(client.stream)
    streams = [client.stream for client in clients]
    publisher = publish(2000)
    most, responders = 0, 0
    began = time.monotonic()
    while publisher.running() or time.monotonic() < began + seconds:
        loop.step(0.02)
        most = max(most, rss_kb(carrier))
        responders = max(responders, len(fcgi_sse.responders()))
    for stream in streams:
        loop.resume_reading(stream)

    def are_there():
        nonlocal responders
        responders = max(responders, len(fcgi_sse.responders()))
        return all(len(c.data) == 2000 for c in clients)

    loop.wait_for(are_there, 60, lambda: "%r" % [c.describe() for c in clients if len(c.data) != 2000][:2])
    print("%d kB, %d responders, opened %r" % (most, responders, sorted({c.opened for c in clients})))
    for client in clients:
        assert numbers(client.data) == list(range(2000)) and not client.resets, client.describe()
    if not under_sanitizer(carrier):
        assert most < 200 << 10
    assert responders <= 70
    assert alive(carrier)
