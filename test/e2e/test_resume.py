# SPDX-License-Identifier: ISC
"""Resume: a client that was away gets exactly what it missed, and is told
what could not be kept."""
import random
import re
import time

import pytest

from processes import (DEADLINE_S, SSE_PUBLISH_BIN, alive, clock, history, memory_peak_kb, publish_ids, sse_publish,
                       redis_environment, redis_pipe, under_sanitizer, wait_until)

UNKNOWN, FLUSHED, TRIMMED = "unknown", "flushed", "trimmed"


def publish_many(redis, channel, count, first=0):
    """`count` events in a channel by sse-publish --lines; returns their ids."""
    lines = "".join("%s%d\n" % (channel, first + i) for i in range(count))
    ids = publish_ids(redis, "--lines", channel, stdin=lines.encode())
    assert len(ids) == count
    return ids


def wait_idle(stream, redis):
    """Wait until the stream stands at the clock: replay is over."""
    return stream.wait_for(lambda s: s.last_id == str(clock(redis)))


def wait_heartbeats(stream, count):
    """So many intervals of silence, and about as many checks."""
    wanted = len(stream.comments) + count
    stream.wait_for(lambda s: len(s.comments) >= wanted)


def one_reset(stream, reason, channels):
    """The stream told exactly this, in the promised form, before the replay."""
    [event] = [e for e in stream.all_events if e.type == "stream-reset"]
    [reset] = stream.resets
    assert set(reset) == {"channels", "reason", "id"}
    assert reset["reason"] == reason and sorted(reset["channels"]) == sorted(channels)
    assert event.id is None, "a reset moves no cursor"
    # between FLOOR and everything else
    assert [i for i in stream.items if i == event or getattr(i, "id", None)][1] == event
    return reset


# ---- the cursor

@pytest.mark.parametrize("name", ["last_event_id", "lastEventId", "lastEventID", "Last-Event-ID"])
def test_cursor_in_the_query(redis, fcgi_sse, loop, name):
    """Each of the four query parameters is a cursor."""
    ids = publish_many(redis, "all", 4)
    stream = loop.live(fcgi_sse, "all", query={name: ids[1]})
    assert stream.wait_data(2) == ["all2", "all3"] and stream.floor == str(ids[1])


def test_cursor_precedence(redis, fcgi_sse, loop):
    """The header wins over the query; an empty parameter does not count; a cursor over ?last=."""
    ids = publish_many(redis, "all", 4)
    for query, header, want in [
            ({"lastEventId": ids[0]}, ids[2], ids[2]),
            ({"last_event_id": "", "lastEventId": ids[1]}, None, ids[1]),
            ({"last": 1}, ids[0], ids[0])]:
        stream = loop.live(fcgi_sse, "all", query=query, last_event_id=header)
        assert stream.floor == str(want)
        wait_idle(stream, redis)
        assert [int(e.id) for e in stream.events] == [i for i in ids if i > want]


def test_replay_then_clock_then_live(redis, fcgi_sse, loop):
    """FLOOR is the cursor; the replay is merged by id; then the position CLOCK; then live."""
    a = publish_many(redis, "a", 3)
    b = publish_many(redis, "b", 3)
    c = publish_many(redis, "a", 2, first=3)
    [last] = publish_ids(redis, "unheard", "x")
    stream = loop.live(fcgi_sse, "a,b", last_event_id=a[0])
    wait_idle(stream, redis)
    publish_ids(redis, "b", "live")
    stream.wait_for(lambda s: len(s.events) == 8)
    assert stream.floor == str(a[0])
    assert [int(e.id) for e in stream.events][:7] == a[1:] + b + c
    ids_in_order = [i.id for i in stream.items if getattr(i, "id", None)]
    assert ids_in_order.index(str(last)) == 8, "the position CLOCK stands after the replay"
    assert not stream.resets


def test_zero_is_all_that_is_kept(redis, fcgi_sse, loop):
    """Cursor 0: the whole history, and no reset while all of it is kept."""
    ids = publish_many(redis, "all", 5)
    stream = loop.live(fcgi_sse, "all", last_event_id="0")
    stream.wait_data(5)
    assert [int(e.id) for e in stream.events] == ids and not stream.resets


