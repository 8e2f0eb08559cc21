# SPDX-License-Identifier: ISC
"""The measured traps of web servers and libfcgi, each provoked.  (The numbers
are those of the list in the project's notes: web servers, section 0.)"""
import contextlib
import os
import re
import signal
import socket
import struct
import time

import pytest

import fcgi
import sse
from processes import (alive, children_of, clock, history, publish_ids, sse_publish, wait_until)

BROKEN_PEER = r"request|peer|PARAMS|FastCGI|HTTP|param|smash|abort|died|signal|core|Assert|sanit|exit"
VARIABLES = {"REQUEST_METHOD": "GET", "QUERY_STRING": "channels=all", "HTTP_ACCEPT": "text/event-stream",
             "GATEWAY_INTERFACE": "CGI/1.1", "SERVER_PROTOCOL": "HTTP/1.1"}


def stays_responsive(loop, fcgi_sse):
    """A well-behaved client is served."""
    loop.live(fcgi_sse, "all").close()


def half_request():
    return fcgi.begin() + fcgi.record(fcgi.PARAMS, fcgi.pairs(VARIABLES)[:37])


SILENCES = {
    "nothing": b"",
    "half a header": b"\x01\x01\x00",
    "half a record": fcgi.begin() + b"\x01\x04\x00\x01\x00\xff\x00\x00" + b"x" * 10,
    "half a pair": half_request(),
    "no end of PARAMS": fcgi.begin() + fcgi.record(fcgi.PARAMS, fcgi.pairs(VARIABLES)),
    "no end of STDIN": fcgi.begin() + fcgi.record(fcgi.PARAMS, fcgi.pairs(
        dict(VARIABLES, REQUEST_METHOD="POST", CONTENT_LENGTH="5"))) + fcgi.record(fcgi.PARAMS),
}


@pytest.mark.parametrize("timeout_s", [1, 300])
def test_silent_peers_hold_up_nobody(redis, start_fcgi_sse, loop, timeout_s):
    """Trap 1: peers that stay silent anywhere in a request delay nobody (for as long as they may: 300) and end at
    --request-timeout (1)."""
    fcgi_sse = start_fcgi_sse(redis, "--request-timeout=%d" % timeout_s).expect_log(BROKEN_PEER)
    silent = []
    for sent in list(SILENCES.values()) * 3:
        conn = fcgi.Connection(fcgi_sse.address)
        conn.send(sent)
        silent.append(conn)
    stays_responsive(loop, fcgi_sse)
    if timeout_s == 1:
        fcgi_sse.wait_streams(0)
        stays_responsive(loop, fcgi_sse)
    for conn in silent:
        conn.close()


GARBAGE = {
    "zeros": b"\0" * 64,
    "bad version": b"\x02\x01\x00\x01\x00\x08\x00\x00" + b"\0" * 8,
    "bad role": fcgi.record(fcgi.BEGIN_REQUEST, struct.pack("!HB5x", 77, 0)),
    "PARAMS first": fcgi.record(fcgi.PARAMS, fcgi.pairs(VARIABLES)),
    "huge lengths": fcgi.begin() + fcgi.record(fcgi.PARAMS, b"\xff\xff\xff\xfe\xff\xff\xff\xfe" + b"x" * 64)
    + fcgi.record(fcgi.PARAMS),
    "a gigabyte to come": fcgi.begin() + fcgi.record(fcgi.PARAMS, b"\x01\xc0\x00\x00\x00x" + b"y" * 64)
    + fcgi.record(fcgi.PARAMS),
    "short pair": fcgi.begin() + fcgi.record(fcgi.PARAMS, b"\x05\x05abc") + fcgi.record(fcgi.PARAMS),
    "random": bytes(range(256)) * 16,
    "wrong request id": fcgi.begin() + fcgi.record(fcgi.PARAMS, fcgi.pairs(VARIABLES), 7),
    "unknown type": fcgi.record(42, b"x" * 8) * 3,
    "authorizer": fcgi.begin(fcgi.AUTHORIZER) + fcgi.record(fcgi.PARAMS, fcgi.pairs(VARIABLES)) + fcgi.record(
        fcgi.PARAMS) + fcgi.record(fcgi.STDIN),
}


