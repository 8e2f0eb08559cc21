# SPDX-License-Identifier: ISC
"""sse-publish and a Redis that goes away, hangs or restarts: published, not published, or nobody knows; with a key, and
with --lines, each event once."""
import contextlib
import os
import re
import signal
import socket
import subprocess
import threading

import pytest

from processes import SSE_PUBLISH_BIN, history, publish_ids, redis_environment, sse_publish, wait_until

PUBLISHED, NOT_PUBLISHED, UNKNOWN = 0, 69, 76


@pytest.fixture
def peer(folder, stack):
    """peer(serve) -> the URL of something that is no Redis: each connection is serve's."""
    def start(serve):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(folder / "peer.sock")
        listener.listen()

        def run():
            with contextlib.suppress(OSError):
                while True:
                    connection = listener.accept()[0]
                    serve(connection)
                    connection.close()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        stack.callback(listener.close)
        stack.callback(listener.shutdown, socket.SHUT_RDWR)
        return "unix://" + folder / "peer.sock"
    return start


@contextlib.contextmanager
def standing_still(redis):
    redis.program.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        redis.program.signal(signal.SIGCONT)


@pytest.fixture
def standing_still_then(redis, peer):
    """The URL of a Redis that lets in whoever comes, and stands still before it gets the command."""
    def serve(connection):
        with socket.socket(socket.AF_UNIX) as server:
            server.connect(redis.path)
            server.sendall(connection.recv(100000))
            connection.sendall(server.recv(100000))
            command = connection.recv(100000)
            redis.program.signal(signal.SIGSTOP)
            server.sendall(command)
            connection.recv(1)  # until it gives up

    yield {"FCGI_SSE_REDIS": peer(serve)}
    redis.program.signal(signal.SIGCONT)


def let_in(connection):
    connection.recv(100000)
    connection.sendall(b"+OK\r\n")


# ---- one event: three outcomes

def test_redis_stands_still(redis, standing_still_then):
    """No answer: nobody knows, and it says so; the event is published when Redis goes on."""
    done = sse_publish(None, "all", "x", check=False, env=standing_still_then)
    redis.program.signal(signal.SIGCONT)
    assert done.returncode == UNKNOWN and b"nobody knows whether it was published" in done.stderr, done
    wait_until(lambda: len(history(redis, "all")) == 1)


def test_redis_stood_still_before(redis):
    """No answer to the first word: the command was never sent, so it is not published, nor later."""
    with standing_still(redis):
        done = sse_publish(redis, "all", "x", check=False)
    assert done.returncode == NOT_PUBLISHED and b"not published: " in done.stderr, done
    publish_ids(redis, "all", "y")
    assert len(history(redis, "all")) == 1


def test_cut_after_the_command(peer):
    """The connection is cut behind the command: nobody knows."""
    def serve(connection):
        let_in(connection)
        connection.recv(100000)

    done = sse_publish(None, "all", "x", check=False, env={"FCGI_SSE_REDIS": peer(serve)})
    assert done.returncode == UNKNOWN and b"nobody knows whether it was published" in done.stderr, done


def test_cut_within_the_command(peer):
    """The connection is cut before all of the command has left: not published."""
    def serve(connection):
        let_in(connection)
        connection.recv(1)

    done = sse_publish(None, "all", stdin=b"x" * 1000000, check=False, env={"FCGI_SSE_REDIS": peer(serve)})
    assert done.returncode == NOT_PUBLISHED and b"not published: " in done.stderr, done


def test_cut_before_the_command(peer):
    """The connection is cut while the password is on its way: not published."""
    done = sse_publish(None, "all", "x", check=False, env={
        "FCGI_SSE_REDIS": peer(lambda c: c.recv(100000)), "FCGI_SSE_REDIS_PASSWORD": "word"})
    assert done.returncode == NOT_PUBLISHED and b"not published: " in done.stderr, done


# ---- --key

