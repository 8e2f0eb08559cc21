# SPDX-License-Identifier: ISC
"""Redis' client-output-buffer-limit below what a take asks for: a stream asks for less, and what
no limit lets through is told and passed over.  The frame is bounded, not only the data."""
import os
import re
import socket
import threading
import time

import pytest

import processes
from processes import history, publish_ids, sse_publish, wait_until

KB = 1024
# of records; far enough from the limits that the reply's own bytes do not matter
SIZES = [1 * KB, 40 * KB, 300 * KB, 1 * KB, 700 * KB, 1400 * KB, 1 * KB, 3000 * KB, 1 * KB, 6000 * KB, 1 * KB]
LIMITS = {"512kb": 512 * KB, "1mb": 1024 * KB, "2mb": 2048 * KB, "8mb": 8192 * KB}
OVERSIZED = r"an event of \d+ bytes on 'a' was skipped .*client-output-buffer-limit pubsub"


class SlowLine:
    """A forwarding proxy on a Unix socket: what Redis says arrives at 1.3 MB/s."""

    def __init__(self, path, redis_path):
        self.path, self.redis_path = path, redis_path
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(path)
        os.chmod(path, 0o777)
        self.listening.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listening.close()

    def _accept(self):
        while True:
            try:
                client, _ = self.listening.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(self.redis_path)
            threading.Thread(target=self._pass_on, args=(client, server, 0), daemon=True).start()
            threading.Thread(target=self._pass_on, args=(server, client, 0.05), daemon=True).start()

    @staticmethod
    def _pass_on(source, target, pause):
        try:
            while True:
                received = source.recv(65536)
                if not received:
                    break
                target.sendall(received)
                time.sleep(pause)
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def limit_output(redis, limit):
    redis.client.config_set("client-output-buffer-limit", "pubsub %s 0 0" % limit)
    redis.client.hset("sse:limits", mapping={"count": 100000, "age": 86400, "bytes": 10 ** 9})


def publish_sizes(redis, sizes):
    """An event of each size; the ids."""
    return [publish_ids(redis, "--event-bytes=16777216", "a", stdin=b"x" * size)[0] for size in sizes]


def check_all_but_oversized(stream, ids, sizes, limit):
    """What fits came, once and in order; each other one, too, or it was said that it does not.  (Redis
    looks at its limit now and then: who reads fast enough gets more than that.)"""
    stream.wait_for(lambda s: s.last_id == str(ids[-1]), 40)
    came = [int(e.id) for e in stream.events]
    told = [int(r["id"]) for r in stream.resets]
    assert all((r["reason"], r["channels"]) == ("oversized", ["a"]) for r in stream.resets)
    assert sorted(came + told) == ids and came == sorted(came) and told == sorted(told)
    assert all(size >= limit for i, size in zip(ids, sizes) if i in told)
    assert stream.ended is None


@pytest.fixture
def fcgi_sse(redis, start_fcgi_sse):
    # no recorder: it has a subscription, too, and hears none of this
    return start_fcgi_sse(redis, "--heartbeat=1", "--record=none").expect_log(OVERSIZED)


@pytest.mark.parametrize("limit", sorted(LIMITS, key=LIMITS.get))
def test_resuming(redis, fcgi_sse, loop, limit):
    """Records of 1 kB to 6 MiB, resumed under limits from 512 kB up: all come that fit, the rest is told."""
    limit_output(redis, limit)
    first = publish_ids(redis, "a", "first")[0]
    ids = publish_sizes(redis, SIZES)
    stream = loop.live(fcgi_sse, "a", 20, last_event_id=first)
    check_all_but_oversized(stream, ids, SIZES, LIMITS[limit])
    if stream.resets:
        fcgi_sse.wait_log(OVERSIZED)
    # and it goes on live
    ids += publish_ids(redis, "a", "live")
    check_all_but_oversized(stream, ids, SIZES + [4], LIMITS[limit])


@pytest.mark.parametrize("limit", sorted(LIMITS, key=LIMITS.get))
def test_live(redis, fcgi_sse, loop, limit):
    """The same published while two streams are open."""
    limit_output(redis, limit)
    streams = [loop.live(fcgi_sse, channels) for channels in ("a", "b,a")]
    ids = publish_sizes(redis, SIZES)
    for stream in streams:
        check_all_but_oversized(stream, ids, SIZES, LIMITS[limit])


@pytest.mark.parametrize("when", [pytest.param("live", marks=pytest.mark.soak), "resuming"])
def test_over_a_slow_line(redis, start_fcgi_sse, loop, folder, when):
    """Over a line to Redis that is slow the limit counts to the letter: what fits comes, the rest is told."""
    limit_output(redis, "512kb")
    with SlowLine(folder / "slow.sock", redis.path) as line:
        fcgi_sse = start_fcgi_sse(redis, "--heartbeat=1", "--record=none", "--redis=unix://" + line.path)
        fcgi_sse.expect_log(OVERSIZED)
        first = publish_ids(redis, "a", "first")[0]
        stream = loop.live(fcgi_sse, "a", last_event_id=first) if when == "live" else None
        sizes = [1 * KB, 300 * KB, 6000 * KB, 40 * KB, 3000 * KB, 1 * KB]
        ids = publish_sizes(redis, sizes)
        stream = stream or loop.open(fcgi_sse, "a", last_event_id=first)
        check_all_but_oversized(stream, ids, sizes, 512 * KB)
        assert [int(r["id"]) for r in stream.resets] == [ids[2], ids[4]]
        fcgi_sse.wait_log(OVERSIZED)
        stream.close()
        # who comes back is not told again
        again = loop.live(fcgi_sse, "a", last_event_id=ids[4])
        assert again.wait_data(1) and not again.resets
        again.close()


