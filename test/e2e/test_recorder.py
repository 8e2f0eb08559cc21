# SPDX-License-Identifier: ISC
"""The recorder: plain PUBLISH becomes replayable, by one recorder a Redis,
whatever happens to it; and live delivery where none listens."""
import os
import re
import select
import signal
import socket
import threading
import time

import pytest

from processes import (DEADLINE_S, alive, clock, history, name_of, publish_ids, wait_until)


def recorded(redis, channel):
    """The data of the records that came from plain PUBLISH, in order."""
    return [re.search(rb"data: (.*)\n", r[3]).group(1).decode()
            for r in history(redis, channel) if r[2] == "r"]


class Load:
    """Numbers published plainly to one channel, as long as the test wants."""

    def __init__(self, redis, channel, loop):
        self.redis, self.channel, self.loop, self.count = redis, channel, loop, 0

    def publish(self, count):
        pipe = self.redis.client.pipeline(transaction=False)
        for i in range(self.count, self.count + count):
            pipe.publish(self.channel, "%d" % i)
        pipe.execute()
        self.count += count
        self.loop.step(0)

    def run_for(self, seconds, batch=20):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.publish(batch)
            self.loop.step(0.005)

    def run_until(self, condition, seconds=DEADLINE_S, batch=20):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline
            self.publish(batch)
            self.loop.step(0.005)


def each_once(data):
    numbers = [int(d) for d in data]
    assert len(numbers) == len(set(numbers)), "some came twice: %r" % sorted(
        n for n in set(numbers) if numbers.count(n) > 1)[:20]
    return numbers


BIG = ["--history-count=200000", "--history-bytes=1000000000"]


def test_plain_publish_is_recorded(redis, fcgi_sse, loop):
    """A plain PUBLISH gets an id and a place in the history, origin r, and resumes."""
    publish_ids(redis, "all", "one")
    redis.publish("all", "two")
    redis.publish("all", '["n","three"]')
    wait_until(lambda: redis.client.llen("sse:history:all") == 3)
    records = history(redis, "all")
    assert [r[2] for r in records] == ["p", "r", "r"]
    assert [r[1] for r in records] == [0, records[0][0], records[1][0]], "PREV chains"
    assert clock(redis) == records[2][0] == int(redis.client.hget("sse:meta:all", "last"))
    assert 0 < redis.client.ttl("sse:history:all") <= 86400
    assert redis.client.ttl("sse:clock") == -1
    stream = loop.live(fcgi_sse, "all", last_event_id=records[0][0])
    stream.wait_data(2)
    assert [(e.type, e.data) for e in stream.events] == [("message", "two"), ("n", "three")]


def test_record_patterns(redis, start_fcgi_sse, loop):
    """--record: only matching channels are recorded; the others pass on live without an id."""
    stream = loop.live(start_fcgi_sse(redis, "--record=a*,b"), "a1,b,c")
    for channel in ("a1", "b", "c"):
        redis.publish(channel, channel)
    stream.wait_data(3)
    assert {e.data: e.id is not None for e in stream.events} == {"a1": True, "b": True, "c": False}
    assert not redis.client.exists("sse:history:c")


def test_overlapping_patterns(redis, start_fcgi_sse, loop):
    """Where several patterns match, Redis sends a message for each: it is recorded once."""
    stream = loop.live(start_fcgi_sse(redis, "--record=a*,*,al?,a*"), "all,other")
    for channel in ("all", "other"):
        redis.publish(channel, channel)
    stream.wait_data(2)
    publish_ids(redis, "all", "end")
    assert stream.wait_data(3) == ["all", "other", "end"]
    assert [len(history(redis, c)) for c in ("all", "other")] == [2, 1]


def test_record_none(redis, start_fcgi_sse, loop):
    """--record=none: no recorder; plain messages arrive live, move no cursor, and are not kept."""
    fcgi_sse = start_fcgi_sse(redis, "--record=none")
    stream = loop.live(fcgi_sse, "all")
    assert "sse-recorder" not in map(name_of, fcgi_sse.children())
    redis.publish("all", "plain")
    publish_ids(redis, "all", "recorded")
    stream.wait_data(2)
    assert [(e.data, e.id is None) for e in stream.events] == [("plain", True), ("recorded", False)]
    assert len(history(redis, "all")) == 1


