# SPDX-License-Identifier: ISC
"""sse-publish: what it reads, what it prints, and what it says when it fails."""
import re
import subprocess
import time

import pytest

from processes import SSE_PUBLISH_BIN, free_port, history, publish_ids, redis_environment, sse_publish, wait_until


def texts(redis, channel):
    return [r[3].split(b"\n", 1)[1] for r in history(redis, channel)]


def check_failed(done):
    """Status non-zero and one sentence on stderr."""
    text = done.stderr.decode()
    assert done.returncode > 0 and done.stdout == b"", done
    assert text.count("\n") == 1 and len(text.split()) > 3, text
    return text


def test_argument(redis):
    """The data is the argument; the id is printed and is the record's."""
    done = sse_publish(redis, "all", "some data")
    [record] = history(redis, "all")
    assert done.stdout == b"%d\n" % record[0]
    assert record[3] == b"id: %d\ndata: some data\n\n" % record[0] and record[1:3] == (0, "p")


def test_id_is_a_time(redis):
    """An id is microseconds since 1970 and grows strictly."""
    before = time.time() * 1e6
    ids = [publish_ids(redis, "all", "x")[0] for _ in range(5)]
    assert before - 1e6 <= ids[0] <= time.time() * 1e6 + 1e6
    assert ids == sorted(set(ids))


def test_event_name(redis):
    """--event names the event; "message" is left out of the frame."""
    sse_publish(redis, "--event=news", "all", "x")
    sse_publish(redis, "--event=message", "all", "x")
    assert texts(redis, "all") == [b"event: news\ndata: x\n\n", b"data: x\n\n"]


def test_empty_data(redis):
    """An empty argument is an event with empty data."""
    sse_publish(redis, "all", "")
    assert texts(redis, "all") == [b"data: \n\n"]


def test_stdin(redis):
    """Without an argument the data is stdin, whole."""
    sse_publish(redis, "all", stdin=b"one\ntwo")
    assert texts(redis, "all") == [b"data: one\ndata: two\n\n"]


def test_data_like_an_option(redis):
    """After -- data may look like an option."""
    sse_publish(redis, "--", "all", "--lines")
    assert texts(redis, "all") == [b"data: --lines\n\n"]


def test_several_channels(redis):
    """CHANNEL,CHANNEL: one event in each."""
    ids = publish_ids(redis, "a,b,c", "x")
    assert sorted(ids) == [history(redis, c)[0][0] for c in "abc"]


def test_lines(redis):
    """--lines: one event of each line, in order, also the last without its newline; prints the ids."""
    ids = publish_ids(redis, "--lines", "all", stdin=b"one\n\nthree\r\nfour")
    records = history(redis, "all")
    assert [r[0] for r in records] == ids and len(ids) == 4
    data = [t.rstrip(b"\n") for t in texts(redis, "all")]
    assert data[0] == b"data: one" and data[1] == b"data: " and data[3] == b"data: four"
    assert data[2].startswith(b"data: three") and b"evil" not in data[2]
    assert [r[1] for r in records] == [0] + ids[:-1]


def test_lines_of_nothing(redis):
    """--lines of an empty stdin publishes nothing and succeeds."""
    assert publish_ids(redis, "--lines", "all", stdin=b"") == []


def test_lines_as_they_come(redis, run):
    """tail -f | sse-publish --lines: each line is published when it comes, not at the end."""
    program = run("sse-publish", [SSE_PUBLISH_BIN, "--lines", "logs"], stdin=subprocess.PIPE,
                  env=redis_environment(redis))
    for count in range(1, 4):
        program.process.stdin.write(b"line\n")
        program.process.stdin.flush()
        wait_until(lambda n=count: len(history(redis, "logs")) == n)
        wait_until(lambda n=count: program.stdout().count(b"\n") == n)
    program.process.stdin.close()
    assert program.wait() == 0


def test_lines_are_pipelined(redis):
    """20,000 lines: all of them, in order."""
    redis.client.hset("sse:limits", mapping={"count": 100000, "age": 86400, "bytes": 100000000})
    ids = publish_ids(redis, "--lines", "all", stdin=b"".join(b"%d\n" % i for i in range(20000)))
    assert len(ids) == 20000 == len(history(redis, "all")) and ids == sorted(set(ids))
    assert [int(re.search(rb"data: (\d+)", t).group(1)) for t in texts(redis, "all")] == list(range(20000))


# ---- errors

def test_redis_away(redis):
    """Redis is away: status non-zero and one sentence that names it."""
    for url in ("unix:///nonexistent.sock", "redis://127.0.0.1:%d" % free_port()):
        check_failed(sse_publish(None, "all", "x", env={"FCGI_SSE_REDIS": url}, check=False))
        check_failed(sse_publish(None, "--lines", "all", stdin=b"x\n", env={"FCGI_SSE_REDIS": url}, check=False))


def test_redis_refuses(start_redis, folder):
    """Redis refuses (OOM, NOAUTH): one sentence with its reason."""
    redis = start_redis(extra=["--maxmemory-policy", "noeviction"])
    redis.client.config_set("maxmemory", "100kb")
    assert re.search("OOM|memory", check_failed(sse_publish(redis, "all", "x", check=False)))
    redis.client.config_set("maxmemory", "0")
    redis.client.config_set("requirepass", "righthere")
    text = check_failed(sse_publish(redis, "all", "x", check=False))
    assert re.search("NOAUTH|uthent|password", text)
    text = check_failed(sse_publish(None, "all", "x", check=False, env={
        "FCGI_SSE_REDIS": redis.url, "FCGI_SSE_REDIS_PASSWORD_FILE": folder.write("password", "wrongone\n")}))
    assert "wrongone" not in text
    redis.password = "righthere"


@pytest.mark.parametrize("argv", [
    [], ["a*b", "x"], ["", "x"], [",", "x"], ["sse:event:x", "x"], ["__x", "x"], ["a b", "x"],
    ["x" * 129, "x"], ["all", "x", "y"], ["--nonsense", "all", "x"], ["--lines", "all", "data"],
    ["--key=", "all", "x"], ["--key=" + "x" * 129, "all", "x"], ["--lines", "--key=x", "all"], ["--wait=0", "all", "x"]])
def test_wrong_use(redis, argv):
    """Wrong use or no channel's name: status non-zero, a sentence, nothing published."""
    done = sse_publish(redis, *argv, check=False)
    assert done.returncode > 0 and done.stderr.strip() and done.stdout == b"", done
    assert redis.client.keys("sse:history:*") == []


def test_lines_with_one_bad_line(redis):
    """A line that is too long is said, and which count went out."""
    done = sse_publish(redis, "--lines", "all", stdin=b"one\n" + b"x" * (3 << 20) + b"\nthree\n", check=False)
    assert done.returncode > 0 and done.stderr.strip()
    assert re.search(rb"\d", done.stderr)
