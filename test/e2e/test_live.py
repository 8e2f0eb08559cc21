# SPDX-License-Identifier: ISC
"""The live path: what is published arrives, once and in order, in clients
behind real web servers; and what a stream says while nothing is published."""
import select
import socket
import threading
import time

import pytest

from processes import (SSE_PUBLISH_BIN, clock, descriptors_of, history, publish_ids, redis_environment,
                       redis_pipe, sse_publish, wait_until)

SERVERS = ["nginx-example", "lighttpd-example"]
EVERYWHERE = SERVERS + ["direct", "lighttpd-bin-path"]


@pytest.fixture
def where(request, redis, start_fcgi_sse, web):
    """The place to ask, for tests that run through several web servers."""
    if request.param == "lighttpd-bin-path":
        server = web(request.param, redis, "--heartbeat=1")
        wait_until(lambda: redis.client.exists("sse:recorder"), what="the recorder")
        return server
    fcgi_sse = start_fcgi_sse(redis, "--heartbeat=1")
    return fcgi_sse if request.param == "direct" else web(request.param, fcgi_sse)


@pytest.mark.parametrize("where", EVERYWHERE, indirect=True)
def test_each_way_of_publishing(redis, loop, where):
    """An event arrives by redis-cli PUBLISH of a pair, of plain text, and by sse-publish."""
    stream = loop.live(where, "all")
    redis.cli("PUBLISH", "all", '["message","{\\"type\\":\\"foo\\"}"]')
    assert stream.wait_data(1) == ['{"type":"foo"}']
    redis.cli("PUBLISH", "all", "just text")
    stream.wait_data(2)
    ids = publish_ids(redis, "--event=news", "all", "by sse-publish")
    stream.wait_data(3)
    assert [(e.type, e.data) for e in stream.events] == [
        ("message", '{"type":"foo"}'), ("message", "just text"), ("news", "by sse-publish")]
    assert [int(stream.events[2].id)] == ids
    seen = [int(e.id) for e in stream.events]
    assert seen == sorted(set(seen)), "ids grow strictly"


@pytest.mark.parametrize("where", ["nginx-example", "lighttpd-example", "direct"], indirect=True)
def test_headers(loop, where):
    """The response's headers keep proxies and caches out of the way, and are tornado-sse's."""
    stream = loop.live(where, "all")
    assert stream.headers["content-type"].replace(" ", "").lower() == "text/event-stream;charset=utf-8"
    assert {"no-cache", "no-transform"} <= {
        v.strip() for v in stream.headers["cache-control"].split(",")}
    assert stream.headers["access-control-allow-origin"] == "*"
    if where.speaks == "fcgi":
        assert stream.headers["x-accel-buffering"] == "no"


def test_first_block_is_retry_and_floor(redis, fcgi_sse, loop):
    """A stream begins with one block that holds retry: and the position FLOOR, which is the clock."""
    [first] = publish_ids(redis, "all", "before")
    stream = loop.live(fcgi_sse, "all")
    assert stream.retry_ms == 3000
    assert stream.floor == str(first) == str(clock(redis))
    position = "id: %d\nevent: stream-position\ndata: %d\n\n" % (first, first)
    stream.wait_for(lambda s: len(s.positions) == 2)  # FLOOR and CLOCK
    assert stream.text == "retry: 3000\n" + 2 * position


def test_floor_in_an_empty_store(fcgi_sse, loop, redis):
    """Where nothing was ever published FLOOR is 0, and a resume from it is exact."""
    stream = loop.live(fcgi_sse, "all")
    assert stream.floor == "0" and stream.last_id == "0"
    stream.close()
    redis.publish("all", "missed")
    again = loop.live(fcgi_sse, "all", last_event_id=stream.last_id)
    assert again.wait_data(1) == ["missed"] and not again.resets


def test_retry_option(redis, start_fcgi_sse, loop):
    """--retry is what retry: says."""
    assert loop.live(start_fcgi_sse(redis, "--retry=1234"), "all").retry_ms == 1234


def test_default_channel(redis, fcgi_sse, loop):
    """Without ?channels= it is the channel "sse"."""
    stream = loop.live(fcgi_sse)
    redis.publish("other", "no")
    redis.publish("sse", "yes")
    assert stream.wait_data(1) == ["yes"]


@pytest.mark.parametrize("query", [
    "channels=all,foo", "channels=all&channels=foo", "channels=%20all%20,%20foo",
    "channels=all%2Cfoo", "channels=+all,foo+", "x=1&channels=all,foo&y=2", "channels=all,foo,all"])
def test_channels_parameter(redis, fcgi_sse, loop, query):
    """channels: comma-separated, percent-decoded, blanks stripped, may be repeated; no event twice."""
    stream = loop.live(fcgi_sse, query=query)
    for channel, text in [("all", "one"), ("foo", "two"), ("other", "no"), ("all", "three")]:
        publish_ids(redis, channel, text)
    assert stream.wait_data(3) == ["one", "two", "three"]


