# SPDX-License-Identifier: ISC
"""Streams that share a process get what they would get in one of their own: in a flood, under faults, while they come,
move, leave and come back."""
import os
import random
import signal
import subprocess
import time

import pytest
import redis as redis_py

from processes import SSE_PUBLISH_BIN, redis_environment
from returning import Returning, recorded

LOG = r"[Rr]edis|recorder|recorded|subscription|lease|signal 9|connect"
CHANNELS = "abc"


@pytest.fixture
def redis(start_redis):
    return start_redis(appendonly=True, extra=[
        "--auto-aof-rewrite-percentage", "0", "--appendfsync", "no", "--client-output-buffer-limit", "pubsub 0 0 0"])


class Flood:
    """Numbered events on each channel, half by sse-publish, half by plain PUBLISH, within so many seconds."""

    def __init__(self, redis, number, seconds, channels=CHANNELS):
        self.redis, self.channels, self.seconds = redis, channels, seconds
        self.each = number // len(channels) // 2
        self.plain = self.scripted = 0
        self.began = time.monotonic()
        self.rest = {c: b"" for c in channels}
        self.publishers = {c: subprocess.Popen(
            [SSE_PUBLISH_BIN, "--lines", c], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            env={**os.environ, **redis_environment(redis)}) for c in channels}
        for p in self.publishers.values():
            os.set_blocking(p.stdin.fileno(), False)

    def step(self):
        """Publish what is due.  Is all published?"""
        due = self.each if not self.seconds else min(
            self.each, int(self.each * (time.monotonic() - self.began) / self.seconds))
        self._publish_plain(min(due, self.plain + 100))
        for channel, publisher in self.publishers.items():
            self.rest[channel] += b"".join(b"%s:s%d\n" % (channel.encode(), i) for i in range(self.scripted, due))
            self._write(channel, publisher)
        self.scripted = due
        is_done = self.plain == self.scripted == self.each and not any(self.rest.values())
        return is_done and all(p.poll() is not None for p in self.publishers.values())

    def _publish_plain(self, due):
        pipe = self.redis.client.pipeline(transaction=False)
        for i in range(self.plain, due):
            for channel in self.channels:
                pipe.publish(channel, "%s:p%d" % (channel, i))
        self.plain = due
        try:
            pipe.execute()
        except redis_py.exceptions.RedisError:
            pass  # nobody has heard them, or some

    def _write(self, channel, publisher):
        if publisher.stdin.closed:
            return
        try:
            written = os.write(publisher.stdin.fileno(), self.rest[channel][:32768])
            self.rest[channel] = self.rest[channel][written:]
        except BlockingIOError:
            return
        if self.scripted == self.each and not self.rest[channel]:
            publisher.stdin.close()

    def close(self):
        for publisher in self.publishers.values():
            publisher.kill()
            publisher.wait()


def kill_recorder(redis, fcgi_sse):
    os.kill(fcgi_sse.recorder_pid, signal.SIGKILL)


def cut_subscriptions(redis, fcgi_sse):
    redis.client.execute_command("CLIENT", "KILL", "TYPE", "pubsub", "SKIPME", "yes")


def restart_redis(redis, fcgi_sse):
    redis.restart()


FAULTS = {"none": [], "recorder": [kill_recorder], "subscriptions": [cut_subscriptions] * 5, "redis": [restart_redis],
          "all": [cut_subscriptions, kill_recorder, cut_subscriptions, restart_redis, cut_subscriptions]}


@pytest.fixture
def flood(redis, stack):
    def start(*args):
        made = Flood(redis, *args)
        stack.callback(made.close)
        return made
    return start


@pytest.fixture
def two(redis, start_fcgi_sse):
    """Two parents on one Redis, with the option --streams-per-process=20 and =1."""
    def start(count):
        return [start_fcgi_sse(redis, "--streams-per-process=20", "--heartbeat=2",
                               "--history-count=%d" % count).expect_log(LOG),
                start_fcgi_sse(redis, "--streams-per-process=1", "--heartbeat=2", "--record=none").expect_log(LOG)]
    return start


def run(flood, loop, faults, disturb, args):
    """The flood, with the faults spread over it, and disturb() again and again."""
    faults, rest = list(faults), list(faults)
    while not flood.step():
        loop.step(0.002)
        disturb()
        share = flood.scripted / flood.each
        if rest and share >= (len(faults) - len(rest) + 1) / (len(faults) + 1):
            rest.pop(0)(*args)
    for fault in rest:
        fault(*args)


class Restless:
    """Clients one of which leaves now and then, and comes back."""

    def __init__(self, loop, fcgi_sse, number, seed, every_s=0.03):
        self.random = random.Random(seed)
        self.loop, self.fcgi_sse, self.every_s = loop, fcgi_sse, every_s
        self.due = 0
        self.clients = [self.another() for _ in range(number)]

    def another(self):
        channels = self.random.sample(CHANNELS, self.random.randint(1, 3))
        return Returning(self.loop, self.fcgi_sse, ",".join(channels))

    def __call__(self):
        if time.monotonic() >= self.due:
            self.due = time.monotonic() + self.random.uniform(0, 2 * self.every_s)
            self.random.choice(self.clients).cut(self.random.uniform(0, 0.2))
            if len(self.clients) < 30 and self.random.random() < 0.1:
                self.clients.append(self.another())


@pytest.mark.parametrize("count, faults, number, seconds", [
    (200, "none", 10000, 0), (200, "all", 10000, 4), (100000, "all", 6000, 4),
    *(pytest.param(count, faults, 10000, 5, marks=pytest.mark.soak)
      for count in (200, 100000) for faults in ("recorder", "subscriptions", "redis"))])
def test_flood(redis, two, flood, loop, count, faults, number, seconds):
    """Each client has each recorded event, once and in order in its channel, or was told that some are gone; and who
    never left is told so only if that happens to streams in processes of their own, too."""
    carriers, own = two(count)
    steady = [Returning(loop, carriers, c) for c in ("a,b,c", "b", "c,a")]
    others = [Returning(loop, own, c) for c in ("a,b,c", "b", "c,a")]
    for client in steady + others:
        client.wait_live()
    carriers.wait_carried(len(steady))
    restless = Restless(loop, carriers, 8, number)
    run(flood(number, seconds), loop, FAULTS[faults], restless, (redis, carriers))
    ids = recorded(redis)
    clients = steady + others + restless.clients
    for client in clients:
        client.wait_last(ids)
    ids = recorded(redis)
    assert min(map(len, ids.values())) > number / 3 * 0.8
    gone = [client.check(ids) for client in clients]
    print("told to be gone: %r; opened %r times" % (gone, [c.opened for c in clients]))
    told = steady if faults == "none" else clients if count > 200 else []
    assert not any(c.resets for c in told), [c.describe() for c in told if c.resets]
    # a cut that one of them feels all of them feel, more or less
    assert sum(len(c.resets) for c in steady) <= sum(len(c.resets) for c in others) + len(steady)
    assert all(c.ends.count("cut") == 0 for c in clients), [c.ends for c in clients]
    assert not any(c.ends for c in steady + others), [c.ends for c in steady]
