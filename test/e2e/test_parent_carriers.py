# SPDX-License-Identifier: ISC
"""The parent with --streams-per-process above 1: carriers are there when
streams come, and responders serve one connection after another."""
import mmap
import os
import signal
import struct
import time

import pytest

from fcgi import Connection, begin, record, STDIN
from processes import alive, publish_ids, wait_until


class Page:
    """How many streams each carrier has, as parent and carriers share it."""

    def __init__(self, pid):
        for fd in os.listdir("/proc/%d/fd" % pid):
            path = "/proc/%d/fd/%s" % (pid, fd)
            if os.readlink(path).startswith("/memfd:sse-carriers"):
                with open(path, "r+b") as f:
                    self.map = mmap.mmap(f.fileno(), 0)

    def set(self, slot, count):
        struct.pack_into("=I", self.map, 4 * slot, count)

    def get(self, slot):
        return struct.unpack_from("=I", self.map, 4 * slot)[0]


def ask(loop, fcgi_sse, **more):
    """A request that is answered without a stream."""
    return loop.fetch(fcgi_sse, "all", method="HEAD", accept=None, **more).status


# ---- carriers

def test_carriers_come_with_streams(redis, start_fcgi_sse, loop):
    """Without a stream there is no carrier; with the first there is one; when it is full another."""
    fcgi_sse = start_fcgi_sse(redis, "--streams-per-process=8")
    assert fcgi_sse.carriers() == []
    loop.live(fcgi_sse, "all")
    first = wait_until(fcgi_sse.carriers, what="a carrier")
    page = Page(fcgi_sse.pid)
    page.set(0, 7)
    loop.live(fcgi_sse, "all")
    assert fcgi_sse.carriers() == first
    page.set(0, 8)
    loop.live(fcgi_sse, "all")
    wait_until(lambda: len(fcgi_sse.carriers()) == 2, what="another carrier")


# ---- responders that serve one connection after another

def test_responders_are_reused(redis, start_fcgi_sse, loop):
    """500 requests that open no stream, one after another, need a few processes."""
    fcgi_sse = start_fcgi_sse(redis, "--streams-per-process=2").expect_log(r"refused|channel")
    seen = set()
    for i in range(500):
        if i % 2:
            assert ask(loop, fcgi_sse) == 200
        else:
            assert loop.fetch(fcgi_sse, "*", accept=None).status == 400
        seen.update(fcgi_sse.responders())
    assert 1 <= len(seen) <= 10, seen