def test_zero_and_earliest_after_a_trim(redis, start_fcgi_sse, loop):
    """0 tells that the history is trimmed, earliest never tells a reset; both replay what is kept."""
    fcgi_sse = start_fcgi_sse(redis, "--history-count=3")
    ids = publish_many(redis, "all", 5)
    zero = loop.live(fcgi_sse, "all", last_event_id="0")
    earliest = loop.live(fcgi_sse, "all", last_event_id="earliest")
    for stream in (zero, earliest):
        wait_idle(stream, redis)
        assert [int(e.id) for e in stream.events] == ids[2:]
    one_reset(zero, TRIMMED, ["all"])
    assert not earliest.resets
    again = loop.live(fcgi_sse, "all", last_event_id=earliest.floor)
    wait_idle(again, redis)
    assert [int(e.id) for e in again.events] == ids[2:]


def test_last(redis, fcgi_sse, loop):
    """?last=N: the newest N over all channels; FLOOR is the id before the first of them."""
    a = publish_many(redis, "a", 3)
    b = publish_many(redis, "b", 3)
    for n, want in [(1, b[2:]), (2, b[1:]), (4, a[2:] + b), (6, a + b), (100, a + b), (0, [])]:
        stream = loop.live(fcgi_sse, "a,b", query={"last": n})
        wait_idle(stream, redis)
        assert [int(e.id) for e in stream.events] == want, n
        again = loop.live(fcgi_sse, "a,b", last_event_id=stream.floor)
        wait_idle(again, redis)
        assert [int(e.id) for e in again.events] == want, "resume from FLOOR"
        assert not stream.resets and not again.resets


def test_since(redis, fcgi_sse, loop):
    """?since=SECONDS: what was published in the last so many seconds."""
    past = int(time.time() * 1e6) - 2000 * 1000000
    redis.client.set("sse:epoch", past)
    put_by_hand(redis, "all", past, 0)
    put_by_hand(redis, "all", past + 1, past)
    old = [past, past + 1]
    new = publish_many(redis, "all", 2)
    for seconds, want in [(1000, new), (3600, old + new)]:
        stream = loop.live(fcgi_sse, "all", query={"since": seconds})
        wait_idle(stream, redis)
        assert [int(e.id) for e in stream.events] == want
        again = loop.live(fcgi_sse, "all", last_event_id=stream.floor)
        wait_idle(again, redis)
        assert [int(e.id) for e in again.events] == want and not again.resets


# ---- resets

@pytest.mark.parametrize("cursor", [
    "abc", "550e8400-e29b-41d4-a716-446655440000", "-1", "1.5", "1e15", " ", "+7",
    "99999999999999999", "184467440737095516151", "12a"])
def test_unknown(redis, fcgi_sse, loop, cursor):
    """Not a number, or one past Redis' time: reset "unknown", FLOOR is the clock, and live."""
    ids = publish_many(redis, "all", 3)
    if cursor == " ":
        stream = loop.live(fcgi_sse, "all", query="channels=all&lastEventId=%20")
    else:
        stream = loop.live(fcgi_sse, "all", last_event_id=cursor)
    assert stream.floor == str(ids[-1])
    stream.wait_for(lambda s: s.resets)
    reset = one_reset(stream, UNKNOWN, ["all"])
    assert reset["id"] == str(ids[-1])
    publish_ids(redis, "all", "live")
    assert stream.wait_data(1) == ["live"]


def test_two_minutes_ahead_is_unknown(redis, fcgi_sse, loop):
    """A cursor more than a minute past Redis' time is unknown; one just past the clock is flushed."""
    ids = publish_many(redis, "all", 1)
    stream = loop.live(fcgi_sse, "all", last_event_id=ids[0] + 120_000_000)
    stream.wait_for(lambda s: s.resets)
    one_reset(stream, UNKNOWN, ["all"])
    stream = loop.live(fcgi_sse, "all", last_event_id=ids[0] + 1)
    stream.wait_for(lambda s: s.resets)
    assert stream.floor == str(ids[0]), "the store went back: FLOOR is the clock"
    one_reset(stream, FLUSHED, ["all"])


