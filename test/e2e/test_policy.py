# SPDX-License-Identifier: ISC
"""Who may read what, and what an impossible request is told."""
import pytest

from processes import publish_ids, quote, wait_until

# what the log says when it refuses a request
REFUSED = r"SSE_|REMOTE_USER|channel|request|param|query|method|role|cursor|Last-Event-ID"


@pytest.fixture
def fcgi_sse(redis, start_fcgi_sse):
    return start_fcgi_sse(redis).expect_log(REFUSED)


def check_refused(answer, *statuses):
    """A 4xx with a sentence, that is no event stream."""
    assert answer.status in statuses, answer.describe()
    assert answer.ended == "clean", answer.describe()
    assert not answer.is_event_stream()
    assert len(answer.text.split()) >= 3, "a sentence: %r" % answer.text
    return answer


BAD_CHANNELS = ["*", "a*b", "a?b", "[a]", "{x}", "{http.reverse_proxy.header.X-Sse-Channels}", "a\\b",
                "a b", "a\tb", "a\nb", "a\0b", "a\u00a0b", "a\u2028b", "\x7f", "__keyspace@0__:x",
                "sse:event:all", "sse:recorder", "sse:", "x" * 129, "\u20ac" * 43]


@pytest.mark.parametrize("name", BAD_CHANNELS)
def test_bad_channel_name(fcgi_sse, loop, name):
    """No channel's name: 400 (or 403 for our own and Redis' names) with a sentence."""
    check_refused(loop.fetch(fcgi_sse, query="channels=" + quote(name)), 400, 403)
    check_refused(loop.fetch(fcgi_sse, query="channels=good," + quote(name)), 400, 403)
    if "\0" not in name:  # to libfcgi a variable ends there
        check_refused(loop.fetch(fcgi_sse, params={"SSE_CHANNELS": name}), 400, 403)


def test_longest_channel_name(redis, fcgi_sse, loop):
    """128 bytes are a name."""
    stream = loop.live(fcgi_sse, "x" * 128)
    publish_ids(redis, "x" * 128, "y")
    stream.wait_data(1)


@pytest.mark.parametrize("query", ["channels=%ff", "channels=%c0%af", "channels=%4", "channels=%", "channels=%zz",
                                   "channels=a%", "channels=a&lastEventId=%zz", "channels=a,b%0"])
def test_bad_escape(fcgi_sse, loop, query):
    """A broken percent escape or no UTF-8: 400."""
    check_refused(loop.fetch(fcgi_sse, query=query), 400)


@pytest.mark.parametrize("query", ["", "channels=", "channels=,", "channels=%20", "channels=,,a,"])
def test_empty_names(fcgi_sse, loop, query):
    """Nothing named, or names that are empty, is never a crash and never another's channel."""
    answer = loop.open(fcgi_sse, query=query).wait_for(lambda s: s.ended or s.floor)
    assert answer.status in (200, 400), answer.describe()


def test_ten_thousand_channels(fcgi_sse, loop, web):
    """10,000 channels: 413 or 414 with a sentence, also through nginx."""
    names = ["c%d" % i for i in range(10000)]
    check_refused(loop.fetch(fcgi_sse, names), 413, 414)
    # nginx itself stops at 64 KiB of variables, among which the query is twice
    check_refused(loop.fetch(web("nginx", fcgi_sse), names[:3000]), 413, 414)


def test_max_channels(redis, start_fcgi_sse, loop):
    """--max-channels is the most a stream may have; 64 by default."""
    fcgi_sse = start_fcgi_sse(redis).expect_log(REFUSED)
    loop.live(fcgi_sse, ["c%d" % i for i in range(64)])
    check_refused(loop.fetch(fcgi_sse, ["c%d" % i for i in range(65)]), 413, 414)
    fcgi_sse = start_fcgi_sse(redis, "--max-channels=2").expect_log(REFUSED)
    loop.live(fcgi_sse, "a,b")
    check_refused(loop.fetch(fcgi_sse, "a,b,c"), 413, 414)


def test_long_query(fcgi_sse, loop, web):
    """A query of 64 KiB: 413 or 414."""
    for where in (fcgi_sse, web("nginx-example", fcgi_sse)):
        check_refused(loop.fetch(where, query="channels=all&x=" + "y" * 65536), 413, 414)