def test_many_small_records(redis, fcgi_sse, loop):
    """More missed than the limit lets through at a time, all of it small: it comes in parts, without a word."""
    limit_output(redis, "512kb")
    first = publish_ids(redis, "a", "first")[0]
    sse_publish(redis, "--lines", "a", stdin=b"".join(b"%05d%s\n" % (i, b"x" * 1000) for i in range(5000)))
    stream = loop.live(fcgi_sse, "a", 20, last_event_id=first)
    stream.wait_for(lambda s: len(s.events) >= 5000, 40)
    assert [int(e.data[:5]) for e in stream.events] == list(range(5000))
    assert not stream.resets


def test_cut_by_something_else_skips_nothing(redis, fcgi_sse, loop):
    """Connections that are killed again and again while a large record is read: it is not taken for oversized."""
    redis.client.hset("sse:limits", mapping={"count": 100000, "age": 86400, "bytes": 10 ** 9})
    first = publish_ids(redis, "a", "first")[0]
    ids = publish_sizes(redis, [3000 * KB] * 5)
    fcgi_sse.expect_log("told to come back")
    stream = loop.open(fcgi_sse, "a", last_event_id=first)
    for _ in range(60):
        loop.step(0.01)
        for type_ in ("normal", "pubsub"):
            redis.client.execute_command("CLIENT", "KILL", "TYPE", type_, "SKIPME", "yes")

    def all_there():
        nonlocal stream
        if stream.ended:  # told to come back: it had not begun
            assert not stream.events
            stream = loop.open(fcgi_sse, "a", last_event_id=first)
        return len(stream.events) >= 5

    loop.wait_for(all_there, 60, lambda: stream.describe())
    assert [int(e.id) for e in stream.events] == ids and not stream.resets


# ---- the frame

def publish_frame(redis, channel, frame):
    """As a foreign publisher does, that has no limit of its own."""
    script = redis.client.register_script(open(processes.TOP + "/lua/publish.lua").read())
    keys = ["sse:clock", "sse:epoch", "sse:limits", "sse:recorder",
            "sse:history:" + channel, "sse:meta:" + channel]
    return int(script(keys=keys, args=["sse:event:", "p", "", "", frame, channel])[0])


@pytest.mark.parametrize("when", ["live", "resuming"])
def test_over_the_standard_limit(redis, fcgi_sse, loop, when):
    """A foreign publisher's 6 MiB of short lines are over 32 MiB as a record, and over Redis' own limit."""
    assert "pubsub 33554432" in redis.client.config_get("client-output-buffer-limit")["client-output-buffer-limit"]
    redis.client.hset("sse:limits", mapping={"bytes": 10 ** 9})
    first = publish_ids(redis, "a", "first")[0]
    frame = b"data: \n" * (6 << 20) + b"\n"
    if when == "live":
        stream = loop.live(fcgi_sse, "a", last_event_id=first)
        big = publish_frame(redis, "a", frame)
    else:
        big = publish_frame(redis, "a", frame)
        stream = loop.live(fcgi_sse, "a", 20, last_event_id=first)
    last = publish_ids(redis, "a", "last")[0]
    check_all_but_oversized(stream, [big, last], [len(frame), 4], 32 << 20)


def test_frame_is_bounded(redis, start_fcgi_sse, loop):
    """A message of newlines is seven times as long as a frame: over twice --event-bytes nobody publishes it."""
    fcgi_sse = start_fcgi_sse(redis, "--event-bytes=10000")
    stream = loop.live(fcgi_sse, "a")
    fits, over = b"\n".join([b"x" * 20] * 400), b"\n" * 9999
    for data in (fits, over):
        done = sse_publish(redis, "--event-bytes=10000", "a", stdin=data, check=False)
        assert done.returncode == (65 if data == over else 0)
    assert re.search(rb"field name.*twice --event-bytes \(10000\)", done.stderr), done.stderr
    redis.publish("a", over)
    fcgi_sse.wait_log(r"9999 bytes on 'a' was not recorded: .*twice --event-bytes")
    redis.publish("a", fits)
    wait_until(lambda: len(history(redis, "a")) == 2, 10, "both that fit")
    assert stream.wait_data(2) == [fits.decode()] * 2
    # of many lines only the bad one is left out
    done = sse_publish(redis, "--event-bytes=1000", "--lines", "a",
                       stdin=b"one\n" + b"\r" * 999 + b"\ntwo\n", check=False)
    assert done.returncode == 65 and stream.wait_data(4)[2:] == ["one", "two"]


def test_frame_is_bounded_live(redis, start_fcgi_sse, loop):
    """Without a recorder a stream passes on no plain message whose frame is over the bound."""
    fcgi_sse = start_fcgi_sse(redis, "--event-bytes=10000", "--record=none")
    stream = loop.live(fcgi_sse, "a")
    redis.publish("a", b"\n" * 9999)
    redis.publish("a", "after")
    assert stream.wait_data(1) == ["after"]
