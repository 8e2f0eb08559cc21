# SPDX-License-Identifier: ISC
"""What a stream that shares a process says and hears, and how long it lives: as one in a process of its own."""
import os
import signal
import time

import pytest

import fcgi
from processes import history, publish_ids, wait_until
from returning import Returning
from sse import cgi_variables

LOG = r"[Rr]edis|recorder|recorded|subscription|lease|signal 9|connect"


@pytest.fixture
def start(redis, start_fcgi_sse):
    def start(*options, redis=redis):
        return start_fcgi_sse(redis, "--streams-per-process=50", *options).expect_log(LOG)
    return start


def carried(loop, fcgi_sse, channels="a", **more):
    before = fcgi_sse.carried()
    stream = loop.live(fcgi_sse, channels, **more)
    fcgi_sse.wait_carried(before + 1)
    return stream


# ---- time

def test_heartbeats(start, loop):
    """Comments, or events where the page asked for them; at the interval, and less where there are events."""
    fcgi_sse = start("--heartbeat=1")
    comments, events = carried(loop, fcgi_sse), carried(loop, fcgi_sse, query={"heartbeat": "event"})
    began = time.monotonic()
    comments.wait_for(lambda s: len(s.comments) >= 2)
    events.wait_for(lambda s: sum(e.type == "stream-heartbeat" for e in s.all_events) >= 2)
    assert 0.8 < time.monotonic() - began < 6
    assert not comments.all_events and not events.comments
    assert not comments.ended and not events.ended


def test_max_lifetime(redis, start, loop):
    """Its life ends when it would have in a process of its own, and properly."""
    fcgi_sse = start("--max-lifetime=2")
    began = time.monotonic()
    streams = [carried(loop, fcgi_sse) for _ in range(2)]
    publish_ids(redis, "a", "x")
    for stream in streams:
        stream.wait_end()
        assert stream.ended == "clean" and stream.data == ["x"]
    assert 1 < time.monotonic() - began < 6
    fcgi_sse.wait_carried(0)


def test_write_timeout_when_nothing_else_happens(redis, start, loop):
    """--write-timeout counts from when something waits."""
    fcgi_sse = start("--heartbeat=600", "--write-timeout=1")
    loop.stop_reading(carried(loop, fcgi_sse))
    publish_ids(redis, "a", stdin=b"x" * 1000000)
    fcgi_sse.wait_carried(0, 10)


# ---- what is sent

@pytest.mark.parametrize("size", [1, 60000, 65519, 65520, 65535, 65536, 131070, 500000])
def test_frames_of_any_size(redis, start, loop, size):
    """A frame that takes several records of FastCGI, alone and among others, to one who reads and one who was slow."""
    fcgi_sse = start()
    stream, slow = carried(loop, fcgi_sse), carried(loop, fcgi_sse)
    loop.stop_reading(slow)
    sizes = [size, 5, size, size, 70000, size, 5]
    lines = b"".join(b"x" * n + b"\n" for n in sizes)
    publish_ids(redis, "--lines", "a", stdin=lines)
    assert [len(d) for d in stream.wait_data(len(sizes))] == sizes
    loop.resume_reading(slow)
    assert [len(d) for d in slow.wait_data(len(sizes))] == sizes
    assert [e.id for e in slow.events] == [e.id for e in stream.events]


@pytest.mark.parametrize("number", [20000, pytest.param(100000, marks=pytest.mark.soak)])
def test_small_frames(redis, start, loop, number):
    """Many small ones: records are whole, of the request's id, and as long as they say."""
    fcgi_sse = start("--history-count=100000", "--history-bytes=1000000000")
    conn = fcgi.Connection(fcgi_sse.address)
    conn.send(fcgi.record(fcgi.BEGIN_REQUEST, b"\0\1\0\0\0\0\0\0", request_id=7))
    conn.send(fcgi.record(fcgi.PARAMS, fcgi.pairs(
        cgi_variables("GET", "channels=a", {"Accept": "text/event-stream"}, None)), request_id=7))
    conn.send(fcgi.record(fcgi.PARAMS, request_id=7), fcgi.record(fcgi.STDIN, request_id=7))
    fcgi_sse.wait_carried(1)
    stream = carried(loop, fcgi_sse)
    publish_ids(redis, "--lines", "a", stdin=b"".join(b"%d\n" % i for i in range(number)))
    received = b""
    while b"data: %d\n\n" % (number - 1) not in received[-200:]:
        chunk = conn.sock.recv(1 << 20)
        assert chunk
        received += chunk
    at, body = 0, []
    while at < len(received):
        record, at = fcgi.record_at(received, at)
        assert record.type == fcgi.STDOUT and record.request_id == 7 and record.content
        body.append(record.content)
    conn.close()
    events = [event for event in b"".join(body).split(b"\n\n") if b"event: stream-" not in event]
    assert [int(event.partition(b"data: ")[2]) for event in events if b"data: " in event] == list(range(number))
    assert [int(d) for d in stream.wait_data(number)] == list(range(number))


