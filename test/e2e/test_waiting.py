# SPDX-License-Identifier: ISC
"""Whatever Redis does - it hangs, is away, is loading, refuses the password - a stream
waits in one place: it notices a client that left and SIGTERM as at any other time."""
import os
import signal
import socket
import threading
import time

import pytest

from processes import Program, alive, publish_ids, wait_until

REDIS_GONE = r"[Rr]edis|recorder|connect"


class Trouble:
    """One way in which Redis does not answer, that can begin while streams are open."""

    def __init__(self, redis):
        self.redis = redis

    def end(self):
        pass


class Hangs(Trouble):
    def begin(self):
        self.redis.program.signal(signal.SIGSTOP)

    def end(self):
        self.redis.program.signal(signal.SIGCONT)


class Away(Trouble):
    def begin(self):
        self.redis.program.kill()


class Loading(Trouble):
    """A restart that loads its data for longer than the test takes (40 s, a tenth for each key)."""

    def begin(self):
        self.redis.client.mset({"key%d" % i: os.urandom(3000) for i in range(400)})
        self.redis.client.save()
        self.redis.client.close()
        self.redis.program.kill()
        self.redis.extra += ["--key-load-delay", "100000", "--loading-process-events-interval-bytes", "1024"]
        os.unlink(self.redis.path)
        argv = self.redis.program.argv + self.redis.extra[-4:]
        self.redis.program = Program(self.redis.folder, "redis", argv, check_stderr=False)
        wait_until(lambda: b"LOADING" in self.redis_says(), 10, "Redis to be loading")

    def redis_says(self):
        try:
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(5)
                s.connect(self.redis.path)
                s.sendall(b"GET x\r\n")
                return s.recv(100)
        except OSError:
            return b""


class WrongPassword(Trouble):
    def begin(self):
        client = self.redis.client
        client.config_set("requirepass", "another")
        for type_ in ("pubsub", "normal"):
            client.client_kill_filter(_type=type_, skipme=True)


TROUBLES = {"hangs": Hangs, "away": Away, "loading": Loading, "password": WrongPassword}


@pytest.fixture(params=sorted(TROUBLES))
def trouble(request, start_redis):
    made = TROUBLES[request.param](start_redis(appendonly=False))
    yield made
    made.end()


@pytest.fixture
def fcgi_sse(trouble, start_fcgi_sse):
    return start_fcgi_sse(trouble.redis, "--heartbeat=1", "--drain=1").expect_log(REDIS_GONE)


def let_it_take(loop, stream):
    """Until the stream's check has found the trouble: a heartbeat interval and a quarter."""
    before = len(stream.comments)
    stream.wait_for(lambda s: len(s.comments) >= before + 2, 15)


@pytest.mark.parametrize("when", ["at once", "after a check"])
def test_client_that_left_is_noticed_at_once(trouble, fcgi_sse, loop, when):
    """A client that leaves an open stream is noticed at once, whatever Redis does."""
    stream = loop.live(fcgi_sse, "a")
    trouble.begin()
    if when == "after a check":
        let_it_take(loop, stream)
    stream.close()
    left = time.monotonic()
    fcgi_sse.wait_streams(0, 10)
    # the promise is 0.1 s; a wait for Redis took 2 to 5
    assert time.monotonic() - left < 1.5


def test_client_that_left_before_the_header(trouble, fcgi_sse, loop):
    """A client that leaves before anything came is noticed, too, and costs nothing."""
    trouble.begin()
    stream = loop.open(fcgi_sse, "a")
    if not isinstance(trouble, Hangs):  # there is an answer at once: come back
        stream.wait_end()
        assert stream.status == 200 and 5000 <= stream.retry_ms <= 15000
        return
    fcgi_sse.wait_streams(1)
    loop.stays(lambda: stream.status is None, 0.3)
    stream.close()
    left = time.monotonic()
    fcgi_sse.wait_streams(0, 10)
    assert time.monotonic() - left < 1.5


