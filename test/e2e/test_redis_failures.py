# SPDX-License-Identifier: ISC
"""Redis is away, comes back with its data or without, cuts connections, hangs:
streams stay open, nothing that it kept is lost, the rest is told."""
import re
import signal
import socket
import time

import pytest

from processes import (DEADLINE_S, SSE_PUBLISH_BIN, free_port, history, publish_ids, redis_environment,
                       sse_publish, wait_until)

REDIS_GONE = r"[Rr]edis|recorder|connect"


@pytest.fixture
def fcgi_sse(redis, start_fcgi_sse):
    return start_fcgi_sse(redis, "--heartbeat=1").expect_log(REDIS_GONE)


def publish_when_there(redis, channel, text):
    """A publisher that tries until Redis takes it; returns the id."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        done = sse_publish(redis, channel, text, check=False)
        if done.returncode == 0:
            return int(done.stdout.split()[0])
        assert time.monotonic() < deadline, done


@pytest.mark.parametrize("place", ["unix", "tcp"])
def test_away_at_connect(folder, start_fcgi_sse, loop, place, web):
    """Redis away: EventSource gets 200, a random retry: of 5-15 s, why, and the end; curl gets 503."""
    url = "unix:///nonexistent/redis.sock" if place == "unix" else "redis://127.0.0.1:%d" % free_port()
    fcgi_sse = start_fcgi_sse(None, "--redis=" + url)
    fcgi_sse.expect_log(REDIS_GONE)
    nginx = web("nginx-example", fcgi_sse)
    retries = set()
    for where in [nginx] + 6 * [fcgi_sse]:
        stream = loop.fetch(where, "all")
        assert stream.status == 200 and stream.is_event_stream() and stream.ended == "clean"
        assert 5000 <= stream.retry_ms <= 15000 and stream.comments[0].strip()
        assert [(e.type, e.data) for e in stream.all_events] == [("stream-retry", str(stream.retry_ms))]
        assert stream.last_id == ""
        retries.add(stream.retry_ms)
    assert len(retries) > 1, "random"
    for accept in (None, "*/*", "text/html"):
        for where in (fcgi_sse, nginx):
            answer = loop.fetch(where, "all", accept=accept)
            assert answer.status == 503 and int(answer.headers["retry-after"]) > 0, answer.describe()
            assert answer.text.strip()


def fill_accept_queue(redis):
    """Redis accepts nobody, until SIGCONT, and as many connect as its Unix socket lets wait."""
    redis.program.signal(signal.SIGSTOP)
    while True:
        with socket.socket(socket.AF_UNIX) as s:  # one that is closed waits as well
            s.setblocking(False)
            try:
                s.connect(redis.path)
            except BlockingIOError:
                return


def times_waited(pid):
    """How often the process gave up its processor."""
    with open("/proc/%d/status" % pid) as f:
        return int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", f.read(), re.M)[1])


QUEUE_FULL = "its accept queue is full"


def test_accept_queue_is_full(start_redis, start_fcgi_sse, loop):
    """More connect to Redis than wait there: a stream tries again, soon and for a moment, and is not sent away;
    nor is one that is open, nor one that is carried."""
    redis = start_redis(extra=["--tcp-backlog", "2"])
    fcgi_sse = start_fcgi_sse(redis, "--debug").expect_log(REDIS_GONE)
    old = loop.live(fcgi_sse, "a")
    redis.client.client_kill_filter(_type="pubsub")
    fill_accept_queue(redis)
    new = [loop.open(fcgi_sse, "a") for _ in range(3)]
    loop.wait_for(lambda: fcgi_sse.stderr().count(QUEUE_FULL) >= 3)
    redis.program.signal(signal.SIGCONT)
    for stream in new:
        stream.wait_open()
    publish_when_there(redis, "a", "event")
    for stream in [old] + new:
        stream.wait_data(1)
        assert stream.data == ["event"] and stream.retry_ms < 5000


def test_accept_queue_stays_full(start_redis, start_fcgi_sse, loop):
    """The accept queue stays full: the client is told to come back, after a moment, and the log says why."""
    redis = start_redis(extra=["--tcp-backlog", "2"])
    fcgi_sse = start_fcgi_sse(redis).expect_log(REDIS_GONE)
    fill_accept_queue(redis)
    asked = time.monotonic()
    stream = loop.fetch(fcgi_sse, "a")
    assert 5000 <= stream.retry_ms <= 15000 and time.monotonic() - asked > 1.9
    assert re.search("error: .*%s; the client is told" % QUEUE_FULL, fcgi_sse.stderr())
    redis.program.signal(signal.SIGCONT)


def test_publisher_waits_for_the_accept_queue(start_redis, run):
    """sse-publish and a full accept queue: it waits a moment; if nobody is accepted, it says so."""
    redis = start_redis(extra=["--tcp-backlog", "2"])
    fill_accept_queue(redis)
    done = sse_publish(redis, "a", "event", check=False)
    assert done.returncode == 69 and QUEUE_FULL in done.stderr.decode(), done
    publisher = run("sse-publish", [SSE_PUBLISH_BIN, "a", "event"], env=redis_environment(redis))
    publisher.ready(lambda: times_waited(publisher.pid) > 10)
    redis.program.signal(signal.SIGCONT)
    assert publisher.wait() == 0 and len(history(redis, "a")) == 1


@pytest.mark.parametrize("server", ["direct", "nginx-example"])
def test_restart_with_its_data(start_redis, start_fcgi_sse, loop, web, server):
    """Redis killed and restarted with its data while streaming: streams stay open, nothing is lost."""
    redis = start_redis(appendonly=True)
    fcgi_sse = start_fcgi_sse(redis, "--heartbeat=1").expect_log(REDIS_GONE)
    where = fcgi_sse if server == "direct" else web(server, fcgi_sse)
    streams = [loop.live(where, "a,b") for _ in range(5)]
    sent = []
    for round_ in range(2):
        for channel in "ab":
            sent.append(publish_ids(redis, channel, "%s%d" % (channel, round_))[0])
        redis.restart()
        for channel in "ab":
            sent.append(publish_when_there(redis, channel, "%s%d back" % (channel, round_)))
    for stream in streams:
        stream.wait_for(lambda s: len(s.events) >= len(sent))
        assert [int(e.id) for e in stream.events] == sent
        assert stream.ended is None and not stream.resets
    assert [r[0] for c in "ab" for r in history(redis, c)] == sent[0::2] + sent[1::2]


def test_killed_under_load(start_redis, start_fcgi_sse, run, folder, loop):
    """Redis is SIGKILLed under load with appendfsync always: what it kept is delivered, once, in order."""
    redis = start_redis(appendonly=True)
    fcgi_sse = start_fcgi_sse(redis, "--heartbeat=1", "--history-count=100000").expect_log(REDIS_GONE)
    streams = [loop.live(fcgi_sse, "a") for _ in range(3)]
    for round_ in range(3):
        lines = folder.write("lines", "".join("%d-%d\n" % (round_, i) for i in range(20000)))
        with open(lines, "rb") as f:
            publisher = run("sse-publish", [SSE_PUBLISH_BIN, "--lines", "a"], stdin=f,
                            env=redis_environment(redis))
        seen = len(streams[0].events)
        loop.wait_for(lambda: len(streams[0].events) > seen + 200 or not publisher.running())
        redis.restart()
        publisher.wait()
    last = publish_when_there(redis, "a", "last")
    kept = [r[0] for r in history(redis, "a")]
    for stream in streams:
        stream.wait_for(lambda s: s.last_id == str(last))
        ids = [int(e.id) for e in stream.events]
        assert ids == sorted(set(ids)) and set(kept) <= set(ids)
        assert stream.ended is None
    assert kept[-1] == last


def test_restarted_empty(redis, fcgi_sse, loop):
    """Redis restarted empty: the stream stays open, says flushed, and goes on."""
    stream = loop.live(fcgi_sse, "a,b")
    publish_ids(redis, "a", "one")
    stream.wait_data(1)
    old = stream.last_id
    redis.restart(empty=True)
    publish_when_there(redis, "a", "two")
    stream.wait_for(lambda s: "two" in s.data)
    assert stream.data == ["one", "two"]
    assert [r["reason"] for r in stream.resets] == ["flushed"]
    assert int(stream.last_id) > int(old), "ids keep growing"
    publish_ids(redis, "b", "three")
    stream.wait_data(3)
    late = loop.live(fcgi_sse, "a,b", last_event_id=old)
    assert late.wait_data(2) == ["two", "three"] and late.resets[0]["reason"] == "flushed"


@pytest.mark.parametrize("types", [["pubsub"], ["normal"], ["pubsub", "normal"]])
def test_connections_cut(redis, start_fcgi_sse, run, folder, loop, types):
    """CLIENT KILL under load: streams stay open, recorded events arrive once and in order."""
    fcgi_sse = start_fcgi_sse(redis, "--heartbeat=1", "--history-count=100000").expect_log(REDIS_GONE)
    streams = [loop.live(fcgi_sse, "a") for _ in range(10)]
    want = 0
    for round_ in range(5):
        lines = folder.write("lines", "".join("%d-%d\n" % (round_, i) for i in range(2000)))
        with open(lines, "rb") as f:
            publisher = run("sse-publish", [SSE_PUBLISH_BIN, "--lines", "a"], stdin=f,
                            env=redis_environment(redis))
        while publisher.running():
            loop.step(0.01)
            for type_ in types:
                redis.client.execute_command("CLIENT", "KILL", "TYPE", type_, "SKIPME", "yes")
        want += publisher.wait() == 0
    publish_when_there(redis, "a", "last")
    kept = [r[0] for r in history(redis, "a")]
    if types == ["pubsub"]:
        assert want == 5 and len(kept) == 5 * 2000 + 1
    for stream in streams:
        stream.wait_for(lambda s: s.last_id == str(kept[-1]))
        assert [int(e.id) for e in stream.events] == kept
        assert stream.ended is None and not stream.resets


def test_redis_hangs(redis, fcgi_sse, loop):
    """Redis hangs (SIGSTOP) and comes back: the stream stays open and loses nothing."""
    stream = loop.live(fcgi_sse, "a")
    publish_ids(redis, "a", "one")
    stream.wait_data(1)
    redis.program.signal(signal.SIGSTOP)
    before = len(stream.comments)
    stream.wait_for(lambda s: s.ended or len(s.comments) > before)
    assert stream.ended is None
    redis.program.signal(signal.SIGCONT)
    publish_when_there(redis, "a", "two")
    assert stream.wait_data(2)[:2] == ["one", "two"]
    loop.stays(lambda: stream.data == ["one", "two"], 0.5)
    assert stream.ended is None and not stream.resets


@pytest.mark.own_process  # a carrier does not wait for one client
def test_redis_cuts_a_slow_subscriber(redis, fcgi_sse, loop):
    """Redis cuts a subscriber whose buffer is full: when the client reads on, all comes, once."""
    redis.client.hset("sse:limits", mapping={"count": 100000, "age": 86400, "bytes": 100000000})
    redis.client.config_set("client-output-buffer-limit", "pubsub 2mb 1mb 1")
    stream = loop.live(fcgi_sse, "a")
    loop.stop_reading(stream)
    ids = []
    for _ in range(50):
        ids += publish_ids(redis, "a", stdin=b"x" * 200000)
    wait_until(lambda: redis.channel_subscribers("sse:event:a") == 0, what="Redis to cut it")
    loop.resume_reading(stream)
    stream.wait_for(lambda s: len(s.events) >= len(ids))
    assert [int(e.id) for e in stream.events] == ids and not stream.resets and not stream.ended


def test_heartbeats_go_on_without_redis(redis, fcgi_sse, loop):
    """While Redis is away an open stream gives its signs of life."""
    stream = loop.live(fcgi_sse, "a")
    redis.program.kill()
    before = len(stream.comments)
    stream.wait_for(lambda s: len(s.comments) >= before + 3)
    assert stream.ended is None
    redis.start()
    publish_when_there(redis, "a", "back")
    stream.wait_for(lambda s: s.data == ["back"])


def test_client_that_left_is_noticed_without_redis(redis, start_fcgi_sse, loop):
    """A client that leaves while Redis is away is noticed while nothing is written."""
    fcgi_sse = start_fcgi_sse(redis, "--heartbeat=600").expect_log(REDIS_GONE)
    stream = loop.live(fcgi_sse, "a")
    redis.program.kill()
    stream.close()
    fcgi_sse.wait_streams(0)


def test_no_password_in_the_log(start_redis, start_fcgi_sse, loop):
    """A refused password is named as that, in the log and not to the client, and never printed."""
    redis = start_redis(port=free_port(), extra=["--requirepass", "righthere"])
    redis.password = "righthere"
    fcgi_sse = start_fcgi_sse(redis, "--redis=redis://:wrongone@127.0.0.1:%d" % redis.port, "--record=none")
    stream = loop.fetch(fcgi_sse, "all")
    assert stream.status == 200 and 5000 <= stream.retry_ms <= 15000
    fcgi_sse.wait_log(r"WRONGPASS|NOAUTH|password|[Aa][Uu][Tt][Hh]")
    assert "wrongone" not in fcgi_sse.stderr() and not re.search("wrongone", stream.text)
