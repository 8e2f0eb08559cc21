# SPDX-License-Identifier: ISC
"""Plain CGI, and the bridge from CGI to FastCGI: under real servers and from
a bare shell."""
import os
import signal
import socket
import subprocess
import time

import pytest

import sse
from processes import FCGI_SSE_BIN, publish_ids, redis_environment, wait_until

CGI_SERVERS = ["lighttpd-cgi", "apache-cgid", "busybox-cgi"]


@pytest.fixture
def where(request, redis, web):
    return web(request.param, redis)


def subscribers(redis):
    return redis.channel_subscribers("sse:event:all")


@pytest.mark.parametrize("where", CGI_SERVERS, indirect=True)
def test_stream_and_resume(redis, loop, where):
    """Under a CGI server: live, heartbeat, plain PUBLISH without an id, resume by the query."""
    stream = loop.live(where, "all")
    ids = publish_ids(redis, "all", "one")
    redis.publish("all", "plain")
    stream.wait_data(2)
    assert [(e.data, e.id is None) for e in stream.events] == [("one", False), ("plain", True)]
    comments = len(stream.comments)
    stream.wait_for(lambda s: len(s.comments) > comments)
    stream.close()
    more = publish_ids(redis, "all", "two")
    again = loop.live(where, "all", query={"lastEventId": stream.last_id})
    again.wait_data(1)
    assert int(stream.last_id) >= ids[0] and [int(e.id) for e in again.events] == more


@pytest.mark.parametrize("where", CGI_SERVERS, indirect=True)
def test_resume_by_header(redis, loop, where):
    """These servers hand on Last-Event-ID."""
    ids = publish_ids(redis, "all", "one") + publish_ids(redis, "all", "two")
    stream = loop.live(where, "all", last_event_id=ids[0])
    assert stream.wait_data(1) == ["two"]


@pytest.mark.parametrize("where", CGI_SERVERS, indirect=True)
def test_the_query_is_no_command_line(redis, loop, where):
    """Trap 10: ?publish+x is no command line: the default channel is served."""
    streams = [loop.live(where, query=query) for query in (
        "publish+x", "--help", "-d+x", "--version+--socket%3d/tmp/x", "--redis%3dunix:///nonexistent")]
    publish_ids(redis, "sse", "x")
    for stream in streams:
        assert stream.wait_data(1) == ["x"]


@pytest.mark.parametrize("where", CGI_SERVERS, indirect=True)
def test_errors_and_head(loop, where):
    """A 4xx with its sentence comes through a CGI server; HEAD ends at once."""
    answer = loop.fetch(where, query="channels=a*b")
    assert answer.status in (400, 403) and len(answer.text.split()) >= 3
    head = loop.open(where, "all", method="HEAD").wait_for(lambda s: s.status)
    assert head.status == 200
    head.wait_for(lambda s: s.ended or s.http.status)


@pytest.mark.parametrize("server, heartbeat", [("lighttpd-cgi", 600), ("apache-cgid", 1), ("busybox-cgi", 1)])
def test_client_that_left(redis, loop, web, server, heartbeat):
    """A client that left is noticed by the heartbeats; by lighttpd's SIGTERM without any."""
    stream = loop.live(web(server, redis, heartbeat=heartbeat), "all")
    wait_until(lambda: subscribers(redis) == 1)
    stream.close()
    wait_until(lambda: subscribers(redis) == 0, what="the client that left to be noticed")
    wait_until(lambda: not redis.clients("pubsub"))


def test_client_that_left_behind_lighttpd_without_its_help(redis, loop, web):
    """lighttpd CGI without tcp-fin-propagate: by the heartbeats."""
    stream = loop.live(web("lighttpd-cgi", redis, tell_who_left=False), "all")
    stream.close()
    wait_until(lambda: subscribers(redis) == 0, what="the client that left to be noticed")