@pytest.mark.parametrize("cursor", ["9" * 100, "9" * 5000, "x" * 60000, "\xff\xfe", "1,2"])
def test_strange_last_event_id(redis, fcgi_sse, loop, cursor):
    """An over-long or strange Last-Event-ID: "unknown" or a 4xx with a sentence, never silence."""
    stream = loop.open(fcgi_sse, "all", last_event_id=cursor)
    stream.wait_for(lambda s: s.resets or s.ended)
    if stream.status == 200:
        assert stream.resets[0]["reason"] == "unknown"
    else:
        check_refused(stream, 400, 413, 414)


@pytest.mark.parametrize("query", ["last=x", "last=-1", "since=x", "since=-5", "heartbeat=x", "last=" + "9" * 50])
def test_strange_start(fcgi_sse, loop, query):
    """A start in the past that is not a number is a 400 or left aside, never a crash."""
    stream = loop.open(fcgi_sse, query="channels=all&" + query).wait_for(lambda s: s.floor or s.ended)
    assert stream.status in (200, 400)


# ---- SSE_ALLOW and SSE_CHANNELS

@pytest.mark.parametrize("allow,channel,good", [
    ("*", "anything", True), ("all", "all", True), ("all", "foo", False), ("all,foo", "foo", True),
    ("news.*", "news.x", True), ("news.*", "news", False), ("news.?", "news.xy", False),
    ("[ab]x", "bx", True), ("[ab]x", "cx", False), ("a, b", "b", True), ("news.*", "all", False)])
def test_allow(redis, fcgi_sse, loop, allow, channel, good):
    """SSE_ALLOW: glob patterns that ?channels= may ask for; what matches none is 403."""
    params = {"SSE_ALLOW": allow}
    if good:
        stream = loop.live(fcgi_sse, channel, params=params)
        publish_ids(redis, channel, "x")
        assert stream.wait_data(1) == ["x"]
    else:
        check_refused(loop.fetch(fcgi_sse, channel, params=params), 403)
        check_refused(loop.fetch(fcgi_sse, [channel, allow.split(",")[0].replace("*", "x")], params=params), 400, 403)


def test_allow_without_channels(fcgi_sse, loop):
    """Without ?channels= the default channel is subject to SSE_ALLOW, too."""
    check_refused(loop.fetch(fcgi_sse, params={"SSE_ALLOW": "all"}), 403)


def test_channels_of_the_location(redis, fcgi_sse, loop):
    """SSE_CHANNELS decides; ?channels= may narrow it and never widen."""
    params = {"SSE_CHANNELS": "a, b"}
    both = loop.live(fcgi_sse, params=params)
    narrow = loop.live(fcgi_sse, "b", params=params)
    for channel in "abc":
        publish_ids(redis, channel, channel)
    assert both.wait_data(2) == ["a", "b"]
    assert narrow.wait_data(1) == ["b"]
    check_refused(loop.fetch(fcgi_sse, "c", params=params), 403)
    wider = loop.open(fcgi_sse, "b,c", params=params).wait_for(lambda s: s.ended or s.floor)
    if wider.status == 200:
        publish_ids(redis, "c", "c")
        publish_ids(redis, "b", "b")
        assert wider.wait_data(1) == ["b"]
    else:
        check_refused(wider, 403)


@pytest.mark.parametrize("user", ["REMOTE_USER", "SSE_USER"])
def test_user_in_a_channel_name(redis, fcgi_sse, loop, user):
    """%u is the authenticated user."""
    stream = loop.live(fcgi_sse, params={"SSE_CHANNELS": "user:%u,all", user: "alice"})
    for channel in ("user:bob", "user:alice", "all"):
        publish_ids(redis, channel, channel)
    assert stream.wait_data(2) == ["user:alice", "all"]


def test_the_servers_user_wins(redis, fcgi_sse, loop):
    """SSE_USER, which only the web server can set, stands before REMOTE_USER, which a client may have chosen."""
    stream = loop.live(fcgi_sse, params={"SSE_CHANNELS": "user:%u", "SSE_USER": "alice", "REMOTE_USER": "admin"})
    for channel in ("user:admin", "user:alice"):
        publish_ids(redis, channel, channel)
    assert stream.wait_data(1) == ["user:alice"]


