# SPDX-License-Identifier: ISC
"""Limits that stand in Redis: its own for subscribers, and those of the histories."""
import re

import pytest

from processes import history, wait_until


def seconds_of(redis):
    return redis.client.time()[0]


def test_large_messages_far_apart(redis, start_fcgi_sse):
    """Redis' soft limit counts only while a buffer is full: two large plain messages, longer apart than its seconds,
    are recorded."""
    start_fcgi_sse(redis, "--event-bytes=4000000", "--history-bytes=100000000", "--record=all").expect_log(r"client-output-buffer-limit")
    redis.client.config_set("client-output-buffer-limit", "pubsub 32mb 1mb 1")
    for i in range(3):
        redis.publish("all", "%d" % i + "x" * 1500000)
        wait_until(lambda n=i: redis.client.llen("sse:history:all") == n + 1, what="message %d in the history" % i)
        start = seconds_of(redis)
        wait_until(lambda s=start: seconds_of(redis) > s + 3)


@pytest.mark.parametrize("limit,options,wanted", [
    ("32mb 8mb 60", [], None),
    ("0 0 0", ["--event-bytes=16777216"], None),
    ("32mb 8mb 60", ["--event-bytes=9000000"],
     r"--event-bytes=9000000: one can need 18001536 bytes, .* pubsub 33554432 8388608 60; "
     r"set 'pubsub 36003072 18001536 60' or more, or --event-bytes=4193536 or less"),
    ("1mb 0 0", [], r"--event-bytes=1048576: one can need 2098688 bytes, .* pubsub 1048576 0 0; "
     r"set 'pubsub 4197376 0 0' or more, or --event-bytes=523520 or less"),
    ("0 1mb 5", [], r"set 'pubsub 0 2098688 5' or more, or --event-bytes=523520 or less"),
])
def test_limits_that_do_not_fit(redis, start_fcgi_sse, limit, options, wanted):
    """Where --event-bytes and Redis' limit for subscribers do not fit together the recorder warns at its start, once,
    and names both."""
    redis.client.config_set("client-output-buffer-limit", "pubsub " + limit)
    fcgi_sse = start_fcgi_sse(redis, "--record=all", *options)
    if wanted:
        fcgi_sse.wait_log(r"recorder: warn: Redis may cut .*" + wanted)
    assert fcgi_sse.stderr().count("warn: Redis may cut") == bool(wanted)


def test_limits_that_are_not_told(redis, start_fcgi_sse):
    """Who may not ask Redis for its settings hears nothing of them."""
    redis.client.execute_command("ACL", "SETUSER", "default", "-config")
    fcgi_sse = start_fcgi_sse(redis, "--record=all", "--event-bytes=9000000")
    redis.publish("all", "x")
    wait_until(lambda: history(redis, "all"))
    assert not re.search(r"recorder: (warn|error)", fcgi_sse.stderr())


def test_other_limits_of_the_histories(redis, start_fcgi_sse):
    """A recorder that finds other limits in Redis than it was told writes its own, and says what was there."""
    first = start_fcgi_sse(redis, "--history-count=300", "--history-age=100")
    assert redis.client.hgetall("sse:limits") == {b"format": b"1", b"count": b"300", b"age": b"100"}
    same = start_fcgi_sse(redis, "--history-count=300")
    other = start_fcgi_sse(redis, "--history-count=500", "--history-age=100", "--history-bytes=5000000")
    other.wait_log(r"recorder: warn: the history's limits in sse:limits were count 300 and are now count 500: all "
                   r"programs of a prefix need the same")
    assert redis.client.hgetall("sse:limits") == {
        b"format": b"1", b"count": b"500", b"age": b"100", b"bytes": b"5000000"}
    for fcgi_sse in (first, same):
        assert "limits" not in fcgi_sse.stderr()


def test_limits_that_cannot_be_written(redis, start_fcgi_sse):
    """Where Redis refuses the limits the log says so once, however often the recorder connects."""
    redis.client.set("sse:limits", "something else")
    fcgi_sse = start_fcgi_sse(redis, "--history-count=300", "--record=all").expect_log(r"recorder")
    for _ in range(3):
        before = fcgi_sse.stderr().count("there is a subscription again")
        redis.client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        wait_until(lambda n=before: fcgi_sse.stderr().count("there is a subscription again") > n)
    assert fcgi_sse.stderr().count("limits could not be written to sse:limits: WRONGTYPE") == 1