def test_flushed(redis, fcgi_sse, loop):
    """After FLUSHALL an old cursor is told "flushed", on an empty and on a new store."""
    ids = publish_many(redis, "a", 3)
    redis.client.flushall()
    empty = loop.live(fcgi_sse, "a,b", last_event_id=ids[1])
    empty.wait_for(lambda s: s.resets)
    one_reset(empty, FLUSHED, ["a", "b"])
    new = publish_many(redis, "a", 2, first=10)
    assert empty.wait_data(2) == ["a10", "a11"]
    assert len(empty.resets) == 1
    stream = loop.live(fcgi_sse, "a,b", last_event_id=ids[1])
    wait_idle(stream, redis)
    one_reset(stream, FLUSHED, ["a", "b"])
    assert [int(e.id) for e in stream.events] == new, "what is kept follows"
    again = loop.live(fcgi_sse, "a,b", last_event_id=stream.last_id)
    wait_idle(again, redis)
    assert not again.resets and not again.events


def test_trimmed_at_the_boundary(redis, start_fcgi_sse, loop):
    """Trimmed is said only when something is missing: the last trimmed id itself is a good cursor."""
    fcgi_sse = start_fcgi_sse(redis, "--history-count=4")
    ids = publish_many(redis, "a", 10)
    other = publish_many(redis, "b", 2)
    for at, lost in [(0, True), (4, True), (5, False), (6, False), (9, False)]:
        stream = loop.live(fcgi_sse, "a,b", last_event_id=ids[at])
        wait_idle(stream, redis)
        assert [int(e.id) for e in stream.events] == ids[max(at + 1, 6):] + other
        assert stream.floor == str(ids[at])
        if lost:
            one_reset(stream, TRIMMED, ["a"])
        else:
            assert not stream.resets


def test_trimmed_by_bytes(redis, start_fcgi_sse, loop):
    """--history-bytes trims; the newest record is never trimmed, however large."""
    fcgi_sse = start_fcgi_sse(redis, "--history-bytes=2000")
    ids = [publish_ids(redis, "a", stdin=b"x" * 900)[0] for _ in range(4)]
    assert 1 <= len(history(redis, "a")) <= 2
    stream = loop.live(fcgi_sse, "a", last_event_id=ids[0])
    wait_idle(stream, redis)
    one_reset(stream, TRIMMED, ["a"])
    [big] = publish_ids(redis, "a", stdin=b"y" * 5000)
    assert [r[0] for r in history(redis, "a")] == [big]
    assert int(redis.client.hget("sse:meta:a", "bytes")) == sum(
        len(r) for r in redis.client.lrange("sse:history:a", 0, -1))


def test_trimmed_empty_list(redis, start_fcgi_sse, loop):
    """A history that is gone is trimmed for cursors before meta's last, and not for later ones."""
    fcgi_sse = start_fcgi_sse(redis)
    ids = publish_many(redis, "a", 3)
    redis.client.delete("sse:history:a")  # as its TTL does
    stream = loop.live(fcgi_sse, "a", last_event_id=ids[0])
    stream.wait_for(lambda s: s.resets)
    one_reset(stream, TRIMMED, ["a"])
    stream = loop.live(fcgi_sse, "a", last_event_id=ids[2])
    publish_ids(redis, "a", "next")
    assert stream.wait_data(1) == ["next"] and not stream.resets


def test_history_age(redis, start_fcgi_sse, loop):
    """--history-age: a channel's history ends so long after its last event."""
    fcgi_sse = start_fcgi_sse(redis, "--history-age=1")
    ids = publish_many(redis, "a", 3)
    wait_until(lambda: not redis.client.exists("sse:history:a"), what="the age limit")
    stream = loop.live(fcgi_sse, "a", last_event_id=ids[0])
    stream.wait_for(lambda s: s.resets)
    one_reset(stream, TRIMMED, ["a"])