@pytest.mark.parametrize("user", [None, "", "a,b", "a*", "{x}", "a b", "a\nb", "x" * 129, "\xff\xff"[:0] + "%2c,"])
def test_no_valid_user(fcgi_sse, loop, user):
    """%u without a user, or with one that is no piece of a channel name (a comma!): 403."""
    params = {"SSE_CHANNELS": "user:%u,all"}
    if user is not None:
        params["REMOTE_USER"] = user
    check_refused(loop.fetch(fcgi_sse, params=params), 403)
    check_refused(loop.fetch(fcgi_sse, "all", params=params), 403)


def test_a_client_cannot_set_the_policy(redis, fcgi_sse, loop, web):
    """Headers named like the variables change nothing."""
    nginx = web("nginx", fcgi_sse, "fastcgi_param SSE_CHANNELS all;")
    headers = {"SSE-CHANNELS": "secret", "Sse_Channels": "secret", "SSE-ALLOW": "*", "Remote-User": "root"}
    check_refused(loop.fetch(nginx, "secret", headers=headers), 403)


@pytest.mark.parametrize("name", ["SSE_ROLE", "SSE_CHANNELS", "SSE_ALLOW", "SSE_ORIGIN", "SSE_SESSION_COOKIE",
                                  "SSE_USER", "SSE_SOMETHING"])
def test_empty_or_twice(fcgi_sse, loop, name):
    """Any SSE_* that is set but empty, or arrives twice, is 403 and one log line."""
    good = {"SSE_ROLE": "subscribe", "SSE_ORIGIN": "*", "SSE_SESSION_COOKIE": "id"}.get(name, "all")
    for params in ([(name, "")], [(name, good), (name, good)], [(name, good), (name, "other")],
                   [(name, good), (name, "")]):
        lines = len(fcgi_sse.stderr().splitlines())
        check_refused(loop.fetch(fcgi_sse, "all", params=params), 403)
        fcgi_sse.ready(lambda n=lines: len(fcgi_sse.stderr().splitlines()) > n)
        new = fcgi_sse.stderr().splitlines()[lines:]
        assert len(new) == 1 and name in new[0], new


@pytest.mark.parametrize("role", ["publish", "status", "Subscribe", "subscribe ", "nonsense"])
def test_role_that_is_not_served(fcgi_sse, loop, role):
    """Another role than "subscribe" opens no stream, and is not said to be open to other origins; the log names it."""
    answer = loop.fetch(fcgi_sse, "all", params={"SSE_ROLE": role}, headers={"Origin": "https://example.org"})
    check_refused(answer, 403)
    assert b"not set up right" in answer.raw and "access-control-allow-origin" not in answer.headers
    fcgi_sse.ready(lambda: "SSE_ROLE is '%s'" % role in fcgi_sse.stderr(), 2)


# ---- methods and CORS

def test_options(fcgi_sse, loop):
    """OPTIONS is answered, with CORS, and opens no stream."""
    answer = loop.fetch(fcgi_sse, "all", method="OPTIONS", headers={
        "Origin": "https://example.org", "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "last-event-id"})
    assert answer.status in (200, 204) and not answer.raw
    assert answer.headers["access-control-allow-origin"] in ("*", "https://example.org")
    assert "GET" in answer.headers["access-control-allow-methods"]
    assert "last-event-id" in answer.headers["access-control-allow-headers"].lower()
    fcgi_sse.wait_streams(0)


@pytest.mark.parametrize("server", ["direct", "nginx-example", "lighttpd-example"])
def test_head(fcgi_sse, loop, web, server):
    """HEAD runs the whole policy and opens no stream."""
    where = fcgi_sse if server == "direct" else web(server, fcgi_sse)
    answer = loop.open(where, "all", method="HEAD").wait_for(lambda s: s.status)
    assert answer.status == 200 and answer.is_event_stream()
    fcgi_sse.wait_streams(0)
    assert not answer.raw
    assert loop.open(where, query="channels=a*b", method="HEAD").wait_for(lambda s: s.status).status in (400, 403)
    fcgi_sse.wait_streams(0)


def test_head_is_refused(fcgi_sse, loop):
    """HEAD of what may not be read is 403."""
    answer = loop.fetch(fcgi_sse, "foo", method="HEAD", params={"SSE_ALLOW": "all"})
    assert answer.status == 403 and not answer.raw


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "FOO", "get", ""])
def test_other_methods(fcgi_sse, loop, method):
    """Other methods: 405 with Allow."""
    answer = loop.fetch(fcgi_sse, "all", method=method, body=b"x" * 100000 if method == "POST" else None)
    if not method:
        assert answer.status in (400, 405)
        return
    check_refused(answer, 405)
    assert {"GET", "HEAD", "OPTIONS"} <= {m.strip() for m in answer.headers["allow"].split(",")}