def test_sigterm_ends_politely(trouble, fcgi_sse, loop):
    """SIGTERM: retry: and END_REQUEST, whatever Redis does, also to who has had no answer yet."""
    streams = [loop.live(fcgi_sse, "a") for _ in range(3)]
    trouble.begin()
    let_it_take(loop, streams[0])
    young = loop.open(fcgi_sse, "b")
    if isinstance(trouble, Hangs):
        fcgi_sse.wait_streams(4)
        loop.stays(lambda: young.status is None, 0.2)
    fcgi_sse.signal(signal.SIGTERM)
    for stream in streams:
        stream.wait_end(15)
        assert stream.ended == "clean", stream.describe()
        assert 1000 <= stream.retry_ms <= 5000
    young.wait_end(15)
    assert young.ended == "clean" and young.status == 200 and 5000 <= young.retry_ms <= 15000
    assert "signal 9" not in fcgi_sse.stderr()
    trouble.end()
    fcgi_sse.wait(15)


def test_hang_at_the_start_is_told(trouble, fcgi_sse, loop):
    """Redis that answers nothing at the start: the client is told to come back, by a 200 with retry:."""
    trouble.begin()
    stream = loop.open(fcgi_sse, "a")
    stream.wait_end(15)
    assert stream.status == 200 and stream.ended == "clean" and 5000 <= stream.retry_ms <= 15000
    assert stream.floor is None


def test_session_location_does_not_wait_either(start_redis, start_fcgi_sse, loop):
    """Where a session guards the location, a client that left is noticed while its grant is asked for."""
    redis = start_redis()
    fcgi_sse = start_fcgi_sse(redis).expect_log(REDIS_GONE)
    redis.program.signal(signal.SIGSTOP)
    try:
        stream = loop.open(fcgi_sse, "a", params={"SSE_SESSION_COOKIE": "sid"},
                           headers={"Cookie": "sid=0123456789abcdef"})
        fcgi_sse.wait_streams(1)
        [responder] = fcgi_sse.responders()
        loop.stays(lambda: stream.status is None, 0.3)
        stream.close()
        left = time.monotonic()
        wait_until(lambda: not alive(responder), 10, "the responder to end")
        assert time.monotonic() - left < 1.5
    finally:
        redis.program.signal(signal.SIGCONT)


def test_one_write_opens_a_stream(start_fcgi_sse, loop):
    """AUTH, SELECT, the question whether the store may be used, and the take leave in one write, before Redis has said anything: one round trip."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        fcgi_sse = start_fcgi_sse(None, "--redis=redis://user:secret@127.0.0.1:%d/3" % port,
                                  "--record=none").expect_log(REDIS_GONE)
        stream = loop.open(fcgi_sse, "a")
        conn, _ = silent.accept()
        conn.settimeout(5)
        received = b""
        while b"EXEC" not in received:
            received += conn.recv(65536)
        order = [received.index(word) for word in (
            b"AUTH", b"SELECT", b"sse3:limits", b"MULTI", b"heapify", b"SUBSCRIBE", b"EXEC")]
        assert order == sorted(order)
        silent.close()
        conn.close()
        stream.wait_end(15)
        assert stream.status == 200 and stream.retry_ms >= 5000


def test_slow_redis_answers_byte_by_byte(start_redis, start_fcgi_sse, loop, folder):
    """A take whose answer comes slower than the time limit, but comes, is not given up."""
    redis = start_redis()
    start_fcgi_sse(redis)  # records: so one take is enough
    ids = publish_ids(redis, "a", "first") + publish_ids(redis, "a", stdin=b"x" * 3000)
    path = folder / "slow.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        os.chmod(path, 0o777)
        listening.listen(8)
        threading.Thread(target=_trickle, args=(listening, redis.path), daemon=True).start()
        fcgi_sse = start_fcgi_sse(redis, "--redis=unix://" + path, "--record=none").expect_log(REDIS_GONE)
        stream = loop.live(fcgi_sse, "a", seconds=30, last_event_id=ids[0])
        stream.wait_data(1, 30)
        assert len(stream.data[0]) == 3000 and not stream.resets
        stream.close()


def _trickle(listening, path):
    """A forwarding proxy: what Redis says arrives in pieces, a second apart, seven of them."""
    while True:
        try:
            client, _ = listening.accept()
        except OSError:
            return
        server = socket.socket(socket.AF_UNIX)
        server.connect(path)
        threading.Thread(target=_pass_on, args=(client, server, None), daemon=True).start()
        threading.Thread(target=_pass_on, args=(server, client, 500), daemon=True).start()


def _pass_on(source, target, piece):
    try:
        while True:
            received = source.recv(65536)
            if not received:
                return
            while piece and received:
                target.sendall(received[:piece])
                received = received[piece:]
                time.sleep(0.9)
            target.sendall(received)
    except OSError:
        pass
    finally:
        target.close()
