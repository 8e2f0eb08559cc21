#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""fake_events.py FAULT PORT: takes POSTs, and sends each as an event to all streams,
but for the one fault that it is asked to make with the thirtieth: lose, double,
swap, shorten, id-back, reset or cut.  "none" makes no fault; "dribble" sends all in
pieces of seven bytes.  What the load generator must notice."""
import socketserver
import sys
import threading

FAULT, PORT = sys.argv[1], int(sys.argv[2])
WHICH = 30

lock = threading.Lock()
streams, events = [], []
held = []  # of a swap: what comes after its follower


def chunk(text):
    return b"%x\r\n%s\r\n" % (len(text), text)


def send(wfile, text):
    raw = chunk(text) if text else b""
    for i in range(0, len(raw), 7) if FAULT == "dribble" else [None]:
        wfile.write(raw if i is None else raw[i:i + 7])


def frame(number, data):
    return b"id: %d\r\ndata: %s\r\n\r\n" % (number, data)


def frames_of(data):
    """What goes out for an event."""
    events.append(data)
    number = len(events)
    if held:
        return frame(number, data) + held.pop()
    if number != WHICH:
        return frame(number, data)
    if FAULT == "swap":
        held.append(frame(number, data).partition(b"\r\n")[2])  # its id would be a fault of its own
        return b""
    return {"lose": b"",
            "double": frame(number, data) + b"data: " + data + b"\r\n\r\n",
            "shorten": frame(number, data[:-1]),
            "id-back": frame(number - 1, data),
            "reset": frame(number, data) + b"event: stream-reset\r\ndata: {}\r\n\r\n",
            }.get(FAULT, frame(number, data))


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        while True:
            request = self.rfile.readline()
            if not request:
                return
            headers = {}
            for line in iter(self.rfile.readline, b"\r\n"):
                name, _, value = line.partition(b":")
                headers[name.lower()] = value.strip()
            if request.startswith(b"POST"):
                self.publish(self.rfile.read(int(headers[b"content-length"])))
            else:
                return self.stream(int(headers.get(b"last-event-id", b"0")))

    def publish(self, data):
        with lock:
            text = frames_of(data)
            for stream in list(streams):
                try:
                    send(stream.wfile, text)
                except OSError:  # it has left
                    streams.remove(stream)
                if FAULT == "cut" and len(events) == WHICH and not stream.cursor:
                    streams.remove(stream)
                    stream.ended.set()
        self.wfile.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok")

    def stream(self, cursor):
        self.ended = threading.Event()
        self.cursor = cursor
        with lock:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                             b"Transfer-Encoding: chunked\r\n\r\n" + chunk(b": hi\n\nretry: 20\n\n"))
            for number, data in enumerate(events, 1):
                if 0 < cursor < number:
                    send(self.wfile, frame(number, data))
            streams.append(self)
        self.ended.wait()
        if self.ended.is_set():
            self.wfile.write(b"0\r\n\r\n")


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 100


Server(("127.0.0.1", PORT), Handler).serve_forever()