@pytest.mark.soak
@pytest.mark.parametrize("server, beats, more", [
    ("lighttpd-cgi", 1, {"tell_who_left": False}), ("apache-cgid", 2, {}), ("busybox-cgi", 2, {})])
def test_how_long_a_client_that_left_counts(redis, loop, web, server, beats, more):
    """The heartbeats of 15 s that README names: lighttpd notices at the first, Apache and busybox at the second."""
    stream = loop.live(web(server, redis, heartbeat=15, **more), "all")
    stream.wait_for(lambda s: s.comments)
    stream.close()
    began = time.monotonic()
    wait_until(lambda: subscribers(redis) == 0, beats * 15 + 10, "the client that left to be noticed")
    took = time.monotonic() - began
    assert took > (beats - 1) * 15, "README may say less"
    print("gone after %.0f s" % took)


def test_redis_away(folder, redis, web, loop):
    """Redis away under CGI: 200 and retry for EventSource, 503 for others."""
    for kind in CGI_SERVERS:
        where = web(kind, redis)
        if kind == CGI_SERVERS[0]:
            redis.program.kill()
        answer = loop.fetch(where, "all")
        assert answer.status == 200 and 5000 <= answer.retry_ms <= 15000
        assert loop.fetch(where, "all", accept=None).status == 503
        where.stop()
        folder_program = folder / "cgi-bin/sse"
        if os.path.islink(folder_program):
            os.unlink(folder_program)


# ---- the bridge

def test_cgi_fcgi_script(redis, start_fcgi_sse, web, loop):
    """A two-line cgi-fcgi script under busybox httpd: live, resume, a client that left is noticed by the heartbeats."""
    fcgi_sse = start_fcgi_sse(redis, "--heartbeat=1")
    where = web("busybox-bridge", fcgi_sse)
    stream = loop.live(where, "all")
    redis.publish("all", "plain")
    ids = publish_ids(redis, "all", "one")
    assert stream.wait_data(2) == ["plain", "one"]
    stream.close()
    fcgi_sse.wait_streams(0)
    again = loop.live(where, "all", query={"last": 1})
    again.wait_data(1)
    assert [int(e.id) for e in again.events] == ids


def shell_stream(loop, run, argv, env, **more):
    """A program that answers on stdout, as a stream of the loop."""
    ours, theirs = socket.socketpair()
    program = run("cgi", argv, env=env, stdout=theirs, **more)
    theirs.close()
    return program, loop.add(sse.Stream(loop, ours, sse.CgiDecoder()))


CGI_ENV = {"GATEWAY_INTERFACE": "CGI/1.1", "REQUEST_METHOD": "GET", "SERVER_PROTOCOL": "HTTP/1.1",
           "HTTP_ACCEPT": "text/event-stream", "QUERY_STRING": "channels=all", "SSE_ALLOW": "*"}


def test_cgi_fcgi_from_a_shell(redis, fcgi_sse, run, loop):
    """cgi-fcgi -bind -connect from a shell is a client."""
    _, stream = shell_stream(loop, run, ["cgi-fcgi", "-bind", "-connect", fcgi_sse.address], CGI_ENV)
    stream.wait_open()
    publish_ids(redis, "all", "x")
    assert stream.wait_data(1) == ["x"]
    stream.close()
    redis.publish("all", "y")


def test_bare_cgi_from_a_shell(redis, run, loop):
    """A bare call with the CGI variables streams to stdout, and notices that its reader left."""
    program, stream = shell_stream(loop, run, [FCGI_SSE_BIN], dict(
        CGI_ENV, FCGI_SSE_HEARTBEAT="1", **redis_environment(redis)), check_stderr=True)
    stream.wait_open()
    publish_ids(redis, "all", "x")
    assert stream.wait_data(1) == ["x"]
    assert stream.headers["content-type"].startswith("text/event-stream")
    stream.close()
    program.wait()


