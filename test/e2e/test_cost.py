# SPDX-License-Identifier: ISC
"""What a live stream costs: system calls an event, and memory while nothing comes."""
import re
import signal

import pytest

from processes import publish_ids, under_sanitizer, wait_until

EVENTS = 100


def count_calls(table):
    """What strace -c says: {name: calls}."""
    return {m[2]: int(m[1]) for m in re.finditer(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+) +(?:\d+ +)?(\w+)$", table, re.M)
            if m[2] != "total"}


def dirty_kb(pid, mapping):
    """Memory of this process alone, in the mappings of that name."""
    with open("/proc/%d/smaps" % pid) as f:
        parts = re.findall(r" \[%s\]\n.*?Private_Dirty: +(\d+)" % mapping, f.read(), re.S)
    return sum(map(int, parts))


def test_three_system_calls_an_event(redis, start_fcgi_sse, loop, run, folder):
    """An event that comes alone is a wait, a read and a write; now and then a second wait asks whether the client
    takes more."""
    fcgi_sse = start_fcgi_sse(redis, "--heartbeat=600", "--record=none")
    stream = loop.live(fcgi_sse, "a")
    [responder] = fcgi_sse.responders()
    if under_sanitizer(responder):
        return  # it has calls of its own
    table = folder.path + "/calls"
    strace = run("strace", ["strace", "-c", "-o", table, "-p", str(responder)])
    wait_until(lambda: "attached" in strace.stderr() or not strace.running())
    if not strace.running():
        pytest.skip("no process may be traced here: " + strace.stderr())
    for i in range(EVENTS):
        publish_ids(redis, "a", "event %d" % i)
        stream.wait_data(i + 1)
    strace.signal(signal.SIGINT)
    strace.wait()
    with open(table) as f:
        calls = count_calls(f.read())
    print(calls)
    assert calls["read"] == calls["write"] == EVENTS
    assert calls["ppoll"] <= EVENTS * 1.1 + 1
    assert sum(calls.values()) <= EVENTS * 3.1 + 5


def test_idle_stream_is_small(redis, start_fcgi_sse, loop):
    """What only the beginning of a stream, and each check, needed is given back."""
    fcgi_sse = start_fcgi_sse(redis, "--heartbeat=1", "--record=none")
    headers = {"Cookie": "x" * 1000, "User-Agent": "y" * 200}  # a browser sends as much
    for stream in [loop.live(fcgi_sse, "a", headers=headers) for _ in range(5)]:
        stream.wait_for(lambda s: len(s.comments) >= 3)  # after a check

    def sizes():
        return [(dirty_kb(pid, "heap"), dirty_kb(pid, "stack"))
                for pid in fcgi_sse.responders() if not under_sanitizer(pid)]

    # one may be in the midst of its next check
    wait_until(lambda: all(heap + stack <= 40 for heap, stack in sizes()), what=lambda: "small ones: %r" % sizes())
    print(sizes())