def test_older_than_thirty_days(redis, fcgi_sse, loop):
    """A cursor of more than 30 days ago is trimmed in all channels: meta may be gone by then."""
    publish_many(redis, "a", 1)
    redis.client.set("sse:epoch", 1_000_000)
    old = int((time.time() - 31 * 86400) * 1e6)
    stream = loop.live(fcgi_sse, "a,b", last_event_id=old)
    stream.wait_for(lambda s: s.resets)
    one_reset(stream, TRIMMED, ["a", "b"])


def test_an_open_stream_sees_the_store_go_back(redis, start_fcgi_sse, loop):
    """FLUSHALL under an open stream: it says flushed by its check, and goes on."""
    stream = loop.live(start_fcgi_sse(redis, "--heartbeat=1"), "a")
    publish_many(redis, "a", 3)
    stream.wait_data(3)
    redis.client.flushall()
    stream.wait_for(lambda s: s.resets)
    assert stream.resets[0]["reason"] == FLUSHED
    publish_many(redis, "a", 2, first=10)
    assert stream.wait_data(5)[3:] == ["a10", "a11"]
    assert len(stream.resets) == 1


# ---- takes after a hole and by a check

def put_record_silently(redis, channel, text):
    """A record that reached the store and no subscriber, as after a lost message."""
    new = max(clock(redis) + 1, int(time.time() * 1e6))
    prev = int(redis.client.hget("sse:meta:" + channel, "last") or 0)
    record = b"%d %d p\nid: %d\ndata: %s\n\n" % (new, prev, new, text.encode())
    pipe = redis.client.pipeline()
    pipe.rpush("sse:history:" + channel, record)
    pipe.hset("sse:meta:" + channel, "last", new)
    pipe.hincrby("sse:meta:" + channel, "bytes", len(record))
    pipe.set("sse:clock", new)
    pipe.execute()
    return new


def test_a_hole_is_filled(redis, start_fcgi_sse, loop):
    """A record whose PREV is newer than what was seen: the stream takes again; once each, in order."""
    stream = loop.live(start_fcgi_sse(redis, "--heartbeat=600"), "a,b")
    publish_many(redis, "a", 1)
    stream.wait_data(1)
    put_record_silently(redis, "a", "lost")
    publish_ids(redis, "a", "after")
    assert stream.wait_data(3) == ["a0", "lost", "after"]
    assert not stream.resets


@pytest.mark.own_process  # a stream that moves just then has the lost one behind it
def test_the_cursor_never_goes_back(redis, start_fcgi_sse, loop):
    """A late record that filled a hole is followed by a position, the highest id sent."""
    stream = loop.live(start_fcgi_sse(redis, "--heartbeat=600"), "a,b")
    publish_many(redis, "a", 1)
    publish_many(redis, "b", 1)
    stream.wait_data(2)
    put_record_silently(redis, "a", "lost")
    [high] = publish_ids(redis, "b", "high")
    stream.wait_data(3)
    publish_ids(redis, "a", "after")
    assert sorted(stream.wait_data(5)) == ["a0", "after", "b0", "high", "lost"]
    late = next(i for i, item in enumerate(stream.items) if getattr(item, "data", 0) == "lost")
    later_ids = [int(i.id) for i in stream.items[late + 1:] if getattr(i, "id", None)]
    assert later_ids[0] >= high, stream.items[late:]
    wait_idle(stream, redis)


def test_a_check_finds_silent_losses(redis, start_fcgi_sse, loop):
    """What reached the store and not the stream is found once per heartbeat interval."""
    stream = loop.live(start_fcgi_sse(redis, "--heartbeat=1"), "a")
    put_record_silently(redis, "a", "lost")
    assert stream.wait_data(1) == ["lost"]
    wait_heartbeats(stream, 2)
    assert len(stream.events) == 1
    publish_many(redis, "a", 1)
    assert stream.wait_data(2) == ["lost", "a0"]


# ---- cuts

