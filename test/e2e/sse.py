# SPDX-License-Identifier: ISC
"""An SSE client that is strict, and an event loop for many of them.

The parser follows HTML 9.2.6 to the letter and shares nothing with the
program under test.  Everything runs in one thread: a stream is read only
while some `Loop.wait_for` runs, so a client that does not read is simply one
that nobody waits for, and a test never races its own clients.
"""
import json
import re
import selectors
import socket
import time
import urllib.parse
from collections import namedtuple

import fcgi
from processes import DEADLINE_S

# A dispatched event.  `id` is the id field of its own block (None without
# one), `last_id` what a browser would send as Last-Event-ID from then on.
Event = namedtuple("Event", "type data id last_id")
Position = namedtuple("Position", "id")  # "stream-position": it only moves the cursor
Retry = namedtuple("Retry", "ms")
Comment = namedtuple("Comment", "text")

LINE_END = re.compile(rb"\r\n|\n|\r")


class Malformed(AssertionError):
    """The server sent what no text/event-stream of ours may hold."""


class Parser:
    """text/event-stream bytes to Event, Position, Retry and Comment, in order."""

    def __init__(self):
        self.items = []
        self.events = []
        self.resets = []
        self.last_id = ""
        self.retry_ms = None
        self._rest = b""
        self._at_start = True
        self._new_block()

    def _new_block(self):
        self._type = self._id = None
        self._data = []

    def feed(self, chunk):
        text = self._rest + chunk
        if self._at_start and len(text) >= 3:
            self._at_start = False
            if text.startswith(b"\xef\xbb\xbf"):
                raise Malformed("the stream begins with a byte order mark")
        if b"\r" in text:
            if text.endswith(b"\r"):  # perhaps half of a CRLF
                self._rest = text
                return
            lines = LINE_END.split(text)
        else:
            lines = text.split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            self._line(line)

    def _line(self, line):
        if line.startswith(b"data: "):
            self._data.append(line[6:])
            return
        if not line:
            self._dispatch()
            return
        name, colon, value = line.partition(b":")
        if value.startswith(b" "):
            value = value[1:]
        try:
            value = value.decode("utf-8")
        except UnicodeDecodeError as err:
            raise Malformed("not UTF-8: %r" % line) from err
        if name == b"" and colon:
            self.items.append(Comment(value))
        elif name == b"data":
            self._data.append(value.encode())
        elif name == b"id":
            if "\0" in value:
                raise Malformed("NUL in an id: %r" % line)
            self._id = value
        elif name == b"event":
            self._type = value
        elif name == b"retry":
            if not value.isascii() or not value.isdigit():
                raise Malformed("retry is not a number: %r" % line)
            self.retry_ms = int(value)
            self.items.append(Retry(self.retry_ms))
        else:
            raise Malformed("unknown field: %r" % line[:200])

    def _dispatch(self):
        if self._id is not None:
            self.last_id = self._id
        if not self._data:
            # some clients dispatch it, with data that is no JSON
            raise Malformed("an empty line after no data")
        try:
            data = b"\n".join(self._data).decode("utf-8")
        except UnicodeDecodeError as err:
            raise Malformed("data is not UTF-8") from err
        event = Event(self._type or "message", data, self._id, self.last_id)
        self._new_block()
        if event.type.startswith("stream-"):
            check_own(event)
        if event.type == "stream-position":
            self.items.append(Position(event.id))
            return
        self.items.append(event)
        self.events.append(event)
        if event.type == "stream-reset":
            self.resets.append(event)


def check_own(event):
    """The server's own events are valid JSON; only a position has an id, which is its data."""
    try:
        json.loads(event.data)
    except ValueError as err:
        raise Malformed("not JSON: %r" % (event,)) from err
    if event.id != (event.data if event.type == "stream-position" else None):
        raise Malformed("another id than its data: %r" % (event,))


class HttpDecoder:
    """HTTP/1.x response bytes to a status, headers and the body."""

    def __init__(self):
        self.status = None
        self.headers = {}
        self.ended = None  # "clean", "cut"
        self._head = b""
        self._rest = b""
        self._left = None  # bytes of the chunk, or of Content-Length
        self._chunked = False

    def feed(self, received):
        if self.status is None:
            self._head += received
            head, end, received = self._head.partition(b"\r\n\r\n")
            if not end:
                return b""
            self._read_head(head)
        if not self._chunked:
            if self._left is not None:
                self._left -= len(received)
                if self._left <= 0:
                    self.ended = "clean"
            return received
        return self._dechunk(received)

    def _read_head(self, head):
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split(" ")[1])
        for line in lines[1:]:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            old = self.headers.get(name)
            self.headers[name] = value.strip() if old is None else old + ", " + value.strip()
        self._chunked = "chunked" in self.headers.get("transfer-encoding", "")
        if not self._chunked and "content-length" in self.headers:
            self._left = int(self.headers["content-length"])
        if self.status == 204 or self._left == 0:
            self.ended = "clean"

    def _dechunk(self, received):
        body = []
        rest = self._rest + received
        while rest and not self.ended:
            if self._left is None:
                size, end, after = rest.partition(b"\r\n")
                if not end:
                    break
                self._left = int(size.split(b";")[0], 16)
                rest = after
                if self._left == 0:
                    self.ended = "clean"
                continue
            if len(rest) < self._left + 2:
                # the body is worth having before the chunk is whole
                part = rest[: self._left]
                body.append(part)
                self._left -= len(part)
                rest = rest[len(part):]
                if self._left or len(rest) < 2:
                    break
            body.append(rest[: self._left])
            rest = rest[self._left + 2:]
            self._left = None
        self._rest = rest
        return b"".join(body)

    def eof(self):
        if not self.ended:
            bare = not self._chunked and self._left is None
            self.ended = "clean" if bare and self.status else "cut"