@pytest.mark.parametrize("what", GARBAGE)
def test_garbage(redis, start_fcgi_sse, loop, what):
    """Trap 2: garbage ends at most the child that got it; the parent serves on."""
    fcgi_sse = start_fcgi_sse(redis, "--request-timeout=1").expect_log(BROKEN_PEER)
    parent = fcgi_sse.pid
    for close in (True, False):
        conn = fcgi.Connection(fcgi_sse.address)
        conn.send(GARBAGE[what])
        if close:
            conn.close()
    stays_responsive(loop, fcgi_sse)
    if what != "authorizer":
        fcgi_sse.wait_streams(0)
    assert alive(parent)


def test_get_values_overflow(redis, fcgi_sse, loop):
    """Trap 2: libfcgi's stack overflow by FCGI_GET_VALUES hits one child and no stream."""
    # the sanitizer, the stack protector and the parent may all say so
    fcgi_sse.expect_log(BROKEN_PEER, ".*")
    stream = loop.live(fcgi_sse, "all")
    conn = fcgi.Connection(fcgi_sse.address)
    conn.send(fcgi.record(fcgi.GET_VALUES, fcgi.pairs([("FCGI_MAX_CONNS", "")] * 8), 0), fcgi.begin())
    with contextlib.suppress(OSError):  # the child may have ended already
        conn.send(b"\0")
    conn.close()
    fcgi_sse.wait_streams(1)
    publish_ids(redis, "all", "still here")
    assert stream.wait_data(1) == ["still here"]
    stays_responsive(loop, fcgi_sse)


def test_http_on_the_fcgi_port_is_named(redis, start_fcgi_sse, loop):
    """An HTTP request sent to the FastCGI port is named as such in the log, and delays nobody."""
    fcgi_sse = start_fcgi_sse(redis).expect_log(BROKEN_PEER)
    conn = fcgi.Connection(fcgi_sse.address)
    conn.send(b"GET /sse HTTP/1.1\r\nHost: localhost\r\n\r\n")
    fcgi_sse.wait_log(r"HTTP")
    fcgi_sse.wait_streams(0)
    conn.close()
    stays_responsive(loop, fcgi_sse)


def answered(records):
    """(status, body) of the response in these records."""
    text = b"".join(r.content for r in records if r.type == fcgi.STDOUT)
    head, _, body = text.partition(b"\r\n\r\n")
    status = re.search(rb"(?im)^status: *(\d+)", head)
    return int(status.group(1)) if status else 200 if text else None, body


@pytest.mark.parametrize("how", ["half-close", "abort"])
def test_truncated_params(redis, start_fcgi_sse, how):
    """Trap 3: PARAMS cut short at a pair boundary, by closing or ABORT, is 403 and a log line."""
    fcgi_sse = start_fcgi_sse(redis, "--request-timeout=2").expect_log(BROKEN_PEER)
    conn = fcgi.Connection(fcgi_sse.address)
    conn.send(fcgi.begin(), fcgi.record(fcgi.PARAMS, fcgi.pairs(VARIABLES)))
    if how == "half-close":
        conn.sock.shutdown(socket.SHUT_WR)
    else:
        conn.send(fcgi.record(fcgi.ABORT_REQUEST))
    status, body = answered(conn.read_to_end())
    assert status in (403, None), (status, body)
    assert b"retry" not in body
    fcgi_sse.wait_streams(0)
    assert re.search(r"error|warn|info", fcgi_sse.stderr())
    conn.close()


@pytest.mark.parametrize("after", [
    "fastcgi_param SSE_ALLOW all;", "fastcgi_param SSE_CHANNELS all; fastcgi_param SSE_CHANNELS secret;"])
def test_nginx_sends_both_of_two(redis, fcgi_sse, loop, web, after):
    """Trap 4: an SSE_* set again after an include arrives twice: 403 and a log line, not the first."""
    fcgi_sse.expect_log(r"SSE_")
    nginx = web("nginx", fcgi_sse, params_after=after)
    answer = loop.fetch(nginx, "all")
    assert answer.status == 403 and answer.text.strip()
    fcgi_sse.wait_log(r"SSE_(ALLOW|CHANNELS)")


def test_two_last_event_ids_through_nginx(redis, fcgi_sse, loop, web):
    """Trap 4: two Last-Event-ID headers: a clear answer, never a wrong position in silence."""
    ids = [publish_ids(redis, "all", "%d" % i)[0] for i in range(4)]
    nginx = web("nginx-example", fcgi_sse)
    stream = loop.open(nginx, "all", headers={"Last-Event-ID": ids[1], "last-event-id": ids[2]})
    stream.wait_for(lambda s: s.ended or s.last_id == str(ids[-1]))
    if stream.status == 200:
        got = [int(e.id) for e in stream.events]
        assert stream.resets or got in (ids[2:], ids[3:])