def test_key(redis):
    """A key's event is published once; the same call again, whatever its data, answers with the first ids."""
    first = publish_ids(redis, "--key=order 1/\u00e9", "a,b", "x")
    assert publish_ids(redis, "--key=order 1/\u00e9", "a,b", "other") == first
    other = publish_ids(redis, "--key=order 2", "a,b", "y")
    for i, channel in enumerate("ab"):
        assert [(r[0], r[3]) for r in history(redis, channel)] == [
            (first[i], b"id: %d\ndata: x\n\n" % first[i]), (other[i], b"id: %d\ndata: y\n\n" % other[i])]
    key = "sse:key:order 1/\u00e9"
    assert 590 < redis.client.ttl(key) <= 600
    redis.client.delete(key)  # as it is after ten minutes
    assert publish_ids(redis, "--key=order 1/\u00e9", "a,b", "x")[0] > other[1]


def test_key_after_an_unknown_outcome(redis, standing_still_then):
    """The same command again, after nobody knew: published once."""
    done = sse_publish(None, "--key=k", "all", "x", check=False, env=standing_still_then)
    assert done.returncode == UNKNOWN and b"the same command again is safe" in done.stderr, done
    redis.program.signal(signal.SIGCONT)
    ids = publish_ids(redis, "--key=k", "all", "x")
    assert [r[0] for r in history(redis, "all")] == ids and len(ids) == 1


def test_key_at_the_same_time(redis):
    """Eight at once with one key: one event, one id."""
    running = [subprocess.Popen([SSE_PUBLISH_BIN, "--key=k", "all", "x"], stdout=subprocess.PIPE,
                                env={**os.environ, **redis_environment(redis)}) for _ in range(8)]
    answers = {program.communicate()[0] for program in running}
    assert answers == {b"%d\n" % history(redis, "all")[0][0]} and len(history(redis, "all")) == 1


# ---- --lines goes on

@pytest.fixture
def keep_all(start_redis):
    def start(**more):
        redis = start_redis(**more)
        redis.client.hset("sse:limits", mapping={"count": 1000000, "age": 86400, "bytes": 1000000000})
        return redis
    return start


@pytest.fixture
def lines(run):
    """lines(redis, *options, n=20000) -> sse-publish with that many numbers on its way, or with a pipe to write to."""
    def start(redis, *options, n=None):
        program = run("sse-publish", [SSE_PUBLISH_BIN, "--lines", *options, "all"], stdin=subprocess.PIPE,
                      env=redis_environment(redis))
        wait_until(lambda: [c for c in redis.clients() if c["cmd"] != "client|list"])
        if n is not None:
            def feed():
                with contextlib.suppress(OSError), program.process.stdin as pipe:
                    pipe.write(b"".join(b"%d\n" % i for i in range(n)))
            program.feeder = threading.Thread(target=feed, daemon=True)
            program.feeder.start()
        return program
    return start


def wait_let_in(redis):
    """Until sse-publish has its first connection."""
    wait_until(lambda: any(c["cmd"] == "eval" for c in redis.clients("normal")), what="it to be let in")


def write(program, text):
    program.process.stdin.write(text)
    program.process.stdin.flush()


def count(redis):
    return redis.client.llen("sse:history:all")


def check_all(redis, program, n, seconds=30):
    """It ends well; each line stands once in the history, in order, and its id was printed."""
    assert program.wait(seconds) == 0, program.stderr()
    records = history(redis, "all")
    assert [r[3].split(b"data: ")[1] for r in records] == [b"%d\n\n" % i for i in range(n)]
    assert [int(i) for i in program.stdout().split()] == [r[0] for r in records]
    assert [r[1] for r in records] == [0] + [r[0] for r in records[:-1]]


def test_idle_connection_ended(keep_all, lines):
    """Redis ends an idle connection (timeout): the next line is published on another, and nothing is said."""
    redis = keep_all(extra=["--timeout", "1"])
    program = lines(redis)
    for i in range(3):
        write(program, b"%d\n" % i)
        wait_until(lambda n=i + 1: program.stdout().count(b"\n") == n)
        wait_until(lambda: not [c for c in redis.clients() if c["cmd"] in ("eval", "evalsha")])
    program.process.stdin.close()
    check_all(redis, program, 3)
    assert program.stderr() == ""