def check_resume_at(loop, where, channels, raw_size, cut_at, cursor, want):
    """A client that read cut_at bytes of a replay and comes back: all once."""
    first = loop.open(where, channels, last_event_id=cursor)
    first.cut_at = cut_at
    first.wait_for(lambda s: s.ended)
    next_cursor = first.last_id if first.last_id else cursor
    again = loop.live(where, channels, last_event_id=next_cursor)
    again.wait_for(lambda s: len(first.events) + len(s.events) >= len(want))
    assert [int(e.id) for e in first.events + again.events] == want, (cut_at, raw_size)
    again.close()
    return first, again


def test_cut_anywhere_in_a_replay(redis, fcgi_sse, loop):
    """Cut after any number of bytes of a replay (before FLOOR, between FLOOR and the first event,
    in the middle of a line) and resumed: each event once."""
    a = publish_many(redis, "a", 6)
    b = publish_many(redis, "b", 6)
    whole = loop.live(fcgi_sse, "a,b", last_event_id=a[1])
    wait_idle(whole, redis)
    size = len(whole.raw)
    whole.close()
    for cut_at in range(1, size, 7):
        check_resume_at(loop, fcgi_sse, "a,b", size, cut_at, a[1], a[2:] + b)
    fcgi_sse.wait_streams(0)


def test_cut_right_after_a_reset(redis, start_fcgi_sse, loop):
    """Cut when stream-reset has just come, and resumed: told again, and what is kept once."""
    fcgi_sse = start_fcgi_sse(redis, "--history-count=3")
    ids = publish_many(redis, "a", 6)
    whole = loop.live(fcgi_sse, "a", last_event_id=ids[0])
    wait_idle(whole, redis)
    text = bytes(whole.raw)
    behind_reset = text.index(b"\n\n", text.index(b"stream-reset")) + 2
    first, again = check_resume_at(loop, fcgi_sse, "a", len(text), behind_reset, ids[0], ids[3:])
    assert first.resets and not first.events
    assert again.resets[0]["reason"] == TRIMMED


def test_cut_before_the_first_event(redis, fcgi_sse, web, loop):
    """A client that was cut before any event came has all that was published since it joined."""
    publish_many(redis, "a", 3)
    nginx = web("nginx-example", fcgi_sse)
    for where in (fcgi_sse, nginx):
        first = loop.live(where, "a,b")
        first.close()
        missed = publish_many(redis, "a", 2) + publish_many(redis, "b", 2)
        again = loop.live(where, "a,b", last_event_id=first.last_id)
        again.wait_data(4)
        assert [int(e.id) for e in again.events] == missed and not again.resets


class Wanderer:
    """A client that is cut again and again and comes back with its last id,
    perhaps with other channels; it knows at the end what it ought to have."""

    def __init__(self, loop, where, rng, channels):
        self.loop, self.where, self.rng, self.channels = loop, where, rng, channels
        self.visits = []  # (channels, cursor at the start, stream)
        self.cursor = None
        self.open()

    def open(self):
        stream = self.loop.open(self.where, self.channels, last_event_id=self.cursor)
        self.visits.append([self.channels, self.cursor, stream])
        # cut by bytes: anywhere, also within FLOOR and in the middle of a line
        stream.cut_at = self.rng.choice([60, 300, 3000, 20000]) + self.rng.randrange(200)
        return stream

    def turn(self, next_channels=None):
        """Come back if cut."""
        stream = self.visits[-1][2]
        if stream.ended:
            if self.cursor is None and stream.last_id == "":
                self.visits.pop()  # it never was in the stream
            self.cursor = stream.last_id or self.cursor
            self.channels = next_channels(self.rng) if next_channels else self.channels
            self.open()

    def finish(self, redis, end):
        """Stay until the clock is reached."""
        stream = self.visits[-1][2]
        stream.cut_at = None
        stream.wait_for(lambda s: s.ended or s.last_id == str(end))
        if stream.ended:
            self.turn()
            self.finish(redis, end)

    def check(self, records):
        """records: (id, channel) of everything.  Exactly once, and in order."""
        for number, (channels, _, stream) in enumerate(self.visits):
            assert not stream.resets, stream.resets
            floor = int(stream.floor) if stream.floor else None
            got = [int(e.id) for e in stream.events]
            if floor is None:
                assert not got
                continue
            reached = int(stream.last_id)
            want = [i for i, c in records if c in channels.split(",") and floor < i <= reached]
            assert got == want, "visit %d of %s: %d for %d" % (
                number, channels, len(got), len(want))
        # no gap between the visits
        cursors = [v[1] for v in self.visits if v[1] is not None]
        assert cursors == sorted(cursors, key=int)
        for _, cursor, stream in self.visits:
            assert cursor is None or stream.floor in (None, str(cursor))