def test_abort_record(redis, fcgi_sse, loop):
    """Trap 5: FCGI_ABORT_REQUEST, which no server sends, also ends a stream."""
    stream = loop.live(fcgi_sse, "all")
    stream.sock.sendall(fcgi.record(fcgi.ABORT_REQUEST))
    fcgi_sse.wait_streams(0)


def test_half_close_is_a_client_that_left(redis, fcgi_sse, loop):
    """Trap 5: a web server that half-closes (lighttpd's tcp-fin-propagate) ends the stream."""
    stream = loop.live(fcgi_sse, "all")
    stream.sock.shutdown(socket.SHUT_WR)
    fcgi_sse.wait_streams(0)


def test_late_stdin_is_no_abort(redis, fcgi_sse, loop):
    """Trap 5: an end of STDIN that comes late is not taken for a client that left."""
    conn = fcgi.Connection(fcgi_sse.address)
    conn.send(fcgi.begin())
    conn.params(VARIABLES)
    time.sleep(0.2)  # that it comes late is the point
    conn.send(fcgi.record(fcgi.STDIN))
    stream = loop.add(sse.Stream(loop, conn.sock, sse.FcgiDecoder())).wait_open()
    publish_ids(redis, "all", "x")
    assert stream.wait_data(1) == ["x"]


@pytest.mark.parametrize("server", ["nginx-example", "lighttpd-example"])
def test_responder_away_is_a_retry(redis, start_fcgi_sse, loop, web, server):
    """Trap 7: with fcgi-sse away a browser's EventSource gets 200 and retry:, not 502 for good."""
    fcgi_sse = start_fcgi_sse(redis)
    where = web(server, fcgi_sse)
    fcgi_sse.stop()
    for _ in range(2):  # the socket is refused, then gone
        answer = loop.fetch(where, "all")
        assert answer.status == 200 and answer.is_event_stream(), answer.describe()
        assert answer.retry_ms
        assert [(e.type, e.data) for e in answer.all_events] == [("stream-retry", str(answer.retry_ms))]
        if os.path.exists(fcgi_sse.socket_path):
            os.unlink(fcgi_sse.socket_path)


def test_many_at_once(redis, start_fcgi_sse, loop, web):
    """Trap 7: 400 simultaneous opens through nginx are all served: the backlog is long."""
    fcgi_sse = start_fcgi_sse(redis)
    nginx = web("nginx-example", fcgi_sse)
    streams = [loop.open(nginx, "all") for _ in range(400)]
    loop.wait_for(lambda: all(s.floor or s.ended for s in streams), 60)
    assert {s.status for s in streams} == {200} and all(s.floor for s in streams)
    publish_ids(redis, "all", "x")
    loop.wait_for(lambda: all(s.data == ["x"] for s in streams), 30)
    for stream in streams:
        stream.close()
    fcgi_sse.wait_streams(0)


# ---- 11: a client that does not read

def fill(redis, loop, stream, megabytes=8, others=()):
    """Publish until the responder of this client must be stuck in its write; the others read meanwhile."""
    loop.stop_reading(stream)
    text = b"x" * 100000
    ids = []
    for _ in range(megabytes * 10):
        ids += publish_ids(redis, "all", stdin=text)
        for other in others:
            other.wait_for(lambda s: len(s.events) == len(ids))
    return ids


@pytest.mark.parametrize("server", ["direct", "nginx-example", "lighttpd-example"])
def test_slow_reader(redis, start_fcgi_sse, loop, web, server):
    """A client that does not read delays nobody, is dropped after --write-timeout, resumes without loss."""
    fcgi_sse = start_fcgi_sse(redis, "--write-timeout=2", "--history-bytes=100000000",
                              "--history-count=100000").expect_log(r"write|time|client|read|slow")
    where = fcgi_sse if server == "direct" else web(server, fcgi_sse)
    slow = loop.live(where, "all")
    others = [loop.live(where, "all") for _ in range(3)]
    ids = fill(redis, loop, slow, others=others)
    fcgi_sse.wait_streams(3)
    loop.resume_reading(slow)
    slow.wait_end()
    again = loop.live(where, "all", last_event_id=slow.last_id)
    again.wait_for(lambda s: len(slow.events) + len(s.events) >= len(ids))
    assert [int(e.id) for e in slow.events + again.events] == ids
    assert not again.resets
    for stream in others:
        assert [int(e.id) for e in stream.events] == ids and not stream.ended


