# SPDX-License-Identifier: ISC
"""Sites that would get into each other's way in one Redis are told so, and one of them stays out: one prefix in two
databases, for pub/sub has none; and a store of a newer format."""
import os

import pytest
import redis as redis_client

from processes import TOP, history, publish_ids, sse_publish, wait_until

ENTER = open(os.path.join(TOP, "lua/enter.lua"), encoding="utf-8").read()
IN_USE = r"PREFIX x: is in use in database %d, too, and pub/sub has no databases: give .* another --prefix"


class Database:
    """One database of a Redis, with what FcgiSse asks of a server."""

    def __init__(self, redis, number):
        self.url = "%s?db=%d" % (redis.url, number)
        self.client = redis_client.Redis(unix_socket_path=redis.path, db=number)


@pytest.fixture
def start_site(redis, start_fcgi_sse, stack):
    """start_site(database, prefix) -> (its database, its fcgi-sse)."""
    def start(number, prefix="x:"):
        database = Database(redis, number)
        stack.callback(database.client.close)
        return database, start_fcgi_sse(database, "--prefix=" + prefix, recorder=False)
    return start


def wait_recorder(database, prefix="x:"):
    wait_until(lambda: database.client.hget(prefix + "recorder", "token"), what="a recorder")


def test_one_prefix_in_two_databases(start_site, loop):
    """The second site of a prefix says no: it records, streams and publishes nothing.  When the first ends it goes on
    by itself."""
    one, first = start_site(0)
    wait_recorder(one)
    stream = loop.live(first, "all")
    two, second = start_site(3)
    second.wait_log(r"recorder: error: Redis at .*: " + IN_USE % 0 + "; plain messages are not recorded; still trying")
    answer = loop.fetch(second, "all")
    assert 5000 <= answer.retry_ms <= 15000 and not answer.events
    second.wait_log(r"\d\]: error: Redis at .*" + IN_USE % 0 + "; the client is told to come back")
    done = sse_publish(two, "--prefix=x:", "all", "lost", check=False)
    assert done.returncode != 0 and not done.stdout and b"in use in database 0, too" in done.stderr
    publish_ids(one, "--prefix=x:", "all", "one")
    one.client.publish("all", "plain")
    assert stream.wait_data(2) == ["one", "plain"] and not stream.resets
    assert not two.client.keys("*")
    loop.live(first, "all").close()
    assert "PREFIX" not in first.stderr() and second.stderr().count("recorder: error") == 1
    stream.close()
    first.stop()
    wait_recorder(two)
    stream = loop.live(second, "all")
    publish_ids(two, "--prefix=x:", "all", "two")
    two.client.publish("all", "plain")
    assert stream.wait_data(2) == ["two", "plain"]
    assert [r[2] for r in history(two, "all", "x:")] == ["p", "r"]


def test_two_prefixes_in_two_databases(start_site, loop):
    """Sites of another prefix each are nothing to each other; nor are two hosts of one site."""
    sites = [start_site(1, "x:"), start_site(2, "y:")]
    for (database, _), prefix in zip(sites, ("x:", "y:")):
        wait_recorder(database, prefix)
    again = start_site(2, "y:")
    for (database, fcgi_sse), prefix in zip(sites + [again], ("x:", "y:", "y:")):
        stream = loop.live(fcgi_sse, "all")
        publish_ids(database, "--prefix=" + prefix, "all", prefix)
        assert stream.wait_data(1) == [prefix]
        assert "PREFIX" not in fcgi_sse.stderr()


@pytest.mark.parametrize("own,leases,may", [
    (0, {}, True), (3, {3: True}, True), (3, {0: True}, False), (3, {15: True}, False), (0, {1: True}, False),
    (3, {0: False, 15: False}, True), (3, {3: False, 0: True}, False),
    # both are there, they started at the same moment: the lower number stays
    (0, {0: True, 1: True}, True), (1, {0: True, 1: True}, False), (3, {3: True, 15: True}, True)])
def test_who_stays(redis, own, leases, may):
    """The recorder that is active counts, not one that is gone; where both are there, the lower number."""
    subscriber = redis.client.pubsub()
    for number, is_there in leases.items():
        database = Database(redis, number)
        database.client.hset("x:recorder", "token", "t%d" % number)
        database.client.close()
        if is_there:
            subscriber.subscribe("x:recorder:t%d" % number)
            assert subscriber.get_message(timeout=30)["type"] == "subscribe"
    client = Database(redis, own).client

    def enter():
        return client.eval(ENTER, 2, "x:recorder", "x:limits", "x:", own, 1)

    if may:
        assert enter() == b"OK"
    else:
        with pytest.raises(redis_client.ResponseError, match="^PREFIX"):
            enter()
    assert client.client_info()["db"] == own
    # who may not look must not fail
    redis.client.execute_command("ACL", "SETUSER", "default", "-select")
    assert enter() == b"OK"
    client.close()
    subscriber.close()


def test_newer_format(redis, start_fcgi_sse, loop):
    """A store that a newer version writes is left alone, in a sentence."""
    newer = r"FORMAT 2 of the store sse: is newer than this program, which knows 1: update the program"
    redis.client.hset("sse:limits", "format", "2")
    fcgi_sse = start_fcgi_sse(redis, recorder=False)
    fcgi_sse.wait_log(r"recorder: error: Redis at .*" + newer)
    assert not loop.fetch(fcgi_sse, "all").events
    fcgi_sse.wait_log(r"\d\]: error: Redis at .*" + newer)
    done = sse_publish(redis, "all", "x", check=False)
    assert done.returncode != 0 and b"FORMAT 2" in done.stderr
    assert redis.client.keys("*") == [b"sse:limits"]
    redis.client.hset("sse:limits", "format", "1")
    publish_ids(redis, "all", "x")


def test_format_is_written(redis, fcgi_sse):
    """The recorder says which format the store has."""
    assert redis.client.hgetall("sse:limits") == {b"format": b"1"}