@pytest.mark.parametrize("server,changing", [
    ("direct", False), ("direct", True), ("nginx-example", False), ("lighttpd-example", True)])
def test_random_cuts(redis, run, start_fcgi_sse, web, folder, loop, server, changing):
    """Cut at random again and again under load over two channels (whose set changes at a
    reconnect) and resumed: every event exactly once."""
    seed = random.randrange(1 << 30)
    print("seed", seed)
    rng = random.Random(seed)
    count = 3000
    fcgi_sse = start_fcgi_sse(redis, "--history-count=100000", "--history-bytes=100000000")
    where = fcgi_sse if server == "direct" else web(server, fcgi_sse)
    wanderers = [Wanderer(loop, where, rng, "a,b") for _ in range(8)]
    loop.wait_for(lambda: all(w.visits[-1][2].ended or w.visits[-1][2].floor for w in wanderers))
    publishers = []
    for channel in "ab":
        lines = folder.write(channel, "".join("%s%d %s\n" % (channel, i, "x" * 40) for i in range(count)))
        with open(lines, "rb") as f:
            publishers.append(run("sse-publish", [SSE_PUBLISH_BIN, "--lines", channel], stdin=f,
                                  env=redis_environment(redis)))
    choose = (lambda r: r.choice(["a,b", "a", "b", "b,a"])) if changing else None
    deadline = time.monotonic() + 8
    while any(p.running() for p in publishers) or (
            time.monotonic() < deadline and min(len(w.visits) for w in wanderers) < 15):
        loop.step(0.01)
        for wanderer in wanderers:
            wanderer.turn(choose)
    assert [p.wait() for p in publishers] == [0, 0]
    records = sorted((r[0], c) for c in "ab" for r in history(redis, c))
    assert len(records) == 2 * count
    for wanderer in wanderers:
        wanderer.finish(redis, clock(redis))
        wanderer.check(records)
    assert max(len(w.visits) for w in wanderers) >= 5


def test_random_cuts_of_plain_publish(redis, run, start_fcgi_sse, folder, loop):
    """The same over channels of plain PUBLISH that a recorder covers."""
    rng = random.Random(random.randrange(1 << 30))
    count = 5000
    fcgi_sse = start_fcgi_sse(redis, "--history-count=100000", "--history-bytes=100000000")
    wanderers = [Wanderer(loop, fcgi_sse, rng, "a,b") for _ in range(6)]
    loop.wait_for(lambda: all(w.visits[-1][2].ended or w.visits[-1][2].floor for w in wanderers))
    pipe = folder.write("pipe", redis_pipe(("PUBLISH", "ab"[i % 2], "%d" % i) for i in range(count)))
    with open(pipe, "rb") as f:
        publisher = run("redis-cli", ["redis-cli", "-s", redis.path, "--pipe"], stdin=f)
    deadline = time.monotonic() + 2 * DEADLINE_S
    while publisher.running() or redis.client.llen("sse:history:a") + redis.client.llen(
            "sse:history:b") < count:
        assert time.monotonic() < deadline
        loop.step(0.01)
        for wanderer in wanderers:
            wanderer.turn()
    for channel, first in ("a", 0), ("b", 1):
        data = [re.search(rb"data: (\d+)", r[3]).group(1) for r in history(redis, channel)]
        assert [int(d) for d in data] == list(range(first, count, 2))
    records = sorted((r[0], c) for c in "ab" for r in history(redis, c))
    for wanderer in wanderers:
        wanderer.finish(redis, clock(redis))
        wanderer.check(records)


# ---- much at once