def test_restarts(keep_all, lines):
    """Redis is killed and started four times in the midst of 20,000 lines: each once, in order."""
    redis = keep_all(appendonly=True)
    program = lines(redis, n=20000)
    for i in range(4):
        wait_until(lambda n=i: count(redis) > 1000 + 4000 * n)
        redis.restart()
    check_all(redis, program, 20000)
    text = program.stderr()
    assert text.count("waiting for Redis") == text.count("going on") <= 4, text


def test_cut_again_and_again(keep_all, lines):
    """The connection is cut twenty times: each line once, in order."""
    redis = keep_all()
    program = lines(redis, n=20000)
    for i in range(20):
        wait_until(lambda n=i: count(redis) > 500 * n)
        redis.client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    check_all(redis, program, 20000)


def test_stands_still(keep_all, lines):
    """Redis stands still for six seconds: each line once, in order, and two sentences."""
    redis = keep_all()
    program = lines(redis, n=20000)
    wait_until(lambda: count(redis) > 1000)
    with standing_still(redis):
        wait_until(lambda: "waiting for Redis: no answer" in program.stderr())
        threading.Event().wait(1)
    check_all(redis, program, 20000)
    assert re.fullmatch(r"sse-publish: waiting for Redis: .*\nsse-publish: Redis is back, going on\n", program.stderr())


def test_refused_now_and_then(keep_all, lines):
    """Redis is out of memory now and then: the lines behind one that is refused wait for it."""
    redis = keep_all()
    program = lines(redis, n=60000)
    for i in range(6):
        wait_until(lambda n=i: count(redis) > 2000 * n)
        redis.client.config_set("maxmemory", "1")
        wait_until(lambda n=i: program.stderr().count("waiting for Redis: OOM") == n + 1)
        redis.client.config_set("maxmemory", "0")
    check_all(redis, program, 60000)


def test_script_forgotten(keep_all, lines):
    """SCRIPT FLUSH in the midst: each line once, in order."""
    redis = keep_all()
    program = lines(redis, n=20000)
    for i in range(10):
        wait_until(lambda n=i: count(redis) > 1500 * n)
        redis.client.script_flush()
    check_all(redis, program, 20000)


def test_redis_has_lost_its_data(keep_all, lines):
    """Redis comes back empty, then as it was some lines ago: what follows is published, in order."""
    redis = keep_all()
    program = lines(redis)

    def publish(*texts):
        printed = program.stdout().count(b"\n")
        for text in texts:
            write(program, text)
        wait_until(lambda: program.stdout().count(b"\n") == printed + len(texts))

    publish(b"0\n", b"1\n")
    [key] = redis.client.keys("sse:key:*")
    older = redis.client.dump(key)
    publish(b"2\n", b"3\n")
    redis.client.restore(key, 600000, older, replace=True)
    publish(b"4\n", b"5\n", b"6\n")
    redis.restart(empty=True)
    publish(b"7\n", b"8\n")
    program.process.stdin.close()
    assert program.wait() == 0
    assert [r[3][-3:-2] for r in history(redis, "all")] == [b"7", b"8"]


def test_new_password(keep_all, folder, run):
    """The password changes: it is read again for the next connection."""
    redis = keep_all()
    redis.client.config_set("requirepass", "older")
    redis.password, redis._client = "older", None
    path = folder.write("password", "older\n")
    program = run("sse-publish", [SSE_PUBLISH_BIN, "--lines", "--redis-password-file=" + path, "all"],
                  stdin=subprocess.PIPE, env=redis_environment(redis))
    write(program, b"0\n")
    wait_until(lambda: count(redis) == 1)
    redis.client.config_set("requirepass", "newer")
    redis.client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    write(program, b"1\n")
    wait_until(lambda: "waiting for Redis" in program.stderr())
    folder.write("password", "newer\n")
    program.process.stdin.close()
    assert program.wait() == 0
    redis.password, redis._client = "newer", None
    check_all(redis, program, 2)


def test_reads_no_more_than_it_keeps(keep_all, lines):
    """While Redis is away little is read: whoever writes waits."""
    redis = keep_all()
    program = lines(redis)
    wait_let_in(redis)
    redis.stop()
    write(program, b"0\n")
    os.set_blocking(program.process.stdin.fileno(), False)
    written = 0

    def is_full():
        nonlocal written
        try:
            written += os.write(program.process.stdin.fileno(), b"x" * 999 + b"\n")
            return False
        except BlockingIOError:
            return True
    wait_until(is_full)
    threading.Event().wait(0.5)  # nothing happens: that is what is waited for
    wait_until(is_full)
    assert written < 2 << 20


