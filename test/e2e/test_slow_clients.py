# SPDX-License-Identifier: ISC
"""Clients that do not read: they cost Redis nothing, their own process little, and nobody else time."""
import time

import pytest

import processes
from processes import SSE_PUBLISH_BIN, memory_peak_kb, publish_ids, redis_environment, under_sanitizer, wait_until

NUMBER = 3000
SIZE = 8000  # of an event: 24 MB in all, six times what a stream keeps for its client


@pytest.fixture
def publish(redis, run, folder):
    """publish() -> sse-publish at work on numbered large events."""
    def start():
        redis.client.hset("sse:limits", mapping={"count": 100000, "age": 86400, "bytes": 10 ** 9})
        lines = folder.write("lines", "".join("%05d%s\n" % (i, "x" * SIZE) for i in range(NUMBER)))
        with open(lines, "rb") as f:
            return run("sse-publish", [SSE_PUBLISH_BIN, "--lines", "a"], stdin=f, env=redis_environment(redis))
    return start


def buffered(redis):
    """Bytes that Redis keeps for subscribers."""
    return sum(int(c["omem"]) for c in redis.clients("pubsub"))


def numbers(stream):
    return [int(d[:5]) for d in stream.data]


def test_they_cost_redis_nothing(redis, start_fcgi_sse, loop, publish):
    """Beside ten that do not read Redis keeps next to nothing, who reads gets all, and those who read on, too."""
    fcgi_sse = start_fcgi_sse(redis, "--heartbeat=1", "--record=none", "--write-timeout=120")
    slow = [loop.live(fcgi_sse, "a") for _ in range(10)]
    for stream in slow:
        loop.stop_reading(stream)
    fast = [loop.live(fcgi_sse, "a") for _ in range(2)]
    publisher, most = publish(), 0
    while publisher.running():
        loop.step(0.01)
        most = max(most, buffered(redis))
    for stream in fast:
        stream.wait_for(lambda s: len(s.events) >= NUMBER)
    wait_until(lambda: redis.channel_subscribers("sse:event:a") == 2, what="the slow ones to leave the channel")
    wait_until(lambda: buffered(redis) == 0, what="Redis to keep nothing")
    if not any(map(under_sanitizer, fcgi_sse.responders())):  # those are slow themselves
        assert most < 10 * (1 << 20), "Redis kept %d bytes" % most
    for pid in fcgi_sse.responders():
        if not under_sanitizer(pid):
            assert memory_peak_kb(pid) < 32 << 10
    for stream in slow:
        loop.resume_reading(stream)
    for stream in slow + fast:
        stream.wait_for(lambda s: len(s.events) >= NUMBER, 60)
        assert numbers(stream) == list(range(NUMBER)) and not stream.resets and stream.ended is None
    # and all are live again
    wait_until(lambda: loop.step(0.01) or redis.channel_subscribers("sse:event:a") == 12, what="all to be back")


def test_they_end(redis, start_fcgi_sse, loop, publish):
    """Who takes nothing for --write-timeout is ended; a client that takes a little now and then is not."""
    fcgi_sse = start_fcgi_sse(redis, "--heartbeat=1", "--record=none", "--write-timeout=3")
    dead, sleepy = loop.live(fcgi_sse, "a"), loop.live(fcgi_sse, "a")
    loop.stop_reading(dead)
    loop.stop_reading(sleepy)
    publisher = publish()

    def nap():
        loop.resume_reading(sleepy)
        for _ in range(3):
            loop.step(0)
        loop.stop_reading(sleepy)
        time.sleep(0.2)
        return len(fcgi_sse.responders()) == 1

    publisher.wait(60)
    wait_until(nap, 60, "the dead one to end")
    loop.resume_reading(sleepy)
    sleepy.wait_for(lambda s: len(s.events) >= NUMBER, 60)
    assert numbers(sleepy) == list(range(NUMBER)) and sleepy.ended is None and not sleepy.resets


def test_they_end_when_nothing_else_happens(redis, start_fcgi_sse, loop):
    """--write-timeout counts from when something waits, not from the next event, heartbeat or check."""
    fcgi_sse = start_fcgi_sse(redis, "--heartbeat=600", "--record=none", "--write-timeout=1")
    loop.stop_reading(loop.live(fcgi_sse, "a"))
    publish_ids(redis, "a", stdin=b"x" * 1000000)
    fcgi_sse.wait_streams(0)


def test_one_that_is_always_a_little_behind(redis, start_fcgi_sse, loop):
    """A client that keeps up, two megabytes behind, for 100 MB: its responder keeps no more than those."""
    fcgi_sse = start_fcgi_sse(redis, "--record=none")
    stream = loop.live(fcgi_sse, "a")
    loop.stop_reading(stream)
    published = 0
    while len(stream.events) < 1600:
        if published - len(stream.events) < 40:
            publish_ids(redis, "--lines", "a", stdin=b"%s\n" % (b"x" * 64000) * 10)
            published += 10
            continue
        loop.resume_reading(stream)
        stream.wait_for(lambda s: published - len(s.events) <= 30)
        loop.stop_reading(stream)
    pid = fcgi_sse.responders()[0]
    assert redis.channel_subscribers("sse:event:a") == 1 and not stream.resets
    if not under_sanitizer(pid):
        assert memory_peak_kb(pid) < 32 << 10