def test_sets_of_channels(redis, start, loop):
    """Many streams, each of several of many channels: each gets its own, all in one order."""
    fcgi_sse = start()
    sets = [{"c%d" % (i % 7), "c%d" % (i % 11), "c%d" % (i % 13)} for i in range(20)]
    streams = [carried(loop, fcgi_sse, sorted(s)) for s in sets[:10]]
    for i in range(13):
        publish_ids(redis, "c%d" % i, "c%d" % i)
    streams += [carried(loop, fcgi_sse, sorted(s)) for s in sets[10:]]
    for i in range(13):
        publish_ids(redis, "c%d" % i, "c%d" % i)
    for i, (stream, channels) in enumerate(zip(streams, sets)):
        want = [c for c in ("c%d" % k for k in range(13)) if c in channels] * (2 if i < 10 else 1)
        assert stream.wait_data(len(want)) == want
    assert len(fcgi_sse.carriers()) == 1
    # those that leave take nothing along
    for stream in streams[::2]:
        stream.close()
    fcgi_sse.wait_carried(10)
    last = publish_ids(redis, "c1", "end")[0]
    for stream, channels in list(zip(streams, sets))[1::2]:
        if "c1" in channels:
            stream.wait_for(lambda s: s.last_id == str(last))


# ---- the recorder

def test_recorder_is_gone(redis, start, loop):
    """Killed for good: plain messages reach streams that were carried before, live and once."""
    fcgi_sse = start("--heartbeat=1")
    streams = [carried(loop, fcgi_sse, "a,b") for _ in range(3)]
    redis.client.publish("a", "before")
    for stream in streams:
        assert stream.wait_data(1) == ["before"]
    os.kill(fcgi_sse.pid, signal.SIGKILL)
    fcgi_sse.check_stderr = False
    fcgi_sse.process.wait()
    os.kill(fcgi_sse.recorder_pid, signal.SIGKILL)
    sent = 0

    def publish():
        nonlocal sent
        redis.client.publish("a", "a:%d" % sent)
        sent += 1
        return all(len(s.events) > 5 for s in streams)

    loop.wait_for(publish, 20)
    first = {s: int(s.data[1][2:]) for s in streams}
    loop.wait_for(lambda: all(s.data[-1] == "a:%d" % (sent - 1) for s in streams))
    for stream in streams:
        assert stream.data[1:] == ["a:%d" % i for i in range(first[stream], sent)], stream.describe()
        assert not stream.ended and not stream.resets
    # they go on with what is published through the script
    publish_ids(redis, "b", "b")
    for stream in streams:
        stream.wait_for(lambda s: s.data[-1] == "b")