@pytest.mark.own_process
def test_hundred_full_channels_at_once(redis, start_fcgi_sse, loop):
    """100 channels with full histories resumed at once: nothing lost or twice, bounded memory."""
    fcgi_sse = start_fcgi_sse(redis, "--max-channels=128")
    publish_many(redis, "probe", 1)
    text = b"x" * 1200
    channels = ["channel%d" % i for i in range(100)]
    for channel in channels:
        publish_ids(redis, "--lines", channel, stdin=b"".join(
            b"%d %s\n" % (i, text) for i in range(200)))
    total = sum(redis.client.llen("sse:history:" + c) for c in channels)
    assert total == 100 * 200
    loop.live(fcgi_sse, "probe")
    [small_pid] = fcgi_sse.responders()
    small_kb = memory_peak_kb(small_pid)
    stream = loop.open(fcgi_sse, channels, last_event_id="0")
    stream.keep_raw = False
    pid = wait_until(lambda: [p for p in fcgi_sse.responders() if p != small_pid])[0]
    stream.wait_for(lambda s: len(s.events) >= total, 60)
    wait_idle(stream, redis)
    assert alive(pid)
    ids = [int(e.id) for e in stream.events]
    assert len(ids) == total and ids == sorted(set(ids)) and not stream.resets
    used_kb = memory_peak_kb(pid) - small_kb
    print("responder's peak over an idle one: %d KiB for %d MiB" % (
        used_kb, total * len(text) >> 20))
    if not under_sanitizer(pid):  # its quarantine keeps what was freed
        assert used_kb < 24 * 1024, "several takes of at most 4 MiB"
    publish_many(redis, "channel5", 1)
    stream.wait_for(lambda s: len(s.events) == total + 1)


def test_a_large_replay_while_more_is_published(redis, run, start_fcgi_sse, folder, loop):
    """While a replay takes several steps more is published: all of it once and in order."""
    fcgi_sse = start_fcgi_sse(redis, "--history-count=100000", "--history-bytes=100000000")
    text = "x" * 1000
    lines = "".join("%d %s\n" % (i, text) for i in range(15000))
    publish_ids(redis, "--lines", "a", stdin=lines.encode())
    stream = loop.open(fcgi_sse, "a", last_event_id="0")
    more = folder.write("more", "".join("%d\n" % i for i in range(15000, 20000)))
    with open(more, "rb") as f:
        publisher = run("sse-publish", [SSE_PUBLISH_BIN, "--lines", "a"], stdin=f,
                        env=redis_environment(redis))
    stream.wait_for(lambda s: len(s.events) >= 20000, 60)
    assert publisher.wait() == 0
    assert [int(e.data.split(" ")[0]) for e in stream.events] == list(range(20000))


def test_a_forgotten_quiet_channel(redis, start_fcgi_sse, loop):
    """A channel whose memory goes after 30 quiet days is no reason for a reset."""
    fcgi_sse = start_fcgi_sse(redis, "--heartbeat=1")
    publish_ids(redis, "quiet", "x")
    stream = loop.live(fcgi_sse, "quiet,all")
    redis.client.delete("sse:meta:quiet", "sse:history:quiet")
    wait_heartbeats(stream, 2)
    assert not stream.resets
    publish_ids(redis, "quiet", "y")
    publish_ids(redis, "all", "z")
    assert stream.wait_data(2) == ["y", "z"] and not stream.resets


def put_by_hand(redis, channel, id_, prev, frame=None):
    """A record that reaches the store without a word on the live channel."""
    record = "%d %d p\n" % (id_, prev) + (frame or "id: %d\ndata: %d\n\n" % (id_, id_))
    redis.client.rpush("sse:history:" + channel, record)
    redis.client.hset("sse:meta:" + channel, "last", id_)
    redis.client.set("sse:clock", id_)