def test_what_is_not_recorded(redis, fcgi_sse):
    """The recorder leaves out sse:*, __*, invalid names, and another site's records."""
    record = b"1763000000000000 0 p\nid: 1763000000000000\ndata: x\n\n"
    for channel in ("sse:foo", "sse:event:all", "__keyspace@0__:x", "a b", "a,b", "a*b", b"\xff",
                    "x" * 129, "a{b}"):
        redis.publish(channel, "no")
    redis.publish("other", record)
    redis.publish("last", "yes")
    wait_until(lambda: redis.client.exists("sse:history:last"))
    assert redis.client.keys("sse:history:*") == [b"sse:history:last"]


def test_two_parents_record_once(redis, start_fcgi_sse, loop):
    """One active recorder a Redis: with two parents each plain message is recorded once."""
    one, two = start_fcgi_sse(redis), start_fcgi_sse(redis)
    streams = [loop.live(one, "all"), loop.live(two, "all")]
    for i in range(50):
        redis.publish("all", "%d" % i)
    for stream in streams:
        stream.wait_data(50)
    loop.stays(lambda: all(len(s.events) == 50 for s in streams), 0.5)
    assert recorded(redis, "all") == ["%d" % i for i in range(50)]


def test_the_lease_ends_with_the_parent(redis, start_fcgi_sse, loop):
    """When the active recorder's parent ends, the other's takes over and streams stay exact."""
    one = start_fcgi_sse(redis)
    two = start_fcgi_sse(redis)
    stream = loop.live(two, "all")
    one.stop()
    wait_until(lambda: redis.client.exists("sse:recorder"), what="the take-over")
    redis.publish("all", "x")
    wait_until(lambda: recorded(redis, "all") == ["x"])
    assert stream.wait_data(1) == ["x"]
    loop.stays(lambda: stream.data == ["x"], 0.3)


def test_recorder_ends_when_its_parent_is_killed(redis, start_fcgi_sse):
    """The recorder does not outlive its parent."""
    fcgi_sse = start_fcgi_sse(redis)
    recorder = fcgi_sse.recorder_pid
    fcgi_sse.kill()
    wait_until(lambda: not alive(recorder), what="the recorder to end")


def test_killed_under_load(redis, start_fcgi_sse, loop, record_property):
    """SIGKILLed under load, the parent starts another: none twice; how many were missed is a figure."""
    fcgi_sse = start_fcgi_sse(redis, *BIG)
    fcgi_sse.expect_log(r"recorder")
    stream = loop.live(fcgi_sse, "all")
    load = Load(redis, "all", loop)
    load.run_for(0.5)
    for _ in range(3):
        before = set(fcgi_sse.children())
        os.kill(fcgi_sse.recorder_pid, signal.SIGKILL)
        old = clock(redis)
        load.run_until(lambda n=old: clock(redis) > n)
        load.run_for(0.3)
        [fcgi_sse.recorder_pid] = set(fcgi_sse.children()) - before  # one new recorder
    redis.publish("all", "999999")
    wait_until(lambda: "999999" in recorded(redis, "all"))
    kept = each_once(recorded(redis, "all"))
    assert kept == sorted(kept)
    stream.wait_for(lambda s: s.data and s.data[-1] == "999999")
    got = each_once(stream.data)
    missed = load.count + 1 - len(kept)
    print("killed 3 times under %d plain messages: %d not recorded, %d not delivered" % (
        load.count, missed, load.count + 1 - len(got)))
    record_property("missed", missed)
    assert set(kept) <= set(got), "what was recorded was delivered"


