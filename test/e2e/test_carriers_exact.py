# SPDX-License-Identifier: ISC
"""Streams that share a process get what they would get in one of their own: in a flood, under faults, while they come,
move, leave and come back."""
import os
import random
import resource
import signal
import subprocess
import time

import pytest
import redis as redis_py

from processes import SSE_PUBLISH_BIN, TOP, publish_ids, redis_environment, wait_until
from returning import Returning, wait_all
from test_session import LOCATION, cookie, key_of, login
from test_slow_clients import publish_to_many

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
    (200, "none", 10000, 0), (200, "all", 10000, 3), (100000, "all", 6000, 3),
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
    clients = steady + others + restless.clients
    ids = wait_all(redis, clients)
    assert min(map(len, ids.values())) > number / 3 * 0.5
    gone = [client.check(ids) for client in clients]
    print("told to be gone: %r; opened %r times" % (gone, [c.opened for c in clients]))
    told = steady if faults == "none" else clients if count > 200 else []
    assert not any(c.resets for c in told), [c.describe() for c in told if c.resets]
    # a cut that one of them feels all of them feel, more or less
    assert sum(len(c.resets) for c in steady) <= sum(len(c.resets) for c in others) + len(steady)
    assert all(c.ends.count("cut") == 0 for c in clients), [c.ends for c in clients]
    assert not any(c.ends for c in steady + others), [c.ends for c in steady]


# ---- what happens meanwhile

class Passers:
    """Clients that come, each with a channel, and half of them a session, that nobody else has, and leave soon."""

    def __init__(self, redis, loop, fcgi_sse):
        self.redis, self.loop, self.fcgi_sse = redis, loop, fcgi_sse
        self.random = random.Random(1)
        self.here, self.came, self.due = [], 0, 0

    def __call__(self):
        for stream in self.here:
            if stream.floor is not None and self.random.random() < 0.05:
                stream.close()
            elif stream.ended:
                assert stream.status == 200, stream.describe()
        self.here = [s for s in self.here if not s.ended]
        if time.monotonic() < self.due or len(self.here) >= 20:
            return
        self.due = time.monotonic() + 0.01
        self.came += 1
        channels = ["own%d" % self.came, self.random.choice(CHANNELS)]
        more = {"channels": channels}
        if self.came % 2:
            token = "passer-by-%016d" % self.came
            login(self.redis, channels, token=token)
            more = {"params": LOCATION, "headers": cookie(token)}
        self.here.append(self.loop.open(self.fcgi_sse, **more))


def test_channels_come_and_go(start_redis, start_fcgi_sse, flood, loop, redis):
    """Channels and sessions that are others' come and go by the hundred: who stays has all."""
    fcgi_sse = start_fcgi_sse(redis, "--streams-per-process=100", "--heartbeat=1",
                              "--history-count=100000").expect_log(LOG + "|session")
    login(redis, ["a", "b", "c"], ttl=1000)
    steady = [Returning(loop, fcgi_sse, c) for c in ("a,b,c", "b", "c,a")]
    steady.append(Returning(loop, fcgi_sse, "a,b,c", params=LOCATION, headers=cookie()))
    for client in steady:
        client.wait_live()
    fcgi_sse.wait_carried(len(steady))
    passers = Passers(redis, loop, fcgi_sse)
    said = iter(range(10 ** 9))

    def disturb():
        passers()
        if next(said) % 20 == 0:
            redis.client.publish(key_of(), "0 0 p\n")  # nothing has changed

    run(flood(6000, 3), loop, [], disturb, ())
    ids = wait_all(redis, steady)
    for client in steady:
        client.check(ids)
        assert not client.resets and not client.ends, client.describe()
    assert passers.came > 100
    assert {"a", "b", "c"} <= {c.decode()[10:] for c in redis.client.pubsub_channels("sse:event:*")}
    wait_until(lambda: loop.step(0.01) or len(redis.client.pubsub_channels("sse:event:own*")) <= 70 + len(passers.here),
               what="those that nobody has to be left")


def test_large_ones_in_a_flood(redis, two, flood, loop):
    """Large events, which carriers and responders are summoned to, in a flood: nothing overtakes them."""
    carriers, own = two(100000)
    steady = [Returning(loop, where, c) for where in (carriers, own) for c in ("a,b,c", "c,a")]
    for client in steady:
        client.wait_live()
    carriers.wait_carried(2)
    restless = Restless(loop, carriers, 6, 1)
    large = [0, 0]

    def disturb():
        restless()
        if time.monotonic() > large[1] + 0.15:
            large[:] = large[0] + 1, time.monotonic()
            channel = CHANNELS[large[0] % 2]
            publish_to_many(redis, channel, "%s:large%d %s" % (channel, large[0], "x" * 70000))

    run(flood(6000, 3), loop, [cut_subscriptions], disturb, (redis, carriers))
    clients = steady + restless.clients
    ids = wait_all(redis, clients)
    for client in clients:
        client.check(ids)
        assert not client.resets, client.describe()
    assert large[0] > 10 and not any(c.ends for c in steady)