class CgiDecoder:
    """What a CGI program writes to stdout (RFC 3875, 6) to the same."""

    def __init__(self):
        self.status = None
        self.headers = {}
        self.ended = None
        self._head = b""

    def feed(self, received):
        if self.status is not None:
            return received
        self._head += received
        parts = re.split(rb"\r?\n\r?\n", self._head, maxsplit=1)
        if len(parts) < 2:
            return b""
        for line in re.split(r"\r?\n", parts[0].decode("latin-1")):
            name, colon, value = line.partition(":")
            if not colon:
                raise Malformed("CGI header without a colon: %r" % line)
            self.headers[name.strip().lower()] = value.strip()
        self.status = int(self.headers.get("status", "200").split(" ")[0])
        return parts[1]

    def eof(self):
        self.ended = self.ended or "clean"


class FcgiDecoder(CgiDecoder):
    """FastCGI records with a CGI response inside to the same."""

    def __init__(self):
        super().__init__()
        self.stderr = b""
        self._records = b""

    def feed(self, received):
        body = []
        self._records += received
        offset = 0
        while True:
            record, offset_next = fcgi.record_at(self._records, offset)
            if record is None:
                break
            offset = offset_next
            if record.type == fcgi.STDOUT:
                body.append(super().feed(record.content))
            elif record.type == fcgi.STDERR:
                self.stderr += record.content
            elif record.type == fcgi.END_REQUEST:
                self.ended = "clean"
        self._records = self._records[offset:]
        return b"".join(body)

    def eof(self):
        self.ended = self.ended or "cut"


class Stream:
    """One request and what came back so far."""

    def __init__(self, loop, sock, decoder, label=""):
        self.loop = loop
        self.sock = sock
        self.label = label
        self.parser = Parser()
        self.raw = bytearray()  # the body as it came
        self.keep_raw = True
        self.ended = None  # None, "clean", "cut", "closed" (by us)
        self.http = decoder
        self.cut_at = None  # close when raw has this many bytes

    # what the client knows
    status = property(lambda self: self.http.status)
    headers = property(lambda self: self.http.headers)
    items = property(lambda self: self.parser.items)
    all_events = property(lambda self: self.parser.events)
    last_id = property(lambda self: self.parser.last_id)
    retry_ms = property(lambda self: self.parser.retry_ms)
    text = property(lambda self: bytes(self.raw).decode("utf-8", "replace"))

    @property
    def events(self):
        """What publishers published: without the server's own events."""
        return [e for e in self.all_events if not e.type.startswith("stream-")]

    @property
    def data(self):
        return [e.data for e in self.events]

    @property
    def resets(self):
        return [json.loads(e.data) for e in self.parser.resets]

    @property
    def positions(self):
        return [i.id for i in self.items if isinstance(i, Position)]

    @property
    def floor(self):
        return self.positions[0] if self.positions else None

    @property
    def comments(self):
        return [i.text for i in self.items if isinstance(i, Comment)]

    def is_event_stream(self):
        return self.headers.get("content-type", "").startswith("text/event-stream")

    def fileno(self):
        return self.sock.fileno()

    def on_readable(self):
        try:
            received = self.sock.recv(262144)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            received = b""
        if not received:
            self.http.eof()
        else:
            body = self.http.feed(received)
            if self.cut_at is not None:
                body = body[: max(0, self.cut_at - len(self.raw))]
            if self.keep_raw:
                self.raw += body
            if body and self.is_event_stream():
                self.parser.feed(body)
        if self.cut_at is not None and len(self.raw) >= self.cut_at:
            self.close()
        elif self.http.ended:
            self.close(self.http.ended)

    def close(self, how="closed"):
        """Leave: an abrupt close, as of a browser that is gone."""
        if self.ended is None:
            self.ended = how
            self.loop.forget(self)
            self.sock.close()

    def wait_for(self, condition, seconds=DEADLINE_S, what=None):
        self.loop.wait_for(lambda: condition(self), seconds, what or self.describe)
        return self

    def wait_open(self, seconds=DEADLINE_S):
        """Wait for FLOOR: the stream has taken, nothing can pass it by now."""
        return self.wait_for(lambda s: s.floor is not None or s.ended, seconds).check_open()

    def check_open(self):
        assert self.status == 200 and self.is_event_stream(), self.describe()
        assert self.floor is not None, self.describe()
        return self

    def wait_data(self, count, seconds=DEADLINE_S):
        """Wait until `count` events of publishers are there; return their data."""
        self.wait_for(lambda s: len(s.all_events) >= count and len(s.events) >= count, seconds)
        return self.data

    def wait_end(self, seconds=DEADLINE_S):
        return self.wait_for(lambda s: s.ended, seconds)

    def describe(self):
        return "%s: status %s, ended %s, %d events, last id %r, tail %r" % (
            self.label or "stream", self.status, self.ended, len(self.all_events),
            self.last_id, bytes(self.raw[-300:]))