# ---- and when it does not

def test_gives_up(keep_all, lines):
    """--wait: Redis stays away for longer; it says how many lines went out, and how many nobody knows about."""
    redis = keep_all(appendonly=True)
    program = lines(redis, "--wait=1", n=300000)
    wait_until(lambda: count(redis) > 1000)
    redis.stop()
    code = program.wait()
    text, printed = program.stderr(), program.stdout().count(b"\n")
    said = re.search(r"(\d+) lines were published, (?:and perhaps (\d+) more|and none after them): ", text)
    assert text.count("\n") == 2 and int(said[1]) == printed, (text, printed)
    assert code == (UNKNOWN if said[2] else NOT_PUBLISHED)
    redis.start()
    assert printed <= count(redis) <= printed + int(said[2] or 0)
    assert [int(i) for i in program.stdout().split()] == [r[0] for r in history(redis, "all")][:printed]


def test_gives_up_with_nothing_sent(keep_all, lines):
    """--wait: nothing was on its way, so it is known that the line was not published."""
    redis = keep_all()
    program = lines(redis, "--wait=1")
    wait_let_in(redis)
    redis.stop()
    write(program, b"0\n")
    assert program.wait() == NOT_PUBLISHED
    assert "0 lines were published, and none after them: " in program.stderr()


def test_may_not_any_more(keep_all, lines):
    """--wait: a right is taken away in the midst, and stays so; what it says is what is in the history."""
    redis = keep_all()
    program = lines(redis, "--wait=1", n=300000)
    wait_until(lambda: count(redis) > 1000)
    redis.client.execute_command("ACL", "SETUSER", "default", "resetchannels", "&other")
    assert program.wait() == 75
    said = re.search(r"(\d+) lines were published, and none after them: NOPERM", program.stderr())
    assert int(said[1]) == program.stdout().count(b"\n") == count(redis)


@pytest.mark.parametrize("rules", [["resetchannels", "&other"], ["-rpush"], ["-evalsha", "-eval"]])
def test_may_not_for_a_while(keep_all, lines, rules):
    """A right is taken away in the midst, and comes back: each line once, in order."""
    redis = keep_all()
    program = lines(redis, n=20000)
    wait_until(lambda: count(redis) > 1000)
    redis.client.execute_command("ACL", "SETUSER", "default", *rules)
    wait_until(lambda: "waiting for Redis: NOPERM" in program.stderr() or "waiting for Redis: The user" in program.stderr())
    redis.client.execute_command("ACL", "SETUSER", "default", "+@all", "~*", "&*")
    check_all(redis, program, 20000)


def test_may_not_from_the_start(keep_all):
    """A right that was never there: it ends at once."""
    redis = keep_all()
    redis.client.execute_command("ACL", "SETUSER", "default", "resetchannels", "&other")
    done = sse_publish(redis, "--lines", "all", stdin=b"x\n", check=False)
    assert done.returncode == 75 and b"none after them: NOPERM this user may not PUBLISH sse:event:all" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_while_it_waits(keep_all, lines, number):
    """SIGTERM and SIGINT end it at once, also while it waits for Redis."""
    redis = keep_all()
    program = lines(redis)
    wait_let_in(redis)
    redis.stop()
    write(program, b"0\n")
    wait_until(lambda: "waiting for Redis" in program.stderr())
    program.signal(number)
    assert program.wait(1) == -number


@pytest.mark.soak
@pytest.mark.seconds(120)
def test_a_minute_at_the_end(keep_all, lines):
    """Standard input has ended: Redis is waited for a minute."""
    redis = keep_all()
    program = lines(redis)
    wait_let_in(redis)
    redis.stop()
    write(program, b"0\n")
    program.process.stdin.close()
    wait_until(lambda: "waiting for Redis" in program.stderr())
    threading.Event().wait(50)
    assert program.running()
    assert program.wait(20) == NOT_PUBLISHED