def test_subscription_cut(redis, start_fcgi_sse, loop):
    """A recorder that loses its subscription ends, and the next one follows at once, with the same lease."""
    start_fcgi_sse(redis, *BIG).expect_log(r"recorder")
    load = Load(redis, "all", loop)
    load.run_for(0.2)
    for _ in range(3):
        redis.client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        old = clock(redis)
        load.run_until(lambda n=old: clock(redis) > n)
        load.run_for(0.2)
    kept = each_once(recorded(redis, "all"))
    assert kept == sorted(kept)


def test_paused_while_another_takes_over(redis, start_fcgi_sse, loop):
    """SIGSTOPped under load until another takes over, SIGCONT: none twice."""
    one = start_fcgi_sse(redis, *BIG)
    two = start_fcgi_sse(redis, *BIG)
    for fcgi_sse in (one, two):
        fcgi_sse.expect_log(r"recorder")
    streams = [loop.live(one, "all"), loop.live(two, "all")]
    load = Load(redis, "all", loop)
    load.run_for(0.5)
    token = redis.client.hget("sse:recorder", "token")
    os.kill(one.recorder_pid, signal.SIGSTOP)
    load.run_until(lambda: redis.client.hget("sse:recorder", "token") not in (None, token))
    load.run_for(0.5)
    os.kill(one.recorder_pid, signal.SIGCONT)
    load.run_until(lambda: re.search("another recorder has taken over", one.stderr()))
    load.run_for(0.5)
    redis.publish("all", "999999")
    wait_until(lambda: "999999" in recorded(redis, "all"))
    kept = each_once(recorded(redis, "all"))
    for stream in streams:
        stream.wait_for(lambda s: s.data and s.data[-1] == "999999")
        assert set(kept) <= set(each_once(stream.data))
    print("%d of %d were not recorded" % (load.count + 1 - len(kept), load.count + 1))


def publishing_connections(redis):
    """The recorder's connection that publishes: the one that runs scripts."""
    return [c for c in redis.clients("normal") if c["cmd"].startswith("eval")]


def test_publishing_connection_cut(redis, start_fcgi_sse, loop):
    """The publishing connection is cut with replies outstanding, again and again: none lost, none twice."""
    fcgi_sse = start_fcgi_sse(redis, *BIG)
    fcgi_sse.expect_log(r"recorder")
    load = Load(redis, "all", loop)
    load.publish(1)
    wait_until(lambda: recorded(redis, "all"))
    kills = 0
    deadline = time.monotonic() + DEADLINE_S
    while kills < 8:
        assert time.monotonic() < deadline
        pipe = redis.client.pipeline(transaction=False)
        for i in range(load.count, load.count + 200):
            pipe.publish("all", "%d" % i)
        load.count += 200
        # in the same write as the messages: replies are outstanding
        for connection in publishing_connections(redis):
            pipe.execute_command("CLIENT", "KILL", "ID", connection["id"])
            kills += 1
        pipe.execute(raise_on_error=False)
        time.sleep(0.02)
    wait_until(lambda: redis.client.llen("sse:history:all") >= load.count, what=lambda: "%d of %d" % (redis.client.llen("sse:history:all"), load.count))
    assert each_once(recorded(redis, "all")) == list(range(load.count))


def test_publishing_connection_cut_as_the_reply_comes(redis, start_fcgi_sse, loop):
    """Redis pauses, the messages wait, the connection is cut: none lost, none twice."""
    fcgi_sse = start_fcgi_sse(redis, *BIG)
    fcgi_sse.expect_log(r"recorder")
    load = Load(redis, "all", loop)
    load.publish(1)
    wait_until(lambda: recorded(redis, "all"))
    for _ in range(8):
        redis.client.execute_command("CLIENT", "PAUSE", "100", "WRITE")
        for connection in publishing_connections(redis):
            redis.client.execute_command("CLIENT", "KILL", "ID", connection["id"])
        load.publish(100)
    wait_until(lambda: redis.client.llen("sse:history:all") >= load.count)
    assert each_once(recorded(redis, "all")) == list(range(load.count))