def test_cgi_to_a_pipe_ends_with_its_reader(redis, folder):
    """stdout is a pipe (busybox): a reader that leaves is noticed by the heartbeats."""
    program = subprocess.Popen([FCGI_SSE_BIN], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=dict(
        CGI_ENV, FCGI_SSE_HEARTBEAT="1", SSE_E2E_FOLDER=folder.path, **redis_environment(redis)))
    line = program.stdout.readline()
    assert b":" in line
    program.stdout.close()
    wait_until(lambda: program.poll() is not None, what="the CGI to end")


@pytest.mark.parametrize("make", [os.pipe, lambda: [end.detach() for end in socket.socketpair()]],
                         ids=["pipe", "socket"])
def test_cgi_whose_reader_stands_still(redis, folder, make):
    """It waits for Redis and for SIGTERM all the same, and leaves its channels."""
    redis.client.hset("sse:limits", mapping={"count": 1000, "bytes": 10 ** 9})
    read_end, write_end = make()
    program = subprocess.Popen([FCGI_SSE_BIN], stdin=subprocess.DEVNULL, stdout=write_end, env=dict(
        CGI_ENV, SSE_E2E_FOLDER=folder.path, **redis_environment(redis)))
    os.close(write_end)
    wait_until(lambda: subscribers(redis) == 1)
    publish_ids(redis, "--lines", "all", stdin=b"%s\n" % (b"x" * 100000) * 100)
    wait_until(lambda: subscribers(redis) == 0, what="the stream to leave its channel")
    wait_until(lambda: sum(int(c["omem"]) for c in redis.clients()) == 0, what="Redis to keep nothing for it")
    assert program.poll() is None
    program.terminate()
    program.wait(5)
    os.close(read_end)


def test_cgi_ignores_its_arguments(redis, run, loop):
    """With GATEWAY_INTERFACE set the command line is ignored."""
    for argv in (["--version"], ["--help"], ["--redis=unix:///nonexistent", "x"], ["publish", "--socket=/tmp/x"]):
        _, stream = shell_stream(loop, run, [FCGI_SSE_BIN] + argv, dict(
            CGI_ENV, **redis_environment(redis)))
        stream.wait_open()
        stream.close()


def test_cgi_ends_on_sigterm(redis, run, loop):
    """SIGTERM (lighttpd's word for a client that left) ends a CGI at once."""
    program, stream = shell_stream(loop, run, [FCGI_SSE_BIN], dict(CGI_ENV, **redis_environment(redis)))
    stream.wait_open()
    program.signal(signal.SIGTERM)
    program.wait()
    stream.wait_end()


def test_cgi_stderr_into_stdout(redis, run, loop):
    """Trap 20: where stderr is the client's, a good request puts nothing before or into the stream."""
    _, stream = shell_stream(loop, run, ["sh", "-c", "exec " + FCGI_SSE_BIN + " 2>&1"], dict(
        CGI_ENV, **redis_environment(redis)))
    stream.wait_open()
    publish_ids(redis, "all", "x")
    assert stream.wait_data(1) == ["x"]


def test_cgi_policy_from_the_environment(redis, run, loop):
    """SSE_* come from the environment; empty is refused."""
    base = dict(CGI_ENV, **redis_environment(redis))
    for env, status in [({"SSE_ALLOW": ""}, 403), ({"SSE_ALLOW": "foo"}, 403), ({"SSE_CHANNELS": "all"}, 200)]:
        _, stream = shell_stream(loop, run, [FCGI_SSE_BIN], dict(base, **env))
        stream.wait_for(lambda s: s.ended or s.floor)
        assert stream.status == status
        stream.close()


def test_cgi_post_body_is_not_waited_for(redis, run, loop):
    """A CGI answers a GET with CONTENT_LENGTH (nginx's X-Accel-Redirect) without a body."""
    read_end, write_end = os.pipe()
    _, stream = shell_stream(loop, run, [FCGI_SSE_BIN], dict(
        CGI_ENV, CONTENT_LENGTH="3", **redis_environment(redis)), stdin=read_end)
    stream.wait_open()
    os.close(write_end)
    os.close(read_end)