def test_channel_in_utf8(redis, fcgi_sse, loop):
    """A channel's name is UTF-8."""
    stream = loop.live(fcgi_sse, "größe€")
    publish_ids(redis, "größe€", "angekommen")
    redis.publish("größe€", "auch")
    assert stream.wait_data(2) == ["angekommen", "auch"]


def test_heartbeat_comment(redis, start_fcgi_sse, loop):
    """In silence a comment comes each heartbeat interval, one line and no empty one, and moves nothing."""
    stream = loop.live(start_fcgi_sse(redis, "--heartbeat=1"), "all")
    before = stream.last_id
    at_first = len(stream.comments)
    stream.wait_for(lambda s: len(s.comments) >= at_first + 3)
    assert stream.last_id == before and not stream.all_events
    assert stream.text.rstrip(":\n") + "\n\n" + ":\n" * len(stream.comments) == stream.text


def test_heartbeat_event(redis, start_fcgi_sse, loop):
    """?heartbeat=event: an event with the interval as data and no id, also in the first block."""
    stream = loop.live(start_fcgi_sse(redis, "--heartbeat=1"), "all", query={"heartbeat": "event"})
    stream.wait_for(lambda s: len(s.all_events) >= 3)
    assert {(e.type, e.data, e.id) for e in stream.all_events} == {("stream-heartbeat", "1", None)}
    publish_ids(redis, "all", "x")
    assert stream.wait_data(1) == ["x"]
    first = loop.live(start_fcgi_sse(redis, "--heartbeat=600"), "all", query={"heartbeat": "event"})
    first.wait_for(lambda s: s.all_events)
    assert first.all_events[0][:3] == ("stream-heartbeat", "600", None)


def test_where_a_heartbeat_event_stands(redis, start_fcgi_sse, loop):
    """With ?heartbeat=event one follows the first position, and no other."""
    before, first = publish_ids(redis, "--lines", "all", stdin=b"before\n1\n")
    [newest] = publish_ids(redis, "other", "the clock goes on")
    stream = loop.live(start_fcgi_sse(redis, "--heartbeat=600"), "all",
                       query={"heartbeat": "event", "lastEventId": str(before)})
    redis.publish("all", "2")
    stream.wait_data(2)
    position = "id: %d\nevent: stream-position\ndata: %d\n\n"
    assert stream.text == "retry: 3000\n%sevent: stream-heartbeat\ndata: 600\n\nid: %d\ndata: 1\n\n%s%s" % (
        position % (before, before), first, position % (newest, newest), history(redis, "all")[-1][3].decode())


def test_heartbeat_event_in_a_busy_stream(redis, start_fcgi_sse, loop):
    """Heartbeats that are events come though the stream is not silent: page code hears only the names that it asked for."""
    stream = loop.live(start_fcgi_sse(redis, "--heartbeat=1"), "all", query={"heartbeat": "event"})
    began = time.monotonic()
    while time.monotonic() - began < 3.5:
        publish_ids(redis, "--event=unheard", "all", "x")
        stream.wait_for(lambda s: s.events[-1:] and int(s.events[-1].id) == clock(redis))
    beats = [e for e in stream.all_events if e.type == "stream-heartbeat"]
    assert 3 <= len(beats) <= 5, beats


def test_max_lifetime(redis, start_fcgi_sse, loop):
    """A stream ends by itself after --max-lifetime give or take ten per cent, cleanly."""
    fcgi_sse = start_fcgi_sse(redis, "--max-lifetime=2")
    began = time.monotonic()
    streams = [loop.live(fcgi_sse, "all") for _ in range(4)]
    streams[0].wait_for(lambda s: s.ended)
    assert time.monotonic() - began > 1.5
    for stream in streams:
        assert stream.wait_end().ended == "clean"
    fcgi_sse.wait_streams(0)


@pytest.mark.own_process
def test_one_redis_connection_a_stream(redis, start_fcgi_sse, loop):
    """Each stream has one connection to Redis, and none is left when it is gone."""
    fcgi_sse = start_fcgi_sse(redis)
    before = len(redis.clients())
    streams = [loop.live(fcgi_sse, "all") for _ in range(10)]
    assert len(redis.clients()) == before + 10
    assert redis.client.pubsub_numsub("sse:event:all")[0][1] == 10
    for stream in streams:
        stream.close()
    wait_until(lambda: len(redis.clients()) == before, what="the connections to go")
    fcgi_sse.wait_streams(0)


def check_burst(streams, plain, recorded):
    """Each subscriber has each event once, each channel in order."""
    for stream in streams:
        assert not stream.resets
        by_channel = {"p": [], "r": []}
        for event in stream.events:
            by_channel[event.data[0]].append(event.data)
        assert by_channel["p"] == plain
        assert by_channel["r"] == recorded
        ids = [int(e.id) for e in stream.events]
        assert ids == sorted(set(ids))


