# SPDX-License-Identifier: ISC
"""Sessions whose streams share a process: each ends, or changes, at once and by itself."""
import json
import time

import pytest

from processes import publish_ids, wait_until
from returning import Returning
from test_session import LOCATION, LOG, check_ends, cookie, key_of, login, logout

OTHER = "zyxwvutsrqponmlk-9876543210"


@pytest.fixture
def start(redis, start_fcgi_sse):
    def start(*options):
        return start_fcgi_sse(redis, "--streams-per-process=50", *options).expect_log(LOG)
    return start


def carried(loop, fcgi_sse, token="abcdefghijklmnop-0123456789", **more):
    """A session's stream, in a carrier."""
    before = fcgi_sse.carried()
    stream = loop.live(fcgi_sse, params=LOCATION, headers=cookie(token), **more)
    fcgi_sse.wait_carried(before + 1)
    return stream


def test_logout(redis, start, loop):
    """DEL and PUBLISH: "stream-end" at once, to all streams of that session, and to no other; nothing passes after it."""
    fcgi_sse = start()
    login(redis, ["tug", "all"])
    login(redis, ["tug", "all"], token=OTHER)
    mine = [carried(loop, fcgi_sse) for _ in range(3)]
    other = carried(loop, fcgi_sse, OTHER)
    nobodys = loop.live(fcgi_sse, "all,tug")
    fcgi_sse.wait_carried(5)
    assert len(fcgi_sse.carriers()) == 1
    publish_ids(redis, "all", "before")
    pipe = redis.client.pipeline(transaction=False)
    began = time.monotonic()
    pipe.delete(key_of())
    pipe.publish(key_of(), "0 0 p\n")
    for i in range(50):
        pipe.publish("all", "all:%d" % i)
    pipe.execute()
    for stream in mine:
        check_ends(stream)
        assert stream.ended == "clean" and stream.data == ["before"], stream.describe()
    assert time.monotonic() - began < 5
    for stream in (other, nobodys):
        assert stream.wait_data(51) == ["before"] + ["all:%d" % i for i in range(50)]
        assert not stream.ended
    fcgi_sse.wait_carried(2)


@pytest.mark.parametrize("how", ["deleted", "expired"])
def test_grant_is_gone(redis, start, loop, how):
    """Without a message the next check sees it."""
    fcgi_sse = start("--heartbeat=1")
    login(redis, ["all"])
    login(redis, ["all"], token=OTHER)
    stream, other = carried(loop, fcgi_sse), carried(loop, fcgi_sse, OTHER)
    if how == "deleted":
        logout(redis, notify=False)
    else:
        redis.client.pexpire(key_of(), 50)
    check_ends(stream)
    publish_ids(redis, "all", "x")
    assert other.wait_data(1) == ["x"] and not other.ended


@pytest.mark.parametrize("notify", [True, False])
def test_changed_grant(redis, start, loop, notify):
    """Other channels from the cursor on: the client comes back, gets the new one's events, and the old one's no more."""
    fcgi_sse = start(*([] if notify else ["--heartbeat=1"]))
    login(redis, ["all", "old"])
    client = Returning(loop, fcgi_sse, None, params=LOCATION, headers=cookie()).wait_live()
    fcgi_sse.wait_carried(1)
    publish_ids(redis, "old", "old:1")
    loop.wait_for(lambda: client.data == ["old:1"], what=client.describe)
    login(redis, ["all", "new"], notify=notify)
    for i in range(20):
        publish_ids(redis, "all", "all:%d" % i)
    loop.wait_for(lambda: client.opened == 2 and client.is_live(), what=client.describe)
    publish_ids(redis, "old", "old:2")
    publish_ids(redis, "new", "new:1")
    loop.wait_for(lambda: client.data[-1:] == ["new:1"], what=client.describe)
    assert client.data == ["old:1"] + ["all:%d" % i for i in range(20)] + ["new:1"], client.describe()
    assert not client.resets and client.ends == ["clean"]
    fcgi_sse.wait_carried(1)


def test_message_without_a_change(redis, start, loop):
    """Whoever says something on a session's key changes nothing, however often, and holds nothing up for others."""
    fcgi_sse = start()
    login(redis, ["all"])
    login(redis, ["all"], token=OTHER)
    streams = [carried(loop, fcgi_sse), carried(loop, fcgi_sse, OTHER), loop.live(fcgi_sse, "all")]
    fcgi_sse.wait_carried(3)
    number = 0
    for said in ("0 0 p\n", "", "junk", "0 99999999999999999 p\nx") * 5:
        pipe = redis.client.pipeline(transaction=False)
        for i in range(20):
            if i % 5 == 0:
                pipe.publish(key_of(), said)
            pipe.publish("all", "all:%d" % number)
            number += 1
        pipe.execute()
        publish_ids(redis, "all", "all:%d" % number)
        number += 1
        if number % 3 == 0:
            login(redis, ["all"], notify=True)  # the same again
    for stream in streams:
        assert stream.wait_data(number) and sorted(stream.data) == sorted("all:%d" % i for i in range(number))
        ids = [int(e.id) for e in stream.events]
        assert ids == sorted(set(ids)) and not stream.ended and not stream.resets
    assert fcgi_sse.carried() == 3


def test_logout_while_it_moves(redis, start, loop):
    """A logout at whatever moment of a stream's beginning ends it."""
    fcgi_sse = start()
    for i in range(40):
        login(redis, ["all"])
        stream = loop.open(fcgi_sse, params=LOCATION, headers=cookie())
        end = time.monotonic() + i * 0.0005
        wait_until(lambda s=stream, e=end: loop.step(0) or (s.floor is not None and time.monotonic() > e))
        logout(redis)
        publish_ids(redis, "all", "secret")
        check_ends(stream)
        assert stream.data == [], stream.describe()
    fcgi_sse.wait_carried(0)


def test_logout_of_one_that_does_not_read(redis, start, loop):
    """What waits for a client is not sent to it after its logout."""
    fcgi_sse = start()
    login(redis, ["all"])
    stream = carried(loop, fcgi_sse)
    reader = loop.live(fcgi_sse, "all")
    loop.stop_reading(stream)
    for _ in range(60):
        publish_ids(redis, "all", stdin=b"x" * 20000)
    reader.wait_data(60)
    logout(redis)
    publish_ids(redis, "all", "y")
    reader.wait_data(61)
    loop.resume_reading(stream)
    check_ends(stream)
    assert 0 < len(stream.events) < 40 and {len(d) for d in stream.data} == {20000}
    assert json.loads(stream.all_events[-1].data) == {"reason": "session"}
