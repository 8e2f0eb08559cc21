# SPDX-License-Identifier: ISC
"""Clients that come back by themselves, as a browser's EventSource does, and a check of all they got against all
that Redis recorded."""
import glob
import json
import os
import time
from collections import namedtuple

# What a client is told to wait at the most before it comes back here: tests are short.
RETRY_MAX_S = 1.0

Got = namedtuple("Got", "id channel data")  # an event; its channel stands in its data: "channel:text"


class Returning:
    """One client: each time its stream ends it opens it anew, with the last id that it got."""

    def __init__(self, loop, where, channels, *, keep=True, **more):
        self.loop, self.where, self.channels, self.more = loop, where, channels, more
        self.keep = keep  # the order of all that came, for check()
        self.got = []  # Got, and the data of each reset, in order
        self.ends = []  # how each stream ended
        self.floor = None  # the first one
        self.last_id = None
        self.is_over = False
        self.opened = 0
        self._seen = 0
        self._due = self._away_s = None
        loop.tick(self._tick)
        self.stream = None
        self._open()

    names = property(lambda self: self.channels.split(","))
    resets = property(lambda self: [g for g in self.got if isinstance(g, dict)])
    events = property(lambda self: [g for g in self.got if isinstance(g, Got)])
    data = property(lambda self: [g.data for g in self.events])

    def _open(self):
        self._due, self._away_s, self._seen = None, None, 0
        self.opened += 1
        self.stream = self.loop.open(self.where, self.channels, last_event_id=self.last_id, **self.more)
        self.stream.keep_raw = False

    def cut(self, away_s=0.1):
        """Leave at once, as where the network is gone, and come back after so long."""
        if self.stream is not None and not self.stream.ended:
            self._away_s = away_s
            self.stream.close()

    def leave(self):
        """For good."""
        self.is_over = True
        self.cut()

    def is_live(self):
        return self.stream is not None and not self.stream.ended and self.stream.floor is not None

    def collect(self):
        """What has come since."""
        stream = self.stream
        if stream is None:
            return
        events = stream.all_events
        for event in events[self._seen:]:
            if event.type == "stream-reset":
                self.got.append(json.loads(event.data))
            elif not event.type.startswith("stream-"):
                self.got.append(Got(int(event.id) if event.id else None, event.data.partition(":")[0], event.data))
        self._seen = len(events)
        if self.floor is None and stream.floor is not None:
            self.floor = int(stream.floor)
        if stream.last_id:
            self.last_id = stream.last_id

    def _tick(self):
        if self.stream is not None:
            if len(self.stream.all_events) > self._seen or self.stream.ended:
                self.collect()
            if self.stream.ended:
                self.ends.append(self.stream.ended)
                told_s = min(RETRY_MAX_S, (self.stream.retry_ms or 100) / 1000)
                self._due = time.monotonic() + (told_s if self._away_s is None else self._away_s)
                self.stream = None
        elif not self.is_over and time.monotonic() >= self._due:
            self._open()

    # what a test waits for

    def wait_live(self):
        self.loop.wait_for(self.is_live, what=self.describe)
        self.collect()
        return self

    def wait_last(self, ids, seconds=60):
        """Until it has the last one of what was recorded on each of its channels."""
        ends = {channel: max(ids[channel]) for channel in self.names if ids.get(channel)}

        def is_there():
            self.collect()
            return all(self.last_of(c) == ends[c] or int(self.last_id or 0) >= ends[c] for c in ends)

        self.loop.wait_for(is_there, seconds, lambda: "%r; %s" % (ends, self.describe()))
        return self

    def last_of(self, channel):
        return next((g.id for g in reversed(self.got) if isinstance(g, Got) and g.channel == channel), None)

    def check(self, ids):
        """Each of the recorded events, once and in order in its channel, from where it began; or a reset says so.  (One
        that was passed on live, without an id, counts.)  Returns how many are told to be gone."""
        seen = self.data
        assert len(seen) == len(set(seen)), "twice: %r; %s" % (
            sorted(d for d in set(seen) if seen.count(d) > 1)[:5], self.describe())
        live = {g.data for g in self.events if g.id is None}
        return sum(self._check_channel(c, [i for i, data in ids.get(c, {}).items() if i > self.floor and
                                           data not in live]) for c in self.names)

    def _check_channel(self, channel, ids):
        index = {id_: i for i, id_ in enumerate(ids)}
        next_, may_skip, gone = 0, False, 0
        for got in self.got:
            if isinstance(got, dict):
                may_skip |= channel in got["channels"]
                continue
            if got.channel != channel or got.id is None:
                continue
            assert got.id in index, "%r is not recorded; %s" % (got, self.describe())
            at = index[got.id]
            assert at >= next_, "%r again, or out of order; %s" % (got, self.describe())
            if at > next_:
                assert may_skip, "%d lost before %r; %s" % (at - next_, got, self.describe())
                gone += at - next_
            next_, may_skip = at + 1, False
        assert may_skip or next_ == len(ids), "%s: %r of %d; %s" % (channel, next_, len(ids), self.describe())
        return gone

    def describe(self):
        return "%s: opened %d times, ends %r, floor %r, last id %r, %d events, resets %r, %s" % (
            self.channels, self.opened, self.ends[-5:], self.floor, self.last_id, len(self.events),
            self.resets[-3:], self.stream.describe() if self.stream else "away")


# ---- what Redis has recorded, whatever it has forgotten since

def commands(text):
    """The commands of an append-only file, as far as it is whole."""
    at = 0
    while at < len(text):
        if text[at:at + 1] != b"*":  # an annotation
            at = text.index(b"\n", at) + 1
            continue
        end = text.find(b"\r\n", at)
        if end == -1:
            return
        count, at, argv = int(text[at + 1:end]), end + 2, []
        for _ in range(count):
            end = text.find(b"\r\n", at)
            if end == -1:
                return
            begin = end + 2
            at = begin + int(text[at + 1:end]) + 2
            if at > len(text):
                return
            argv.append(text[begin:at - 2])
        yield argv


def recorded(redis, prefix=b"sse:history:"):
    """{channel: {id: data}} of all that was ever recorded, in order, from a RedisServer(appendonly=True)."""
    found = {}
    for path in sorted(glob.glob(os.path.join(redis.data, "appendonlydir", "*.incr.aof"))):
        with open(path, "rb") as f:
            text = f.read()
        for argv in commands(text):
            if argv[0].upper() != b"RPUSH" or not argv[1].startswith(prefix):
                continue
            events = found.setdefault(argv[1][len(prefix):].decode(), {})
            for value in argv[2:]:
                head, _, frame = value.partition(b"\n")
                data = [line[6:] for line in frame.split(b"\n") if line.startswith(b"data: ")]
                events[int(head.split(b" ")[0])] = b"\n".join(data).decode()
    return found


def wait_all(redis, clients, quiet_s=0.3):
    """Until Redis records no more, and each of them has the last of it.  Returns recorded(redis)."""
    loop = clients[0].loop
    while True:
        ids = recorded(redis)
        for client in clients:
            client.wait_last(ids)
        then = time.monotonic() + quiet_s
        loop.wait_for(lambda t=then: time.monotonic() > t)
        if recorded(redis) == ids:
            return ids
