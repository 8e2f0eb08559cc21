# SPDX-License-Identifier: ISC
"""The FastCGI protocol from the web server's side, as raw as a test wants it.

Nothing here is careful: half records, doubled variables and silence are what
it is for.  (FastCGI 1.0, sections 3.3 to 5.5.)
"""
import socket
import struct
from collections import namedtuple

from processes import DEADLINE_S

BEGIN_REQUEST, ABORT_REQUEST, END_REQUEST, PARAMS, STDIN, STDOUT, STDERR = range(1, 8)
GET_VALUES, GET_VALUES_RESULT = 9, 10
RESPONDER, AUTHORIZER = 1, 2

Record = namedtuple("Record", "type request_id content")


def record(type_, content=b"", request_id=1):
    assert len(content) <= 65535
    return struct.pack("!BBHHBx", 1, type_, request_id, len(content), 0) + content


def record_at(received, offset):
    """The record that begins at offset and where the next one begins, or
    (None, offset) while it is not whole."""
    if len(received) < offset + 8:
        return None, offset
    version, type_, request_id, length, padding = struct.unpack_from("!BBHHB", received, offset)
    assert version == 1, "not FastCGI: %r" % received[offset:offset + 40]
    end = offset + 8 + length
    if len(received) < end + padding:
        return None, offset
    return Record(type_, request_id, bytes(received[offset + 8:end])), end + padding


def length(n):
    return struct.pack("!B", n) if n < 128 else struct.pack("!I", n | 0x80000000)


def pairs(variables):
    """Name-value pairs (3.4) of a dict or a list of pairs; str or bytes."""
    out = []
    for name, value in variables.items() if isinstance(variables, dict) else variables:
        name = name if isinstance(name, bytes) else name.encode("utf-8", "surrogateescape")
        value = value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")
        out.append(length(len(name)) + length(len(value)) + name + value)
    return b"".join(out)


def begin(role=RESPONDER, keep=False):
    return record(BEGIN_REQUEST, struct.pack("!HB5x", role, 1 if keep else 0))


class Connection:
    """One connection to a FastCGI application."""

    def __init__(self, address):
        if isinstance(address, str):
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(DEADLINE_S)
            self.sock.connect(address)
        else:
            self.sock = socket.create_connection(address, timeout=DEADLINE_S)

    def send(self, *parts):
        self.sock.sendall(b"".join(parts))

    def params(self, variables):
        """PARAMS records and the empty one that ends them."""
        content = pairs(variables)
        for offset in range(0, len(content), 65528):
            self.send(record(PARAMS, content[offset:offset + 65528]))
        self.send(record(PARAMS))

    def request(self, variables, body=None):
        self.send(begin())
        self.params(variables)
        for offset in range(0, len(body or b""), 65528):
            self.send(record(STDIN, body[offset:offset + 65528]))
        self.send(record(STDIN))

    def read_to_end(self):
        """All records until the peer closes."""
        received = b""
        while True:
            try:
                chunk = self.sock.recv(65536)
            except ConnectionResetError:
                break
            if not chunk:
                break
            received += chunk
        records, offset = [], 0
        while True:
            rec, offset = record_at(received, offset)
            if rec is None:
                return records
            records.append(rec)

    def close(self):
        self.sock.close()
