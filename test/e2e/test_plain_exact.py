# SPDX-License-Identifier: ISC
"""Plain PUBLISH under faults: each open stream gets each message at most once and in order, and
as many as can be: numbered messages are counted."""
import os
import re
import signal
import time

import pytest

from processes import children_of, free_port, history, wait_until

LOG = r"[Rr]edis|recorder|recorded|subscription|lease|signal 9|connect"


class Count:
    """What some streams got of numbered messages on some channels."""

    def __init__(self, redis, loop, streams):
        self.redis, self.loop, self.streams = redis, loop, streams
        self.sent = {}

    def publish(self, channel, client=None):
        n = self.sent.get(channel, 0) + 1
        self.sent[channel] = n
        (client or self.redis.client).publish(channel, "%s:%d" % (channel, n))

    def publish_for(self, seconds, channels="ab", rate=500, client=None):
        """Numbered messages at this rate; streams are read meanwhile."""
        begin = time.monotonic()
        i = 0
        while time.monotonic() < begin + seconds:
            while i < (time.monotonic() - begin) * rate:
                self.publish(channels[i % len(channels)], client)
                i += 1
            self.loop.step(0.005)

    def finish(self, seconds=20):
        """A last message on each channel, until every stream has one that was published now."""
        def all_there():
            return all(self.last_of(s, c) == self.sent[c] for s in self.streams for c in self.sent)
        self.loop.wait_for(all_there, seconds, self.describe)
        return self

    @staticmethod
    def numbers(stream, channel):
        return [int(d.split(":")[1]) for d in stream.data if d.startswith(channel + ":")]

    def last_of(self, stream, channel):
        got = self.numbers(stream, channel)
        return got[-1] if got else 0

    def check(self, lost=0):
        """Once, in order; at most so many lost by a stream and channel."""
        worst = 0
        for stream in self.streams:
            assert stream.ended is None, stream.describe()
            for channel, n in self.sent.items():
                got = self.numbers(stream, channel)
                assert len(got) == len(set(got)), "twice: %r" % [x for x in set(got) if got.count(x) > 1][:10]
                assert got == sorted(got), "order"
                worst = max(worst, n - len(got))
        # (make check-e2e PYTEST_ARGS=-rP E2E=test/e2e/test_plain_exact.py shows the figures)
        print("plain messages: %d of %d lost at the most, none twice" % (worst, max(self.sent.values())))
        assert worst <= lost, "%d of %d lost" % (worst, max(self.sent.values()))
        return worst

    def describe(self):
        return "%r: %r" % (self.sent, [[self.last_of(s, c) for c in self.sent] for s in self.streams])


@pytest.fixture
def counted(redis, start_fcgi_sse, loop):
    """An fcgi-sse with three streams, counted."""
    def start(*options, redis=redis):
        program = start_fcgi_sse(redis, "--heartbeat=1", "--history-count=100000", *options).expect_log(LOG)
        count = Count(redis, loop, [loop.live(program, c) for c in ("a,b", "b,a", "a,b,c")])
        count.program = program
        count.publish_for(0.3)
        return count
    return start


# ---- Redis takes no writes, and passes messages on