def test_post_through_servers(fcgi_sse, loop, web):
    """A POST with a body through nginx and lighttpd is 405, too."""
    for kind in ("nginx-example", "lighttpd-example"):
        answer = loop.fetch(web(kind, fcgi_sse), "all", method="POST", body=b"x" * 100000)
        assert answer.status == 405 and "GET" in answer.headers["allow"]


def test_origin(fcgi_sse, loop):
    """SSE_ORIGIN: the origins for CORS; by default * without credentials."""
    def origin(allowed, asked):
        params = {"SSE_ORIGIN": allowed} if allowed else {}
        stream = loop.live(fcgi_sse, "all", params=params, headers={"Origin": asked} if asked else {})
        stream.close()
        assert "access-control-allow-credentials" not in stream.headers or stream.headers.get(
            "access-control-allow-origin") not in (None, "*")
        return stream.headers.get("access-control-allow-origin")

    assert origin(None, None) == "*"
    assert origin(None, "https://a.example") == "*"
    assert origin("https://a.example,https://b.example", "https://b.example") == "https://b.example"
    assert origin("https://a.example", "https://evil.example") in (None, "https://a.example")
    assert origin("https://a.example", "https://a.example.evil") in (None, "https://a.example")
    assert origin("HTTPS://A.example:8443 null", "https://a.example:8443") == "https://a.example:8443"
    assert origin("HTTPS://A.example:8443 null", "null") == "null"


@pytest.mark.parametrize("allowed, instead", [
    ("https://a.example/", "write https://a.example"), ("https://a.example:443", "write https://a.example"),
    ("http://a.example:80", "write http://a.example"), ("a.example", "write https://a.example"),
    ("https://*.example", "write each origin"), ('["https://a.example"]', "write the bare origins"),
    ("https://b.example https://a.example/app", "write https://a.example")])
def test_origin_that_can_never_match(fcgi_sse, loop, allowed, instead):
    """A SSE_ORIGIN that no browser sends is 403, for a preflight too; the log says what to write instead."""
    for method in ("GET", "OPTIONS"):
        answer = loop.fetch(fcgi_sse, "all", method=method, params={"SSE_ALLOW": "*", "SSE_ORIGIN": allowed},
                            headers={"Origin": "https://a.example"})
        check_refused(answer, 403)
        assert b"not set up right" in answer.raw and "access-control-allow-origin" not in answer.headers
    fcgi_sse.wait_log(r"SSE_ORIGIN .*%s\b" % instead)


def test_header_that_does_not_fit(fcgi_sse, loop):
    """A listed origin that is longer than a whole header may be: an answer, not the end of a responder."""
    fcgi_sse.expect_log("the client is told to come back")
    origin = "https://" + ".".join(["a" * 60] * 70)
    answer = loop.fetch(fcgi_sse, "all", params={"SSE_ORIGIN": origin}, headers={"Origin": origin})
    assert answer.ended == "clean" and answer.retry_ms >= 5000


def test_max_streams(redis, start_fcgi_sse, loop):
    """No free slot: EventSource gets 200, a random retry:, and the end; others 503; a client that left makes room."""
    fcgi_sse = start_fcgi_sse(redis, "--max-streams=3").expect_log(r"stream")
    streams = [loop.live(fcgi_sse, "all") for _ in range(3)]
    full = loop.fetch(fcgi_sse, "all")
    assert full.status == 200 and 5000 <= full.retry_ms <= 15000 and full.comments
    assert full.last_id == "" and full.ended == "clean"
    refused = loop.fetch(fcgi_sse, "all", accept=None)
    assert refused.status == 503 and int(refused.headers["retry-after"]) > 0
    streams[0].close()
    fcgi_sse.wait_streams(2)
    # the parent hears of the end a moment later
    wait_until(lambda: loop.open(fcgi_sse, "all").wait_for(lambda s: s.floor or s.ended).floor, what="a free slot")
    streams[1].wait_for(lambda s: not s.ended)