@pytest.mark.own_process
@pytest.mark.parametrize("number", ["SIGCONT", "SIGWINCH", "SIGUSR1", "SIGHUP", "SIGCHLD"])
def test_signal_in_a_blocked_write(redis, start_fcgi_sse, loop, number):
    """Trap 11: a signal while a write blocks tears no record: the stream goes on, or ends and resumes."""
    fcgi_sse = start_fcgi_sse(redis, "--write-timeout=20", "--history-bytes=100000000",
                              "--history-count=100000").expect_log(r"write|client|signal")
    stream = loop.live(fcgi_sse, "all")
    [pid] = fcgi_sse.responders()
    ids = fill(redis, loop, stream, 2)
    wait_until(lambda: open("/proc/%d/stat" % pid).read().rpartition(")")[2].split()[0] == "S")
    if number == "SIGCONT":  # a write with a timeout ends with EINTR here
        os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: open("/proc/%d/stat" % pid).read().rpartition(")")[2].split()[0] == "T")
    os.kill(pid, getattr(signal, number))
    loop.resume_reading(stream)
    stream.wait_for(lambda s: s.ended or len(s.events) >= len(ids))
    got = [int(e.id) for e in stream.events]
    if stream.ended:
        again = loop.live(fcgi_sse, "all", last_event_id=stream.last_id)
        again.wait_for(lambda s: len(got) + len(s.events) >= len(ids))
        got += [int(e.id) for e in again.events]
    assert got == ids


def test_no_linger(fcgi_sse, loop):
    """Trap 12: a peer that does not close after the end holds a child for libfcgi's two seconds, and not for ever."""
    fcgi_sse.expect_log(r"channel|request")
    conn = fcgi.Connection(fcgi_sse.address)
    conn.request(dict(VARIABLES, QUERY_STRING="channels=a*b"))
    received = b""
    while fcgi.record(fcgi.END_REQUEST, b"\0" * 8)[:2] not in received:
        received += conn.sock.recv(65536)
    fcgi_sse.wait_streams(0)
    conn.close()


def test_no_connect_fails_in_a_take_over(redis, start_fcgi_sse, loop):
    """Trap 13: while the parent is replaced (SIGHUP) no connect fails and each request is answered."""
    fcgi_sse = start_fcgi_sse(redis)
    fails = 0
    for round_ in range(5):
        fcgi_sse.signal(signal.SIGHUP)
        deadline = time.monotonic() + 0.5
        while time.monotonic() < deadline:
            try:
                loop.live(fcgi_sse, "all").close()
            except OSError:
                fails += 1
    assert fails == 0


@pytest.mark.parametrize("stdin", ["null", "pipe", "closed", "socket"])
def test_cgi_is_decided_by_the_environment(redis, start_fcgi_sse, loop, stdin):
    """Trap 19: with any stdin --socket= makes a FastCGI server; only GATEWAY_INTERFACE makes a CGI."""
    more = {}
    if stdin == "pipe":
        more["stdin"] = os.pipe()[0]
    elif stdin == "socket":
        pair = socket.socketpair()
        more["stdin"] = pair[0]
    elif stdin == "closed":
        more["preexec_fn"] = lambda: os.close(0)
    fcgi_sse = start_fcgi_sse(redis, **more)
    stream = loop.live(fcgi_sse, "all")
    publish_ids(redis, "all", "x")
    assert stream.wait_data(1) == ["x"]


def test_proxy_header(redis, fcgi_sse, loop):
    """Trap 21: a header "Proxy:" (HTTP_PROXY) sends nobody anywhere."""
    stream = loop.live(fcgi_sse, "all", headers={"Proxy": "http://127.0.0.1:9"})
    publish_ids(redis, "all", "x")
    assert stream.wait_data(1) == ["x"]


@pytest.mark.own_process
def test_a_killed_responder_hurts_one(redis, fcgi_sse, loop, web):
    """One process a stream: a killed one ends one client, who resumes; the others see nothing."""
    nginx = web("nginx-example", fcgi_sse)
    one = loop.live(nginx, "all")
    [pid] = fcgi_sse.responders()
    other = loop.live(nginx, "all")
    fcgi_sse.expect_log(r"signal|kill|died|ended")
    os.kill(pid, signal.SIGKILL)
    one.wait_end()
    sse_publish(redis, "all", "x")
    assert other.wait_data(1) == ["x"] and not other.ended
    again = loop.live(nginx, "all", last_event_id=one.last_id)
    assert again.wait_data(1) == ["x"]
    assert clock(redis) == history(redis, "all")[-1][0] and children_of(fcgi_sse.pid)