REFUSALS = {
    "noreplicas": (("CONFIG", "SET", "min-replicas-to-write", "1"), ("CONFIG", "SET", "min-replicas-to-write", "0")),
    "readonly": (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")),
    "oom": (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")),
    "noperm-eval": (("ACL", "SETUSER", "default", "-eval", "-evalsha"), ("ACL", "SETUSER", "default", "+@all")),
    "noperm-keys": (("ACL", "SETUSER", "default", "resetkeys", "~nothing"), ("ACL", "SETUSER", "default", "~*")),
}


@pytest.mark.parametrize("how", sorted(REFUSALS))
def test_refused_writes(redis, counted, loop, how):
    """Redis refuses writes for longer than a lease: messages go on live, once, in order, and are recorded after."""
    refuse, allow = REFUSALS[how]
    count = counted()
    redis.client.execute_command(*refuse)
    try:
        count.publish_for(3)
        # (a user without rights hears nothing either: these streams catch up afterwards)
        if not how.startswith("noperm"):
            loop.wait_for(lambda: all(count.last_of(s, "a") > count.sent["a"] * 0.5 for s in count.streams), 10,
                          lambda: "messages while Redis takes no writes: " + count.describe())
            # who comes now gets what comes now
            late = loop.live(count.program, "a,b")
            before = dict(count.sent)
            count.publish_for(0.5)
            loop.wait_for(lambda: Count.numbers(late, "a"), 10)
            assert Count.numbers(late, "a")[0] > before["a"] - 100
    finally:
        redis.client.execute_command(*allow)
    count.publish_for(1)
    count.finish().check(lost=0)
    assert not [s for s in count.streams if s.resets]


def test_refused_writes_are_recorded_after(redis, counted, loop):
    """What was passed on without an id is in the history afterwards, and a client that resumes gets it once."""
    count = counted()
    resuming = loop.live(count.program, "a")
    count.publish("a")
    resuming.wait_for(lambda s: s.data)
    cursor = resuming.last_id
    count.publish("a")
    count.finish()
    resuming.close()
    redis.client.config_set("min-replicas-to-write", 1)
    count.publish_for(3)
    redis.client.config_set("min-replicas-to-write", 0)
    count.publish_for(0.3)
    count.finish().check(lost=0)
    again = loop.live(count.program, "a", last_event_id=cursor)
    again.wait_for(lambda s: count.last_of(s, "a") == count.sent["a"], 10)
    got = Count.numbers(again, "a")
    assert got == list(range(got[0], count.sent["a"] + 1)) and not again.resets
    assert [int(r[3].split(b"data: a:")[1]) for r in history(redis, "a") if b"data: a:" in r[3]][-len(got):] == got


# ---- the recorder, or Redis, stands still

@pytest.mark.seconds(90)
@pytest.mark.parametrize("seconds", [4, pytest.param(20, marks=pytest.mark.soak)])
def test_recorder_stands_still(counted, loop, seconds):
    """SIGSTOP of the only recorder for longer than its lease: late, but once, in order, none lost."""
    count = counted()
    os.kill(count.program.recorder_pid, signal.SIGSTOP)
    try:
        count.publish_for(seconds)
    finally:
        os.kill(count.program.recorder_pid, signal.SIGCONT)
    count.publish_for(0.5)
    count.finish().check(lost=0)


@pytest.mark.seconds(90)
@pytest.mark.parametrize("how", ["pause", "stop"])
def test_redis_stands_still(redis, counted, loop, how):
    """CLIENT PAUSE or SIGSTOP of Redis for longer than a lease, and than it takes for a deaf one."""
    count = counted()
    if how == "pause":
        redis.client.execute_command("CLIENT", "PAUSE", "6500", "ALL")
    else:
        redis.program.signal(signal.SIGSTOP)
    loop.stays(lambda: all(s.ended is None for s in count.streams), 6.5)
    redis.program.signal(signal.SIGCONT)
    count.publish_for(2)
    count.finish().check(lost=0)
    assert "out of memory" not in count.program.stderr()


def test_script_that_hangs(redis, counted, loop, stack):
    """BUSY: nothing passes, and nothing comes twice afterwards."""
    count = counted()
    redis.client.config_set("busy-reply-threshold", 100)
    import redis as redis_py
    import threading
    hanging = redis_py.Redis(unix_socket_path=redis.path, socket_timeout=30)
    def hang():
        try:
            hanging.eval("local t = redis.call('TIME') repeat local n = redis.call('TIME') "
                         "until n[1] - t[1] > 4", 0)
        except redis_py.exceptions.RedisError:
            pass
    thread = threading.Thread(target=hang)
    thread.start()
    loop.stays(lambda: True, 1)
    while thread.is_alive():
        try:
            count.publish("a")
        except redis_py.exceptions.RedisError:
            count.sent["a"] -= 1
        loop.step(0.05)
    thread.join()
    count.publish_for(1)
    count.finish().check(lost=0)


# ---- the lease goes

def test_lease_is_deleted(redis, counted, loop):
    """DEL sse:recorder, again and again: the same recorder regains it, nothing comes twice."""
    count = counted()
    for _ in range(6):
        redis.client.delete("sse:recorder")
        count.publish_for(0.7)
    lost = count.finish().check(lost=2000)
    # half a second each time at the most, until the next renewal
    assert lost < count.sent["a"] * 0.75


# ---- the subscription is cut

@pytest.mark.seconds(90)
def test_subscriptions_are_cut(redis, counted, loop):
    """CLIENT KILL TYPE pubsub twenty times in ten seconds: little is lost, nothing comes twice."""
    count = counted()
    for _ in range(20):
        redis.client.execute_command("CLIENT", "KILL", "TYPE", "pubsub", "SKIPME", "yes")
        count.publish_for(0.5)
    lost = count.finish().check(lost=10 ** 6)
    assert lost < 0.15 * count.sent["a"], "%d of %d lost" % (lost, count.sent["a"])


def test_recorder_is_killed(counted, loop):
    """SIGKILL of the recorder five times: the parent has another at once."""
    count = counted()
    for _ in range(5):
        [recorder] = [p for p in children_of(count.program.pid) if is_recorder(p)]
        os.kill(recorder, signal.SIGKILL)
        count.publish_for(1)
    lost = count.finish().check(lost=10 ** 6)
    assert lost < 0.15 * count.sent["a"], "%d of %d lost" % (lost, count.sent["a"])


def is_recorder(pid):
    with open("/proc/%d/comm" % pid) as f:
        return f.read().strip() == "sse-recorder"


def test_parent_and_recorder_are_killed(redis, counted, loop, start_fcgi_sse):
    """SIGKILL of both: open streams hear for themselves as soon as Redis knows, and a new recorder takes over."""
    count = counted("--heartbeat=60")
    parent, recorder = count.program.pid, count.program.recorder_pid
    os.kill(parent, signal.SIGKILL)
    os.kill(recorder, signal.SIGKILL)
    count.publish_for(2)
    lost = count.finish(5).check(lost=10 ** 6)
    assert lost < 0.5 * count.sent["a"], "%d of %d lost" % (lost, count.sent["a"])
    start_fcgi_sse(redis).expect_log(LOG)
    count.publish_for(1)
    assert count.finish().check(lost=10 ** 6) - lost < 100
    count.program.check_stderr = False


@pytest.mark.seconds(90)
def test_two_hosts(redis, counted, loop, start_fcgi_sse):
    """The active recorder of two hosts stands still for 8 s: the other takes over, and nothing comes twice."""
    count = counted()
    start_fcgi_sse(redis).expect_log(LOG)
    os.kill(count.program.recorder_pid, signal.SIGSTOP)
    try:
        count.publish_for(8)
    finally:
        os.kill(count.program.recorder_pid, signal.SIGCONT)
    count.publish_for(1)
    lost = count.finish().check(lost=10 ** 6)
    assert lost < 0.6 * count.sent["a"], "%d of %d lost" % (lost, count.sent["a"])


def test_restart_at_once(redis, counted, loop, start_fcgi_sse):
    """SIGTERM and start at once: the open streams of another parent lose little, nothing comes twice."""
    first = start_fcgi_sse(redis).expect_log(LOG)
    count = counted()
    first.signal(signal.SIGTERM)
    count.publish_for(2)
    second = start_fcgi_sse(redis).expect_log(LOG)
    count.publish_for(1)
    lost = count.finish().check(lost=10 ** 6)
    assert lost < 0.1 * count.sent["a"], "%d of %d lost" % (lost, count.sent["a"])
    second.stop()


# ---- a stranger's word

FORGED = [
    ("sse:recorder", "0 0 r\nup 1 x"), ("sse:recorder", "0 0 r\ndown x"), ("sse:recorder", "0 0 r\nforget x"),
    ("sse:recorder", "0 0 r\nup 18446744073709551615 TOKEN"), ("sse:recorder", "0 0 r\nup 1 TOKEN"),
    ("sse:recorder", "0 0 r\ndown TOKEN"), ("sse:recorder", "junk"), ("sse:recorder", ""),
    ("sse:recorder:alive", "0 0 r\nx"), ("sse:recorder:TOKEN", "x"), ("sse:recorder:TOKEN", "0 0 r\nup 2 x"),
]


@pytest.mark.parametrize("channel, payload", FORGED, ids=[str(i) for i in range(len(FORGED))])
def test_forged_announcements(redis, counted, loop, channel, payload):
    """Whatever anybody says on the recorders' channels: all goes on being recorded and delivered, once, in order."""
    count = counted()
    token = redis.client.hget("sse:recorder", "token").decode()
    for _ in range(5):
        redis.client.publish(channel.replace("TOKEN", token), payload.replace("TOKEN", token))
        count.publish_for(0.2)
    count.finish().check(lost=0)
    for c in "ab":
        assert len([r for r in history(redis, c) if r[2] == "r"]) == count.sent[c]


def test_forged_announcement_while_nobody_records(redis, start_fcgi_sse, loop):
    """Where nobody records, "up" by a stranger holds nothing up, and loses nothing."""
    program = start_fcgi_sse(redis, "--record=none")
    count = Count(redis, loop, [loop.live(program, "a,b")])
    for _ in range(5):
        redis.client.publish("sse:recorder", "0 0 r\nup 1 x")
        count.publish_for(0.2)
    count.finish().check(lost=0)


@pytest.mark.parametrize("token", ["x", "TOKEN"])
def test_forged_announcement_while_messages_are_passed_on(redis, counted, loop, token):
    """While Redis takes no writes, "up" by a stranger: what was passed on is not sent again when it is recorded."""
    count = counted()
    token = token.replace("TOKEN", redis.client.hget("sse:recorder", "token").decode())
    redis.client.config_set("min-replicas-to-write", 1)
    for _ in range(3):
        count.publish_for(1)
        redis.client.publish("sse:recorder", "0 0 r\nup 1 " + token)
    count.publish_for(0.5)
    redis.client.config_set("min-replicas-to-write", 0)
    count.publish_for(0.3)
    count.finish().check(lost=0)


def test_forged_records(redis, counted, loop):
    """Records by a stranger, far in the future or with a wrong PREV, end in a look at Redis, not in silence."""
    count = counted()
    live = count.streams[0]
    last = live.last_id
    for payload in ("9007199254740000 %s p\nid: 9007199254740000\ndata: forged\n\n" % last,
                    "%d 5 p\nid: %d\ndata: forged\n\n" % (int(last) + 1, int(last) + 1),
                    "0 1 r\ndata: forged\n\n", "0 99 r\ndata: forged\n\n"):
        redis.client.publish("sse:event:a", payload)
        count.publish_for(0.3)
    # what a stranger says with the right PREV is one event, as if it were published plainly; all of
    # the real ones come, whatever it made the streams believe
    loop.wait_for(lambda: all(count.last_of(s, c) == count.sent[c] for s in count.streams for c in "ab"), 20,
                  count.describe)
    for stream in count.streams:
        for c in "ab":
            got = Count.numbers(stream, c)
            assert set(got) == set(range(1, count.sent[c] + 1))
    assert int(live.last_id) < 9007199254740000 or live.resets


def test_standby_is_not_kept_out(redis, counted, loop, start_fcgi_sse):
    """Signs of life that a stranger forges do not keep a second host from taking over."""
    count = counted()
    second = start_fcgi_sse(redis).expect_log(LOG)
    os.kill(count.program.recorder_pid, signal.SIGSTOP)
    old = redis.client.hget("sse:recorder", "token")
    try:
        def took_over():
            redis.client.publish("sse:recorder:alive", b"0 0 r\n" + old)
            redis.client.publish("sse:recorder", "0 0 r\nup 1 x")
            loop.step(0.05)
            return redis.client.hget("sse:recorder", "token") != old
        wait_until(took_over, 20, "the second host to take over")
    finally:
        os.kill(count.program.recorder_pid, signal.SIGCONT)
    assert second.running()