def test_a_store_that_went_back_and_on(redis, start_fcgi_sse, loop):
    """A fail-over is told even if a newer event came before the stream could look."""
    fcgi_sse = start_fcgi_sse(redis, "--heartbeat=1")
    first, = publish_ids(redis, "all", "one")
    stream = loop.live(fcgi_sse, "all")
    second, = publish_ids(redis, "all", "two")
    stream.wait_data(1)
    with redis.client.pipeline() as pipe:  # "two" was lost; "three" follows on "one"
        pipe.rpop("sse:history:all")
        third = second + 1000
        pipe.rpush("sse:history:all", "%d %d p\nid: %d\ndata: three\n\n" % (third, first, third))
        pipe.hset("sse:meta:all", "last", third)
        pipe.set("sse:clock", third)
        pipe.execute()
    assert stream.wait_data(2) == ["two", "three"]
    assert [r["reason"] for r in stream.resets] == ["flushed"]


def test_broken_records(redis, start_fcgi_sse, loop):
    """Megabytes of what is no record neither stop a stream nor keep Redis busy; a good record after them comes."""
    fcgi_sse = start_fcgi_sse(redis, "--heartbeat=1")
    first, = publish_ids(redis, "all", "one")
    for i in range(1, 7):
        put_by_hand(redis, "all", first + i, first + i - 1,
                    "id: %d\ndata: %s\n" % (first + i, "x" * 1000000))
    stream = loop.live(fcgi_sse, "all", last_event_id=first)
    before = redis.client.info("stats")["total_commands_processed"]
    publish_ids(redis, "all", "good")
    stream.wait_for(lambda s: "good" in s.data)
    loop.stays(lambda: not stream.ended, 1)
    assert redis.client.info("stats")["total_commands_processed"] - before < 500


@pytest.mark.parametrize("cursor,resets", [("earliest", 0), ("0", 1)])
def test_one_reset_over_several_takes(redis, start_fcgi_sse, loop, cursor, resets):
    """A trimmed channel after megabytes of another is told once; never for "earliest"."""
    fcgi_sse = start_fcgi_sse(redis, "--heartbeat=300", "--history-bytes=16777216", "--history-count=20")
    loop.wait_for(lambda: redis.client.hget("sse:limits", "count"))
    publish_ids(redis, "b", "b")
    for _ in range(14):
        sse_publish(redis, "b", stdin=b"x" * 524288)
    for i in range(30):
        publish_ids(redis, "a", str(i))
    stream = loop.live(fcgi_sse, "a,b", last_event_id=cursor)
    stream.wait_for(lambda s: "29" in s.data)
    assert len(stream.events) == 35
    assert [r["channels"] for r in stream.resets] == [["a"]] * resets


def test_epoch_lost(redis, start_fcgi_sse, loop):
    """Losing the epoch alone is told once, not at every check, and the next event sets it again."""
    fcgi_sse = start_fcgi_sse(redis, "--heartbeat=1")
    publish_ids(redis, "all", "one")
    stream = loop.live(fcgi_sse, "all")
    redis.client.delete("sse:epoch")
    stream.wait_for(lambda s: s.resets)
    wait_heartbeats(stream, 3)
    assert len(stream.resets) == 1
    publish_ids(redis, "all", "two")
    assert stream.wait_data(1) == ["two"] and redis.client.get("sse:epoch")
    wait_heartbeats(stream, 2)
    assert len(stream.resets) == 1


def test_several_cursors(redis, fcgi_sse, loop):
    """Of several cursors in the query the newest valid one counts, whatever its name and place; the header wins."""
    first, second = publish_ids(redis, "--lines", "all", stdin=b"one\ntwo\n")
    publish_ids(redis, "all", "three")
    for query in ("last_event_id=%d&lastEventId=%d" % (first, second), "Last-Event-ID=%d&last_event_id=%d" % (second, first),
                  "last_event_id=0&lastEventID=%d" % second, "last_event_id=earliest&lastEventId=%d" % second,
                  "last_event_id=none&lastEventId=%d" % second):
        stream = loop.live(fcgi_sse, query="channels=all&" + query)
        assert stream.wait_data(1) == ["three"] and stream.floor == str(second) and not stream.resets
    stream = loop.live(fcgi_sse, query="channels=all&last_event_id=0&lastEventId=%d" % second, last_event_id=first)
    assert stream.wait_data(2) == ["two", "three"]