class Loop:
    """All streams of a test, read together while somebody waits."""

    def __init__(self):
        self._selector = selectors.DefaultSelector()
        self._streams = set()  # those that are read
        self._all = []
        self._ticks = []  # called in each step

    def add(self, stream):
        stream.sock.setblocking(False)
        self._selector.register(stream, selectors.EVENT_READ)
        self._streams.add(stream)
        self._all.append(stream)
        return stream

    def forget(self, stream):
        if stream in self._streams:
            self._streams.discard(stream)
            self._selector.unregister(stream)

    def stop_reading(self, stream):
        """The client is still there and reads no more."""
        self._selector.unregister(stream)
        self._streams.discard(stream)

    def resume_reading(self, stream):
        self.add(stream)

    def close_streams(self):
        for stream in self._all:
            stream.close()

    def close(self):
        self.close_streams()
        self._selector.close()

    def tick(self, call):
        """Call that in each step."""
        self._ticks.append(call)

    def step(self, seconds):
        for key, _ in self._selector.select(seconds):
            if key.fileobj.ended is None:
                key.fileobj.on_readable()
        for call in self._ticks:
            call()

    def wait_for(self, condition, seconds=DEADLINE_S, what="a condition"):
        """Read streams until condition() is true; fail at the deadline."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                text = what() if callable(what) else what
                raise AssertionError("waited %s s without success for %s" % (seconds, text))
            self.step(0.01)

    def stays(self, condition, seconds, what="a condition"):
        """condition() holds for as long as this: only for 'does not happen'."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.step(0.01)
            assert condition(), what() if callable(what) else what

    def open(self, where, channels=None, *, query=None, last_event_id=None,
             headers=None, params=None, method="GET", accept="text/event-stream",
             path=None, body=None):
        """Send one request.  `where` has an address: a (host, port) behind
        which HTTP is spoken, or an fcgi-sse.  `params` are raw CGI variables
        (FastCGI only), as a dict or a list of pairs."""
        query = query_string(channels, query)
        send = dict(headers or {})
        if accept is not None:
            send.setdefault("Accept", accept)
        if last_event_id is not None:
            send["Last-Event-ID"] = str(last_event_id)
        if where.speaks == "fcgi":
            conn = fcgi.Connection(where.address)
            conn.request(cgi_variables(method, query, send, params), body=body)
            return self.add(Stream(self, conn.sock, FcgiDecoder(), where.name))
        assert params is None
        sock = socket.create_connection(where.address, timeout=DEADLINE_S)
        target = (path or where.path) + ("?" + query if query else "")
        lines = ["%s %s HTTP/1.1" % (method, target), "Host: %s:%d" % where.address]
        lines += ["%s: %s" % item for item in send.items()]
        if body is not None:
            lines.append("Content-Length: %d" % len(body))
        sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("utf-8") + (body or b""))
        decoder = HttpDecoder()
        return self.add(Stream(self, sock, decoder, where.name))

    def live(self, where, channels=None, seconds=DEADLINE_S, **more):
        """Open a stream and wait until nothing published can pass it by."""
        return self.open(where, channels, **more).wait_open(seconds)

    def fetch(self, where, channels=None, seconds=DEADLINE_S, **more):
        """One request to its end."""
        return self.open(where, channels, **more).wait_for(
            lambda s: s.ended or s.status in (204, 304), seconds)


def query_string(channels, query):
    if isinstance(query, str):
        return query
    pairs = list(query.items() if isinstance(query, dict) else query or [])
    if channels is not None:
        names = channels if isinstance(channels, str) else ",".join(channels)
        pairs.insert(0, ("channels", names))
    return urllib.parse.urlencode(pairs, safe=",:", quote_via=urllib.parse.quote)


def cgi_variables(method, query, headers, params):
    """What a web server sends (RFC 3875 4.1), as a list of pairs."""
    pairs = [
        ("GATEWAY_INTERFACE", "CGI/1.1"), ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("SERVER_SOFTWARE", "e2e"), ("SERVER_NAME", "localhost"), ("SERVER_PORT", "80"),
        ("REQUEST_METHOD", method), ("SCRIPT_NAME", "/sse"), ("QUERY_STRING", query),
        ("REMOTE_ADDR", "127.0.0.1"), ("HTTP_HOST", "localhost"),
    ]
    for name, value in headers.items():
        pairs.append(("HTTP_" + name.upper().replace("-", "_"), value))
    extra = list(params.items() if isinstance(params, dict) else params or [])
    given = {name for name, _ in extra}
    return [pair for pair in pairs if pair[0] not in given] + extra
