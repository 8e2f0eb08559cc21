# SPDX-License-Identifier: ISC
"""The password of Redis changes while all runs: whoever is refused reads the file again, and says so once."""
import os
import re

import pytest

from processes import history, publish_ids, sse_publish, wait_until

REFUSED = r"WRONGPASS|NOAUTH|closed the connection|subscription|publishing connection"


@pytest.fixture
def redis(start_redis):
    redis = start_redis(extra=["--requirepass", "first"])
    redis.password = "first"
    return redis


def write(folder, password):
    """As a careful tool does it: a new file in place of the old one."""
    path = folder.write("password.new", password + "\n", 0o644)
    os.rename(path, folder / "password")
    return folder / "password"


def change(redis, password):
    """Another password; and nobody stays who came in with the old one."""
    redis.client.config_set("requirepass", password)
    for type_ in ("normal", "pubsub"):
        redis.client.execute_command("CLIENT", "KILL", "TYPE", type_, "SKIPME", "yes")
    redis.client.close()
    redis.password, redis._client = password, None


def publish(redis, *argv):
    return publish_ids(redis, *argv, env={"FCGI_SSE_REDIS_PASSWORD": redis.password})


def token(redis):
    return redis.client.hget("sse:recorder", "token")


@pytest.mark.parametrize("first", ["file", "redis"])
def test_password_changes(redis, start_fcgi_sse, folder, loop, first):
    """The file changes before or after Redis: no SIGHUP, and streams, new streams and the recorder go on; what is
    published meanwhile comes."""
    path = write(folder, "first")
    fcgi_sse = start_fcgi_sse(redis, "--redis-password-file=" + path).expect_log(REFUSED)
    stream = loop.live(fcgi_sse, "all")
    publish(redis, "all", "before")
    stream.wait_data(1)
    old = token(redis)
    if first == "file":
        write(folder, "second")
    change(redis, "second")
    publish(redis, "all", "meanwhile")
    if first == "redis":
        fcgi_sse.wait_log(r"recorder: error: .*WRONGPASS.*read again from %s before each try" % path)
        fcgi_sse.wait_log(r"\d\]: error: .*WRONGPASS.*an open stream waits")
        for _ in range(3):
            assert not loop.fetch(fcgi_sse, "all").events
        write(folder, "second")
    assert stream.wait_data(2) == ["before", "meanwhile"]
    wait_until(lambda: token(redis) not in (None, old), what="the recorder")
    fcgi_sse.wait_log(r"there is a subscription again")
    redis.publish("all", "plain")
    assert stream.wait_data(3) == ["before", "meanwhile", "plain"] and not stream.resets
    assert [r[2] for r in history(redis, "all")] == ["p", "p", "r"]
    late = loop.live(fcgi_sse, "all", last_event_id="0")
    assert late.wait_data(3) == ["before", "meanwhile", "plain"]
    log = fcgi_sse.stderr()
    for told in (r"an open stream waits", r"Redis takes the password again"):
        pids = re.findall(r"\[(\d+)\]: .*" + told, log)
        assert bool(pids) == (first == "redis") and len(pids) == len(set(pids)), told
    assert len(re.findall(r"recorder: error: .*WRONGPASS.*still trying", log)) <= 2  # one a connection
    assert "second" not in log and "first" not in log.replace("first=", "")


def test_file_is_empty_for_a_moment(redis, start_fcgi_sse, folder, loop):
    """A file that is being rewritten is empty, or away: the password that was read at the start is tried."""
    path = write(folder, "first")
    fcgi_sse = start_fcgi_sse(redis, "--redis-password-file=" + path)
    open(path, "w").close()
    loop.live(fcgi_sse, "all")
    os.unlink(path)
    loop.live(fcgi_sse, "all")


def test_pipe_is_read_once(redis, start_fcgi_sse, loop, folder, run):
    """A named pipe gives the password once: nobody waits for more of it."""
    path = folder / "pipe"
    os.mkfifo(path)
    run("writer", ["sh", "-c", "echo first >%s" % path])
    stream = loop.live(start_fcgi_sse(redis, "--redis-password-file=" + path), "all")
    publish(redis, "all", "x")
    assert stream.wait_data(1) == ["x"]


def test_publisher_names_the_file(redis, folder):
    """sse-publish that is refused says so."""
    path = write(folder, "other")
    done = sse_publish(redis, "--redis-password-file=" + path, "all", "x", check=False)
    assert done.returncode != 0 and b"WRONGPASS" in done.stderr