def test_flushall_under_it(redis, start_fcgi_sse, loop):
    """FLUSHALL under the recorder and an open stream: it goes on, nothing comes twice."""
    fcgi_sse = start_fcgi_sse(redis, "--heartbeat=1", *BIG)
    fcgi_sse.expect_log(r"recorder|flush")
    stream = loop.live(fcgi_sse, "all")
    load = Load(redis, "all", loop)
    for _ in range(3):
        load.run_for(0.5)
        redis.client.flushall()
    load.run_for(1)
    load.run_until(lambda: redis.client.exists("sse:recorder"))
    redis.publish("all", "999999")
    wait_until(lambda: "999999" in recorded(redis, "all"))
    kept = each_once(recorded(redis, "all"))
    stream.wait_for(lambda s: s.data and s.data[-1] == "999999")
    assert set(kept) <= set(each_once(stream.data))
    assert {r["reason"] for r in stream.resets} <= {"flushed"} and stream.resets


@pytest.mark.parametrize("first", ["none", "dead"])
def test_live_mode_before_the_first_recorder(redis, start_fcgi_sse, loop, first):
    """A stream opened in live mode, then a recorder starts under load: each event once."""
    one = start_fcgi_sse(redis, "--record=none")
    streams = [loop.live(one, "all") for _ in range(4)]
    load = Load(redis, "all", loop)
    load.run_for(0.5)
    two = start_fcgi_sse(redis, *BIG)
    streams += [loop.live(two, "all")]
    load.run_until(lambda: recorded(redis, "all"))
    load.run_for(0.5)
    load.publish(1)
    wait_until(lambda: recorded(redis, "all")[-1:] == ["%d" % (load.count - 1)])
    for stream in streams[:4]:
        stream.wait_for(lambda s: len(s.data) >= load.count)
        assert each_once(stream.data) == list(range(load.count))
        recorded_ids = {r[0] for r in history(redis, "all")}
        with_id = {int(i.id) for i in stream.items if getattr(i, "id", None)}
        assert recorded_ids <= with_id | {int(stream.floor)}, "each record moved the cursor"
        assert int(stream.last_id) == clock(redis)
    if first == "dead":  # and back: the recorder goes, streams take again into live mode
        two.stop()
        wait_until(lambda: not redis.client.exists("sse:recorder"))
        before = len(streams[0].data)
        redis.publish("all", "%d" % load.count)
        load.count += 1
        streams[0].wait_data(before + 1)
        assert each_once(streams[0].data) == list(range(load.count))


def test_scripts_flushed(redis, fcgi_sse, loop):
    """SCRIPT FLUSH under recorder, publisher and streams: NOSCRIPT is nobody's business."""
    stream = loop.live(fcgi_sse, "all")
    redis.publish("all", "a")
    stream.wait_data(1)
    redis.client.script_flush()
    redis.publish("all", "b")
    stream.wait_data(2)
    redis.client.script_flush()
    publish_ids(redis, "all", "c")
    late = loop.live(fcgi_sse, "all", last_event_id="0")
    assert stream.wait_data(3) == late.wait_data(3) == ["a", "b", "c"]


def test_warns_on_a_shared_redis(redis, start_fcgi_sse):
    """With * on a Redis where other clients' channels are heard it warns, once."""
    fcgi_sse = start_fcgi_sse(redis)
    for i in range(5):
        redis.publish("someone.else%d" % i, "x")
    redis.client.client_setname("another-program")
    wait_until(lambda: redis.client.exists("sse:history:someone.else4"))
    warnings = [line for line in fcgi_sse.stderr().splitlines() if "warn" in line and "*" in line]
    assert len(warnings) <= 1


