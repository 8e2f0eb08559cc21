# SPDX-License-Identifier: ISC
"""Redis evicts keys, or somebody deletes them: a client that comes back gets every event after
its cursor, or a reset that says that something is gone; never silence."""
import os

import pytest

from processes import publish_ids, sse_publish

POLICIES = ["noeviction", "allkeys-lru", "allkeys-lfu", "allkeys-random",
            "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"]
CHANNELS = ["c%d" % i for i in range(8)]


def check_told(loop, fcgi_sse, channel, ids, cursor):
    """All after the cursor came, or a reset said that something did not."""
    stream = loop.live(fcgi_sse, channel, last_event_id=cursor)
    # the position after the replay: nothing more is to come
    want = [i for i in ids if i > cursor]
    loop.stays(lambda: True, 0.05)
    got = [int(e.id) for e in stream.events]
    stream.close()
    assert got == want or stream.resets, "channel %s: %r of %r, and no reset" % (channel, got, want)
    return not stream.resets


@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy(redis, start_fcgi_sse, loop, policy):
    """Under each maxmemory-policy Redis is filled until keys of ours are gone, or it refuses."""
    fcgi_sse = start_fcgi_sse(redis, "--record=none").expect_log("[Rr]edis|OOM")
    ids = {c: [publish_ids(redis, c, "%s-%d" % (c, i))[0] for i in range(4)] for c in CHANNELS}
    ours = set(redis.client.keys("sse:*"))
    used = redis.client.info("memory")["used_memory"]
    redis.client.config_set("maxmemory-policy", policy)
    redis.client.config_set("maxmemory", used + (1 << 20))
    for i in range(4000):
        try:
            redis.client.set("junk%d" % i, os.urandom(1000), ex=10000 if i % 2 else None)
        except Exception as err:
            assert "OOM" in str(err), err
        if i % 50 == 0 and len(ours - set(redis.client.keys("sse:*"))) > 4:
            break
    redis.client.config_set("maxmemory", 0)
    redis.client.config_set("maxmemory-policy", "noeviction")
    gone = ours - set(redis.client.keys("sse:*"))
    assert gone or policy == "noeviction", "nothing was evicted"
    if policy == "noeviction":
        assert not gone
    complete = [check_told(loop, fcgi_sse, c, ids[c], ids[c][0]) for c in CHANNELS]
    assert all(complete) if not gone else not all(complete) or gone <= {b"sse:limits", b"sse:recorder"}
    # and it goes on: what comes now arrives, and who was there before the loss is told once
    for c in CHANNELS:
        ids[c] += publish_ids(redis, c, c + "-after")
        cursor = ids[c][-1] - 1
        stream = loop.live(fcgi_sse, c, last_event_id=cursor)
        assert stream.wait_data(1) == [c + "-after"]
        stream.close()
        check_told(loop, fcgi_sse, c, ids[c], ids[c][0])


KEYS = ["history:a", "meta:a", "clock", "epoch", "last", "limits", "recorder"]


@pytest.mark.parametrize("lost", [[k] for k in KEYS] + [["history:a", "meta:a"], ["history:a", "meta:a", "last"],
                                                       ["clock", "epoch"], ["clock", "last"],
                                                       ["epoch", "history:a", "meta:a"], KEYS], ids="+".join)
def test_each_key_lost(redis, start_fcgi_sse, loop, lost):
    """Keys are deleted one by one and together: open streams go on, who comes back is told or misses nothing."""
    fcgi_sse = start_fcgi_sse(redis, "--heartbeat=1").expect_log("lease|recorder|recorded")
    ids = publish_ids(redis, "a", "1") + publish_ids(redis, "a", "2") + publish_ids(redis, "a", "3")
    other = publish_ids(redis, "b", "1")
    open_ = loop.live(fcgi_sse, "a,b")
    redis.client.delete(*["sse:" + k for k in lost])
    check_told(loop, fcgi_sse, "a", ids, ids[0])
    # a channel that lost nothing is whole, unless the store itself has
    if not {"clock", "epoch"} & set(lost):
        stream = loop.live(fcgi_sse, "b", last_event_id=other[0] - 1 if "epoch" not in lost else 0)
        assert stream.resets or stream.wait_data(1) == ["1"]
    ids += publish_ids(redis, "a", "4")
    check_told(loop, fcgi_sse, "a", ids, ids[0])
    check_told(loop, fcgi_sse, "a", ids, ids[2])
    open_.wait_for(lambda s: "4" in s.data)
    assert open_.data.count("4") == 1 and open_.ended is None
    ids += publish_ids(redis, "a", "5")
    open_.wait_for(lambda s: s.data[-1] == "5")
    late = loop.live(fcgi_sse, "a", last_event_id=ids[-2])
    assert late.wait_data(1) == ["5"] and not late.resets


def test_channel_without_events_has_no_reset(redis, start_fcgi_sse, loop):
    """Nothing is gone where nothing was: neither in an empty store nor in one that has had other events."""
    fcgi_sse = start_fcgi_sse(redis, "--record=none")
    first = publish_ids(redis, "a", "1")[0]
    for cursor in (first, 0):
        stream = loop.live(fcgi_sse, "never", last_event_id=cursor)
        assert not stream.resets
        ids = publish_ids(redis, "never%d" % cursor, "x")
        assert ids
    stream = loop.live(fcgi_sse, "a,never", last_event_id=first)
    assert not stream.resets and not stream.events
    publish_ids(redis, "never", "now")
    assert stream.wait_data(1) == ["now"] and not stream.resets


def test_memory_is_bounded(redis):
    """Channels without an event for 30 days are forgotten, a few with each event; they are not missed."""
    old = redis.client.time()[0] * 1000000 - 40 * 86400 * 1000000
    publish_ids(redis, "a", "1")
    redis.client.zadd("sse:last", {"sse:history:old%d" % i: old + i for i in range(10)})
    for i in range(10):
        publish_ids(redis, "a", "x")
    assert redis.client.zcard("sse:last") == 2
    assert redis.client.zscore("sse:last", "") == old + 9
    done = sse_publish(redis, "old3", "again")
    assert done.returncode == 0