def test_what_is_trimmed_meanwhile_is_told(redis, start_fcgi_sse, loop, publish):
    """A history that moves past a client that does not read: the reset says so, and the rest comes in order."""
    fcgi_sse = start_fcgi_sse(redis, "--heartbeat=1", "--record=none", "--write-timeout=120")
    stream = loop.live(fcgi_sse, "a")
    loop.stop_reading(stream)
    publisher = publish()
    redis.client.hset("sse:limits", mapping={"count": 50})
    publisher.wait(60)
    loop.resume_reading(stream)
    stream.wait_for(lambda s: s.data and s.data[-1][:5] == "%05d" % (NUMBER - 1), 60)
    got = numbers(stream)
    assert got == sorted(set(got)) and got[-50:] == list(range(NUMBER - 50, NUMBER))
    assert [r["reason"] for r in stream.resets] == ["trimmed"] * len(stream.resets) and stream.resets
    assert stream.ended is None


def test_shutting_down(redis, start_fcgi_sse, loop, publish):
    """SIGTERM: a client that does not read holds up nothing, and one that reads gets its end."""
    fcgi_sse = start_fcgi_sse(redis, "--heartbeat=1", "--record=none", "--drain=1")
    slow, fast = loop.live(fcgi_sse, "a"), loop.live(fcgi_sse, "a")
    loop.stop_reading(slow)
    publish().wait(60)
    fast.wait_for(lambda s: len(s.events) >= NUMBER, 60)
    fcgi_sse.process.terminate()
    fast.wait_end()
    assert fast.ended == "clean" and 1000 <= fast.retry_ms <= 5000
    fcgi_sse.wait()
    assert "signal 9" not in fcgi_sse.stderr()


def test_large_event_to_many(redis, start_fcgi_sse, loop):
    """A large event to many: Redis does not hold it for each of them; all get it, once, and in its place."""
    fcgi_sse = start_fcgi_sse(redis, "--record=none")
    sizes = [10, 1000000, 10, 900000, 10, 10]
    few = [loop.live(fcgi_sse, "a") for _ in range(3)]
    raw = redis.client.pubsub()
    raw.subscribe("sse:event:a")
    publish_ids(redis, "a", stdin=b"x" * 1000000)
    many = few + [loop.live(fcgi_sse, "a,b") for _ in range(42)]
    ids = [publish_ids(redis, "a", stdin=b"x" * size)[0] for size in sizes]
    for stream in many:
        there = len(ids) + (stream in few)  # those have had one before
        stream.wait_for(lambda s: len(s.events) >= there, 60)
        assert [int(e.id) for e in stream.events][-len(ids):] == ids and not stream.resets
        assert [len(e.data) for e in stream.events][-len(ids):] == sizes
    heard = []
    while len(heard) < 1 + len(sizes):
        message = raw.get_message(timeout=10)
        if message["type"] == "message":
            heard.append(len(message["data"]))
    assert heard[0] > 1000000, "few hear it whole"
    assert max(heard[1:]) < 1000, "many are summoned"
    raw.close()


def publish_to_many(redis, channel, data):
    """A large event as publish.lua publishes it where many listen: they have 2 s to come and get it."""
    with open(processes.TOP + "/lua/publish.lua") as f:
        text = f.read().replace("count[2] * #record", "800000000")
    keys = ["sse:clock", "sse:epoch", "sse:limits", "sse:recorder", "sse:history:" + channel, "sse:meta:" + channel]
    return int(redis.client.register_script(text)(
        keys=keys, args=["sse:event:", "p", "", "", "data: %s\n\n" % data, channel])[0])


def test_nothing_overtakes_a_large_event(redis, start_fcgi_sse, loop):
    """What is published on another channel before a large event is read waits for that: whoever left in
    between with the newer id would never get the older one."""
    fcgi_sse = start_fcgi_sse(redis, "--heartbeat=600", "--record=none")
    streams = [loop.live(fcgi_sse, "a,b") for _ in range(3)]
    ids = publish_ids(redis, "b", "before") + [publish_to_many(redis, "a", "x" * 70000)]
    ids += publish_ids(redis, "b", "after") + publish_ids(redis, "a", "last")
    for stream in streams:
        stream.wait_for(lambda s: len(s.events) >= 4)
        assert [int(e.id) for e in stream.events] == ids and not stream.resets
    # and they are live again: the next check is far off
    more = publish_ids(redis, "b", "live")
    for stream in streams:
        stream.wait_for(lambda s: len(s.events) >= 5)
        assert int(stream.events[-1].id) == more[0]