@pytest.mark.own_process  # a client that is slow on a busy machine may be sent back, and these do not come back
@pytest.mark.parametrize("where", ["direct", "nginx-example"], indirect=True)
def test_burst_to_fifty_subscribers(redis, run, folder, loop, where):
    """50 subscribers, 10,000 events as fast as Redis takes them, half by plain PUBLISH: once, in order."""
    count, subscribers = 5000, 50
    streams = [loop.live(where, "plain,recorded") for _ in range(subscribers)]
    for stream in streams:
        stream.keep_raw = False
    plain = ["p%d" % i for i in range(count)]
    recorded = ["r%d %s" % (i, "x" * 80) for i in range(count)]
    commands = folder.write("pipe", redis_pipe(("PUBLISH", "plain", text) for text in plain))
    lines = folder.write("lines", "\n".join(recorded) + "\n")
    with open(commands, "rb") as one, open(lines, "rb") as other:
        pipe = run("redis-cli", ["redis-cli", "-s", redis.path, "--pipe"], stdin=one)
        publish = run("sse-publish", [SSE_PUBLISH_BIN, "--lines", "recorded"], stdin=other,
                      env=redis_environment(redis))
    for stream in streams:
        stream.wait_for(lambda s: len(s.events) >= 2 * count or s.resets, 60)
    assert pipe.wait() == 0 and publish.wait() == 0
    check_burst(streams, plain, recorded)


def test_two_channels_in_one_publish(redis, fcgi_sse, loop):
    """sse-publish a,b: both channels have the event."""
    one, two = loop.live(fcgi_sse, "a"), loop.live(fcgi_sse, "b")
    sse_publish(redis, "a,b", "both")
    assert one.wait_data(1) == two.wait_data(1) == ["both"]


@pytest.mark.parametrize("server", SERVERS)
def test_client_that_left_is_noticed_in_silence(redis, start_fcgi_sse, web, loop, server):
    """Behind nginx and the lighttpd example a client that left is noticed while nothing is written, not even a heartbeat."""
    fcgi_sse = start_fcgi_sse(redis, "--heartbeat=600")
    stream = loop.live(web(server, fcgi_sse), "all")
    fcgi_sse.wait_streams(1)
    stream.close()
    fcgi_sse.wait_streams(0)


def test_a_thousand_leave_nothing_behind(redis, start_fcgi_sse, web, loop):
    """After 1,000 connects and leaves, processes, descriptors and Redis clients are what they were."""
    fcgi_sse = start_fcgi_sse(redis)
    nginx = web("nginx-example", fcgi_sse)

    def count():
        kept = len(fcgi_sse.carriers())  # those stay for a while, each with a connection to Redis
        return (len(fcgi_sse.children()) - kept, descriptors_of(fcgi_sse.pid), len(redis.clients()) - kept)

    loop.live(nginx, "all").close()
    fcgi_sse.wait_responders(0)
    before = count()
    for round_ in range(20):
        where = nginx if round_ % 2 else fcgi_sse
        streams = [loop.open(where, "all") for _ in range(50)]
        for number, stream in enumerate(streams):
            if number % 3:  # the others leave before they have an answer
                stream.wait_open()
            stream.close()
    fcgi_sse.wait_responders(0)
    wait_until(lambda: count() == before, what=lambda: "%r, is %r" % (before, count()))


class HoldingProxy:
    """One Redis connection; from the EXEC of a take on, answers wait until they are let go, all in one write."""

    def __init__(self, path, target):
        self.held, self.is_held, self.target = b"", False, target
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(1)
        threading.Thread(target=self._pass, daemon=True).start()

    def _pass(self):
        self.client, server = self.listener.accept()[0], socket.socket(socket.AF_UNIX)
        server.connect(self.target)
        while True:
            for sock in select.select([self.client, server], [], [])[0]:
                got = sock.recv(65536)
                if not got:
                    return
                if sock is self.client:
                    self.is_held = self.is_held or b"EXEC" in got
                    server.sendall(got)
                elif self.is_held:
                    self.held += got
                else:
                    self.client.sendall(got)

    def let_go(self):
        self.is_held, held = False, self.held
        self.client.sendall(held)


@pytest.mark.own_process  # the proxy takes one connection
def test_a_record_in_the_same_read_as_the_take(redis, start_fcgi_sse, loop, folder):
    """A record that arrives together with the take's answer is sent at once, and not when something else comes."""
    proxy = HoldingProxy(folder / "proxy.sock", redis.path)
    start_fcgi_sse(redis)  # who records is known: one take is enough
    fcgi_sse = start_fcgi_sse(redis, "--redis=unix://" + folder / "proxy.sock", "--record=none", "--heartbeat=600")
    stream = loop.open(fcgi_sse, "all")
    wait_until(lambda: b"subscribe" in proxy.held)
    publish_ids(redis, "all", "x")
    wait_until(lambda: b"data: x" in proxy.held)
    proxy.let_go()
    assert stream.wait_open().wait_data(1) == ["x"]
