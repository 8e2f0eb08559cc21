#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""A server of streams as one writes it with Tornado: one process, one
subscription in Redis, and a set of handlers for each channel.

It passes on what lua/publish.lua publishes, whose records bring the finished
frame, and serves Last-Event-ID from the list that the script keeps.

server.py REDIS-SOCKET LISTEN-SOCKET HEARTBEAT-SECONDS"""
import asyncio
import signal
import sys

import redis.asyncio
from tornado import httpserver, ioloop, netutil, web

LIVE, HISTORY = "sse:event:", "sse:history:"
FIRST_LOOK = 256  # records of the list's end, in which the cursor is looked for


def id_and_frame(record):
    """A record is one line, which begins with the id, and the frame."""
    header, _, frame = record.partition(b"\n")
    return int(header.split(b" ", 1)[0]), frame


class Hub:
    """The channels, and who listens to each."""

    def __init__(self, path):
        self.redis = redis.asyncio.Redis(unix_socket_path=path)
        self.handlers = {}

    async def run(self, is_ready):
        async with self.redis.pubsub(ignore_subscribe_messages=False) as pubsub:
            await pubsub.psubscribe(LIVE + "*")
            async for message in pubsub.listen():
                if message["type"] == "psubscribe":
                    is_ready()
                else:
                    self.pass_on(message["channel"].decode()[len(LIVE):], message["data"])

    def pass_on(self, channel, record):
        event_id, frame = id_and_frame(record)
        for handler in self.handlers.get(channel, ()):
            handler.give(event_id, frame)

    def join(self, handler):
        for channel in handler.channels:
            self.handlers.setdefault(channel, set()).add(handler)

    def leave(self, handler):
        for channel in handler.channels:
            self.handlers[channel].discard(handler)

    async def missed(self, channel, cursor):
        """What came after the cursor, as far as the list goes back."""
        look = FIRST_LOOK
        while True:
            tail = [id_and_frame(record) for record in await self.redis.lrange(HISTORY + channel, -look, -1)]
            if len(tail) < look or tail[0][0] <= cursor:
                return [(event_id, frame) for event_id, frame in tail if event_id > cursor]
            look *= 4


class Stream(web.RequestHandler):
    """One client."""

    def initialize(self, hub):
        self.hub = hub
        self.channels = self.get_query_argument("channels").split(",")
        self.left = asyncio.Event()
        self.held = None  # what comes while the missed are on their way

    async def get(self):
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("Cache-Control", "no-cache")
        self.beat()
        cursor = self.request.headers.get("Last-Event-ID", "")
        if cursor.isdigit():
            self.held = []
        self.hub.join(self)
        if cursor.isdigit():
            await self.resume(int(cursor))
        await self.left.wait()

    async def resume(self, cursor):
        missed = []
        for channel in self.channels:
            missed += await self.hub.missed(channel, cursor)
        missed.sort()
        last = missed[-1][0] if missed else cursor
        missed += [(event_id, frame) for event_id, frame in self.held if event_id > last]
        self.held = None
        if missed:
            self.send(b"".join(frame for _, frame in missed))

    def give(self, event_id, frame):
        if self.held is None:
            self.send(frame)
        else:
            self.held.append((event_id, frame))

    def send(self, frame):
        self.write(frame)
        self.flush()

    def beat(self):
        self.send(b":\n\n")

    def on_connection_close(self):
        self.hub.leave(self)
        self.left.set()


async def main(redis_socket, listen_socket, heartbeat_s):
    hub = Hub(redis_socket)
    server = httpserver.HTTPServer(web.Application([("/", Stream, {"hub": hub})], log_function=lambda _: None),
                                   xheaders=True)

    def listen():
        server.add_sockets([netutil.bind_unix_socket(listen_socket, 0o666, backlog=4096)])

    def beat():
        for handler in set().union(*hub.handlers.values()):
            handler.beat()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, sys.exit)
    ioloop.PeriodicCallback(beat, heartbeat_s * 1000).start()
    await hub.run(listen)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