def test_flushed_in_a_flood(redis, two, flood, loop):
    """FLUSHALL: one reset to each, and all that comes after it."""
    carriers, own = two(100000)
    steady = [Returning(loop, where, c) for where in (carriers, own) for c in ("a,b,c", "b", "c,a")]
    for client in steady:
        client.wait_live()
    carriers.wait_carried(3)
    restless = Restless(loop, carriers, 6, 2)
    flushed_at = []

    def flush(redis, fcgi_sse):
        pipe = redis.client.pipeline(transaction=True)
        pipe.get("sse:clock")
        pipe.flushall()
        pipe.hset("sse:limits", mapping={"count": 100000, "age": 86400, "bytes": 10 ** 9})
        flushed_at.append(int(pipe.execute()[0]))

    run(flood(6000, 3), loop, [flush, cut_subscriptions, flush], restless, (redis, carriers))
    clients = steady + restless.clients
    ids = wait_all(redis, clients)
    for client in clients:
        assert {r["reason"] for r in client.resets} <= {"flushed"}, client.describe()
        if not client.ends:
            assert len(client.resets) <= 2 and (client.floor > flushed_at[0] or client.resets), client.describe()
        seen = client.data
        assert len(seen) == len(set(seen))
        for channel in client.names:
            got = [g.id for g in client.events if g.channel == channel and g.id]
            assert got == sorted(got)
            live = {g.data for g in client.events if g.id is None}
            for begin, end in zip(flushed_at, flushed_at[1:] + [1 << 62]):
                want = [i for i, d in ids[channel].items()
                        if max(begin, client.floor) < i <= end and d not in live]
                have = [i for i in got if max(begin, client.floor) < i <= end]
                # what the second FLUSHALL took, those who were away or behind cannot have
                assert have == want if end == 1 << 62 else have == want[:len(have)], (
                    len(have), len(want), client.describe())


def test_each_is_told_of_its_own(redis, two, loop):
    """What is trimmed while the subscription is cut is told to who has that channel, and names no other."""
    carriers, own = two(20)
    sets = ["a", "b", "a,b", "b,c", "c"]
    streams = [[loop.live(where, s) for s in sets] for where in (carriers, own)]
    carriers.wait_carried(len(sets))
    # a cut, and more than the history keeps before anybody can come back
    pipe = redis.client.pipeline(transaction=True)
    pipe.execute_command("CLIENT", "KILL", "TYPE", "pubsub", "SKIPME", "yes")
    with open(TOP + "/lua/publish.lua") as f:
        text = f.read()
    for i in range(60):
        keys = ["sse:clock", "sse:epoch", "sse:limits", "sse:recorder", "sse:history:b", "sse:meta:b"]
        pipe.eval(text, len(keys), *keys, "sse:event:", "p", "", "", "data: b:%d\n\n" % i, "b")
    pipe.execute()
    ends = {c: publish_ids(redis, c, c + ":end")[0] for c in "abc"}
    for channels, *both in zip(sets, *streams):
        for stream in both:
            last = max(ends[c] for c in channels.split(","))
            stream.wait_for(lambda s, n=last: s.last_id == str(n))
            assert [(r["reason"], r["channels"]) for r in stream.resets] == (
                [("trimmed", ["b"])] if "b" in channels else []), stream.describe()
        assert both[0].data == both[1].data


@pytest.mark.seconds(300)
@pytest.mark.parametrize("number", [150, pytest.param(1500, marks=pytest.mark.soak)])
def test_each_has_a_channel_of_its_own(redis, start_fcgi_sse, loop, number):
    """As many channels as streams, and one for all, through cuts and a restart of Redis."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    fcgi_sse = start_fcgi_sse(redis, "--streams-per-process=2000", "--max-streams=4000", "--heartbeat=1",
                              "--history-count=100000").expect_log(LOG)
    streams = []
    for i in range(number):
        streams.append(loop.open(fcgi_sse, "own%d,all" % i))
        if i % 50 == 49:
            loop.wait_for(lambda: all(s.floor is not None for s in streams[-50:]))
    loop.wait_for(lambda: fcgi_sse.carried() == number, 60, lambda: "%d carried" % fcgi_sse.carried())
    sent = [0]

    def publish_some():
        pipe = redis.client.pipeline(transaction=False)
        for i in range(number):
            pipe.publish("own%d" % i, "own%d:%d" % (i, sent[0]))
        pipe.publish("all", "all:%d" % sent[0])
        pipe.execute()
        sent[0] += 1

    def are_there():
        return all(len(s.all_events) >= 2 * sent[0] for s in streams)

    for disturb in (None, cut_subscriptions, restart_redis):
        if disturb is not None:
            recording = fcgi_sse.stderr().count("recording *")
            disturb(redis, fcgi_sse)
            loop.wait_for(lambda n=recording: fcgi_sse.stderr().count("recording *") > n, 20)
        for _ in range(3):
            publish_some()
        loop.wait_for(are_there, 60, lambda: "%d events each; %s" % (
            2 * sent[0], [s.describe() for s in streams if len(s.all_events) < 2 * sent[0]][:1]))
    for i, stream in enumerate(streams):
        assert [d for d in stream.data if d[0] == "o"] == ["own%d:%d" % (i, k) for k in range(sent[0])]
        assert [d for d in stream.data if d[0] == "a"] == ["all:%d" % k for k in range(sent[0])]
        assert not stream.ended and not stream.resets
    assert fcgi_sse.carried() == number