def test_refused_writes(redis, start, loop):
    """While Redis takes no writes: to one that was carried before, and to those that come, each message once."""
    fcgi_sse = start("--heartbeat=1", "--history-count=100000")
    streams = [carried(loop, fcgi_sse, "a,b") for _ in range(2)]
    numbers = iter(range(10 ** 6))
    sent = {}

    def publish():
        for channel in "ab":
            n = next(numbers)
            redis.client.publish(channel, "%s:%d" % (channel, n))
            sent.setdefault(channel, []).append("%s:%d" % (channel, n))

    def publish_for(seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            publish()
            loop.step(0.005)

    publish_for(0.3)
    redis.client.config_set("min-replicas-to-write", 1)
    publish_for(1.5)
    late = loop.live(fcgi_sse, "a,b")
    publish_for(1)
    redis.client.config_set("min-replicas-to-write", 0)
    publish_for(1)
    later = loop.live(fcgi_sse, "b,a")
    publish_for(0.3)
    for stream in streams + [late, later]:
        stream.wait_for(lambda s: all(any(d == sent[c][-1] for d in s.data[-20:]) for c in "ab"), 20)
        for channel in "ab":
            got = [d for d in stream.data if d.startswith(channel)]
            assert got == sent[channel][-len(got):], (stream.describe(), len(got), len(sent[channel]))
            if stream in streams:
                assert got == sent[channel]
        assert not stream.ended and not stream.resets
    fcgi_sse.wait_carried(4)
    assert [r[3].split(b"data: ")[1].strip().decode() for r in history(redis, "a")] == sent["a"]


# ---- the store

KEYS = ["sse:clock", "sse:epoch", "sse:limits", "sse:recorder", "sse:history:a", "sse:meta:a", "sse:last"]


def lose_everything(redis):
    redis.client.flushall()


def lose(*keys):
    return lambda redis: redis.client.delete(*keys)


LOSSES = {"all": lose_everything, "a": lose("sse:history:a", "sse:meta:a"), **{key: lose(key) for key in KEYS}}


def items(stream):
    return [(e.type, e.data if e.type == "message" else e.data.partition('"id"')[0]) for e in stream.all_events]


def check_as_own(redis, streams, own):
    """All got what those in processes of their own got."""
    last = max(publish_ids(redis, "a", "last a") + publish_ids(redis, "b", "last b"))
    for stream in streams + own:
        stream.wait_for(lambda s: s.last_id == str(last))
    for stream in streams:
        assert items(stream) == items(own[0]), (stream.describe(), items(own[0]))
        assert not stream.ended


@pytest.mark.parametrize("what", sorted(LOSSES))
def test_store_is_lost(redis, start, start_fcgi_sse, loop, what):
    """Keys are deleted: the same events and resets as streams get that share no process."""
    fcgi_sse = start("--heartbeat=1")
    alone = start_fcgi_sse(redis, "--heartbeat=1", "--record=none", "--streams-per-process=1").expect_log(LOG)
    wait_until(lambda: redis.client.exists("sse:limits"))
    for i in range(3):
        publish_ids(redis, "a", "a%d" % i)
    streams = [carried(loop, fcgi_sse, "a,b") for _ in range(2)]
    own = [loop.live(alone, "a,b")]
    ids = publish_ids(redis, "a", "x") + publish_ids(redis, "b", "y")
    for stream in streams + own:
        stream.wait_data(2)
    LOSSES[what](redis)
    # by the next event, or by a check
    publish_ids(redis, "a", "z")
    for stream in streams + own:
        stream.wait_data(3)
    LOSSES[what](redis)
    time_to_check = time.monotonic() + 1.4
    loop.wait_for(lambda: time.monotonic() > time_to_check)
    check_as_own(redis, streams, own)
    # and one that moves in afterwards, with an old id
    resumed = [loop.live(where, "a,b", last_event_id=ids[0]) for where in (fcgi_sse, alone)]
    fcgi_sse.wait_carried(3)
    last = publish_ids(redis, "b", "end")[0]
    for stream in resumed:
        stream.wait_for(lambda s: s.last_id == str(last))
    assert items(resumed[0]) == items(resumed[1])


def test_older_store(start_redis, start, start_fcgi_sse, loop):
    """Redis comes back with what it had a while ago: a reset to all, and all goes on."""
    redis = start_redis(extra=["--dbfilename", "dump.rdb"])
    fcgi_sse = start("--heartbeat=1", redis=redis)
    alone = start_fcgi_sse(redis, "--heartbeat=1", "--record=none", "--streams-per-process=1").expect_log(LOG)
    streams = [carried(loop, fcgi_sse, "a,b") for _ in range(2)]
    own = [loop.live(alone, "a,b")]
    publish_ids(redis, "a", "kept")
    redis.client.save()
    for i in range(5):
        publish_ids(redis, "a", "lost%d" % i)
    for stream in streams + own:
        stream.wait_data(6)
    client = Returning(loop, fcgi_sse, "a,b").wait_live()
    redis.restart()
    for stream in streams + own:
        stream.wait_for(lambda s: s.resets, 20)
    check_as_own(redis, streams, own)
    assert [r["reason"] for r in streams[0].resets] == ["flushed"]
    loop.wait_for(lambda: client.data[-1:] == ["last b"], what=client.describe)