def test_out_of_memory(start_redis, start_fcgi_sse, loop):
    """-OOM: streams open all the same, what waits is recorded in order when there is room; the log says so once."""
    redis = start_redis(extra=["--maxmemory-policy", "noeviction"])
    fcgi_sse = start_fcgi_sse(redis)
    fcgi_sse.expect_log(r"OOM|memory|recorder")
    publish_ids(redis, "all", "before")
    redis.client.config_set("maxmemory", "100kb")
    stream = loop.live(fcgi_sse, "all", last_event_id="0")
    assert stream.wait_data(1) == ["before"]
    for text in ("one", "two", "three"):
        redis.publish("all", text)
    loop.stays(lambda: not recorded(redis, "all"), 0.3)
    redis.client.config_set("maxmemory", "0")
    wait_until(lambda: recorded(redis, "all") == ["one", "two", "three"])
    stream.wait_for(lambda s: len(s.data) >= 4)
    assert sorted(stream.data) == sorted(["before", "one", "two", "three"])
    fcgi_sse.wait_log(r"info: Redis records again")
    assert fcgi_sse.stderr().count("Redis does not record just now (OOM") == 1


def test_limits_are_shared(redis, start_fcgi_sse):
    """fcgi-sse --history-… writes sse:limits, which every publisher follows."""
    start_fcgi_sse(redis, "--history-count=3", "--history-age=100")
    limits = {k.decode(): int(v) for k, v in redis.client.hgetall("sse:limits").items()}
    assert limits["count"] == 3 and limits["age"] == 100
    for i in range(5):
        publish_ids(redis, "all", "%d" % i)
    assert len(history(redis, "all")) == 3 and redis.client.ttl("sse:history:all") <= 100


def test_blanks_round_patterns(redis, start_fcgi_sse, loop):
    """--record='a, b' records b."""
    fcgi_sse = start_fcgi_sse(redis, "--record=a*, b*").expect_log(r"record")
    stream = loop.live(fcgi_sse, "b1")
    redis.publish("b1", "x")
    assert stream.wait_data(1) == ["x"] and stream.events[0].id


def test_equal_messages_when_a_recorder_starts(redis, start_fcgi_sse, loop):
    """Equal plain messages before and after a recorder starts are all delivered: 20 of 20."""
    fcgi_sse = start_fcgi_sse(redis, "--record=none")
    stream = loop.live(fcgi_sse, "all")
    for _ in range(10):
        redis.publish("all", "tick")
    stream.wait_data(10)
    start_fcgi_sse(redis).expect_log(r"record")
    loop.wait_for(lambda: redis.client.hget("sse:recorder", "token"))
    for _ in range(10):
        redis.publish("all", "tick")
    stream.wait_data(20)
    loop.stays(lambda: len(stream.events) == 20, 1)


class HalfDeafProxy:
    """Passes Redis connections on; on demand says no more to a subscriber."""

    def __init__(self, path, target):
        self.path, self.target, self.mute = path, target, False
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(self.target)
            threading.Thread(target=self._pass, args=(client, server), daemon=True).start()

    def _pass(self, client, server):
        subscribes = False
        while True:
            for sock in select.select([client, server], [], [])[0]:
                try:
                    got = sock.recv(65536)
                    subscribes |= sock is client and b"PSUBSCRIBE" in got
                    if subscribes and self.mute:
                        continue
                    (server if sock is client else client).sendall(got)
                except OSError:
                    got = b""
                if not got:
                    client.close()
                    server.close()
                    return


def test_a_subscription_that_died_without_a_word(redis, start_fcgi_sse, folder, loop):
    """A recorder whose subscription is silently dead ends, and another takes its place."""
    proxy = HalfDeafProxy(folder / "proxy.sock", redis.path)
    fcgi_sse = start_fcgi_sse(redis, "--redis=unix://" + proxy.path).expect_log(r"record", r"subscription")
    loop.wait_for(lambda: redis.client.hget("sse:recorder", "token"))
    token = redis.client.hget("sse:recorder", "token")
    proxy.mute = True
    fcgi_sse.wait_log(r"subscription to Redis was lost")
    proxy.mute = False
    loop.wait_for(lambda: redis.client.hget("sse:recorder", "token") not in (None, token))
    stream = loop.live(fcgi_sse, "all")
    redis.publish("all", "x")
    assert stream.wait_data(1) == ["x"] and stream.events[0].id
