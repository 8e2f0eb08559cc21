# SPDX-License-Identifier: ISC
"""A session's record in Redis names the channels: read at the start and again
in every take, so that a logout ends the stream."""
import hashlib
import json
import os

import pytest

from processes import STREAMS_SHARE, TOP, history, publish_ids, wait_until
from returning import Returning
from test_policy import check_refused

LOG = r"session"
TOKEN = "abcdefghijklmnop-0123456789"
LOCATION = {"SSE_SESSION_COOKIE": "sid"}


def key_of(token=TOKEN, prefix="sse:"):
    return prefix + "session:" + hashlib.sha256(token.encode()).hexdigest()


def login(redis, channels, token=TOKEN, user="tug", ttl=100, notify=False):
    """As an application does: the record first, the message after."""
    key = key_of(token)
    redis.client.set(key, json.dumps({"user": user, "channels": channels}), ex=ttl)
    if notify:
        redis.client.publish(key, "0 0 p\n")


def logout(redis, token=TOKEN, notify=True):
    redis.client.delete(key_of(token))
    if notify:
        redis.client.publish(key_of(token), "0 0 p\n")


def cookie(value=TOKEN):
    return {"Cookie": "a=b; sid=%s; c=d" % value}


class Session(Returning):
    """A client with that cookie.  Where streams share a process, one whose record has changed is sent back."""

    ids = property(lambda self: [e.id for e in self.events])

    def __init__(self, loop, where, is_live=True):
        super().__init__(loop, where, None, params=LOCATION, headers=cookie())
        if is_live:
            self.wait_live()

    def check_ends(self):
        assert not self.ends or STREAMS_SHARE and set(self.ends) == {"clean"}, self.describe()


@pytest.fixture
def fcgi_sse(redis, start_fcgi_sse):
    return start_fcgi_sse(redis, "--heartbeat=1").expect_log(LOG)


def check_ends(stream):
    stream.wait_end()
    last = stream.all_events[-1]
    assert (last.type, json.loads(last.data)) == ("stream-end", {"reason": "session"})


@pytest.mark.parametrize("quotes", ["%s", '"%s"'])
def test_own_channels(redis, fcgi_sse, loop, quotes):
    """A session reads the channels of its record and no others; quotes round the cookie do not matter."""
    login(redis, ["tug", "all"])
    stream = loop.live(fcgi_sse, params=LOCATION, headers=cookie(quotes % TOKEN))
    for channel in ("other", "tug", "all", "sse"):
        publish_ids(redis, channel, channel)
    assert stream.wait_data(2) == ["tug", "all"]
    stream = loop.live(fcgi_sse, "all", params=LOCATION, headers=cookie(), last_event_id=0)
    assert stream.wait_data(1) == ["all"], "the query narrows"
    check_refused(loop.fetch(fcgi_sse, "all,other", params=LOCATION, headers=cookie()), 403)


@pytest.mark.parametrize("headers", [
    {}, {"Cookie": ""}, {"Cookie": "other=" + TOKEN}, {"Cookie": "Sid=" + TOKEN}, {"Cookie": "sid"},
    {"Cookie": "sid=" + TOKEN + "x"},
    {"Cookie": "sid=%s; sid=%s" % (TOKEN, TOKEN)}, {"Cookie": "xsid=%s" % TOKEN},
    {"Cookie": "a=sid=" + TOKEN}, {"Cookie": "sid=*" + TOKEN}, {"Cookie": "sid=\r\n" + TOKEN}])
def test_no_session(redis, fcgi_sse, loop, headers):
    """No cookie, an unknown one, a hostile one, or two of the name: 403 and no stream's header."""
    login(redis, ["tug", "all"])
    fcgi_sse.expect_log("several session cookies")
    answer = loop.fetch(fcgi_sse, params=LOCATION, headers=headers)
    check_refused(answer, 403)
    assert TOKEN not in fcgi_sse.stderr()


@pytest.mark.parametrize("length, is_read", [(15, False), (16, True), (4096, True), (4097, False)])
def test_length_of_the_cookie(redis, fcgi_sse, loop, length, is_read):
    """A cookie that is too short to be a secret, or too long to be a cookie, is no session even if it has a record."""
    token = "x" * length
    login(redis, ["all"], token=token)
    if is_read:
        loop.live(fcgi_sse, params=LOCATION, headers=cookie(token))
    else:
        check_refused(loop.fetch(fcgi_sse, params=LOCATION, headers=cookie(token)), 403)


def test_two_cookie_variables(redis, fcgi_sse, loop):
    """nginx sends a variable for each Cookie header: a second session cookie is seen there, too."""
    login(redis, ["all"])
    login(redis, ["other"], token="y" * 20)
    fcgi_sse.expect_log("several session cookies")
    twice = [("SSE_SESSION_COOKIE", "sid"), ("HTTP_COOKIE", "sid=" + TOKEN), ("HTTP_COOKIE", "sid=" + "y" * 20)]
    check_refused(loop.fetch(fcgi_sse, params=twice), 403)
    apart = [("SSE_SESSION_COOKIE", "sid"), ("HTTP_COOKIE", "a=b"), ("HTTP_COOKIE", "sid=" + TOKEN)]
    loop.live(fcgi_sse, params=apart)


@pytest.mark.parametrize("known", ["first", "last", "both", "none", "one, short other"])
def test_two_cookies_of_one_name(redis, fcgi_sse, loop, known):
    """Of two cookies of one name (a parent domain's) the one that has a record counts, if exactly one has."""
    other = "y" * (8 if "short" in known else 20)
    fcgi_sse.expect_log("several session cookies")
    if known != "none":
        login(redis, ["all"])
    if known == "both":
        login(redis, ["all"], token=other)
    values = [other, TOKEN] if known == "last" else [TOKEN, other]
    headers = {"Cookie": "; ".join("sid=" + v for v in values)}
    if known in ("both", "none"):
        check_refused(loop.fetch(fcgi_sse, params=LOCATION, headers=headers), 403)
        fcgi_sse.wait_log("several session cookies of the same name, and %s" % ("more" if known == "both" else "none"))
        assert loop.fetch(fcgi_sse, params=LOCATION, headers=headers, method="HEAD").status == 403
    else:
        stream = loop.live(fcgi_sse, params=LOCATION, headers=headers)
        publish_ids(redis, "all", "one")
        assert stream.wait_data(1) == ["one"]
        assert loop.fetch(fcgi_sse, params=LOCATION, headers=headers, method="HEAD").status == 200
        logout(redis)
        check_ends(stream)
    assert TOKEN not in fcgi_sse.stderr()


def test_many_cookies_of_one_name(redis, fcgi_sse, loop):
    """Nobody has us look through any number of cookies."""
    login(redis, ["all"])
    headers = {"Cookie": "; ".join("sid=%020d" % i for i in range(4)) + "; sid=" + TOKEN}
    check_refused(loop.fetch(fcgi_sse, params=LOCATION, headers=headers), 403)


@pytest.mark.parametrize("record", [
    "", "null", "[]", "{}", '{"user":"tug"}', '{"channels":[]}', '{"channels":"all"}', '{"channels":["all",1]}',
    '{"channels":["all","a,b"]}', '{"channels":["all","*"]}', '{"channels":["sse:event:x"]}',
    '{"channels":["all\\u0000x"]}', '{"channels":["all"]', '{"channels":["all"],"x":"%s"}' % ("x" * 65536),
    '{"channels":["all"]} x', '{"channels":["a"],"channels":["all"]}', '{"user":1,"channels":["all"]}',
    json.dumps({"channels": ["c%d" % i for i in range(65)]})], ids=range(18))
def test_broken_record(redis, fcgi_sse, loop, record):
    """A record that cannot be used is 403 and one line in the log."""
    redis.client.set(key_of(), record)
    check_refused(loop.fetch(fcgi_sse, params=LOCATION, headers=cookie()), 403)
    lines = [line for line in fcgi_sse.stderr().splitlines() if "session's record" in line]
    assert len(lines) == 1 and TOKEN not in lines[0]


def test_intersection(redis, fcgi_sse, loop):
    """With SSE_CHANNELS too, a stream reads what both name."""
    login(redis, ["tug", "all"])
    both = dict(LOCATION, SSE_CHANNELS="all,news")
    stream = loop.live(fcgi_sse, params=both, headers=cookie())
    for channel in ("tug", "news", "all"):
        publish_ids(redis, channel, channel)
    assert stream.wait_data(1) == ["all"]
    check_refused(loop.fetch(fcgi_sse, params=dict(LOCATION, SSE_CHANNELS="news"), headers=cookie()), 403)


def test_logout_ends_the_stream(redis, start_fcgi_sse, loop):
    """A logout ends the streams of that session at once and no other's, and nothing comes after it."""
    fcgi_sse = start_fcgi_sse(redis, "--heartbeat=300").expect_log(LOG)
    other = "another-session-of-somebody"
    login(redis, ["tug", "all"])
    login(redis, ["all"], token=other)
    streams = [loop.live(fcgi_sse, params=LOCATION, headers=cookie()) for _ in range(3)]
    stays = loop.live(fcgi_sse, params=LOCATION, headers=cookie(other))
    logout(redis)
    publish_ids(redis, "all", "late")
    for stream in streams:
        check_ends(stream)
        assert stream.data == []
    assert stays.wait_data(1) == ["late"] and not stays.ended
    check_refused(loop.fetch(fcgi_sse, params=LOCATION, headers=cookie()), 403)


def ask_for_a_take(pipe):
    """As a recorder that comes or goes: each stream takes, and hears what follows while it does."""
    pipe.publish("sse:recorder", "0 0 r\nx")


@pytest.mark.parametrize("while_taking", [False, True], ids=["idle", "while it takes"])
def test_nothing_passes_behind_a_logout(redis, start_fcgi_sse, loop, while_taking):
    """Events that follow the logout in the same breath are not delivered, recorded or plain."""
    fcgi_sse = start_fcgi_sse(redis, "--heartbeat=300").expect_log(LOG)
    with open(os.path.join(TOP, "lua/publish.lua")) as f:
        script = f.read()
    for round_ in range(20):
        login(redis, ["all"])
        stream = loop.live(fcgi_sse, params=LOCATION, headers=cookie())
        pipe = redis.client.pipeline(transaction=False)
        if while_taking:
            ask_for_a_take(pipe)
        pipe.delete(key_of())
        pipe.publish(key_of(), "0 0 p\n")
        for i in range(3):
            pipe.eval(script, 6, "sse:clock", "sse:epoch", "sse:limits", "sse:recorder", "sse:history:all",
                      "sse:meta:all", "sse:event:", "p", "", "", "data: secret%d\n\n" % i, "all")
            pipe.publish("all", "secret")
        pipe.execute()
        check_ends(stream)
        assert stream.data == []
        # a plain message is live for the next stream until it is recorded
        wait_until(lambda: len(history(redis, "all")) == 6 * (round_ + 1))


def test_a_change_loses_nothing(redis, start_fcgi_sse, loop):
    """Events that follow a change of the record in the same breath come, once and in order."""
    fcgi_sse = start_fcgi_sse(redis, "--heartbeat=300").expect_log(LOG)
    login(redis, ["all"])
    client = Session(loop, fcgi_sse)
    ids = []
    for round_ in range(10):
        login(redis, ["all", "x%d" % round_], notify=True)
        ids += publish_ids(redis, "--lines", "all", stdin=b"a\nb\nc\n")
    loop.wait_for(lambda: len(client.data) >= 30, what=client.describe)
    assert client.ids == ids and not client.resets
    client.check_ends()


def test_a_notice_of_no_change_loses_nothing(redis, start_fcgi_sse, loop):
    """A record that was written again as it was: also a message that nobody records still comes, while a take is
    on its way."""
    fcgi_sse = start_fcgi_sse(redis, "--heartbeat=300", "--record=none").expect_log(LOG)
    login(redis, ["all"])
    stream = loop.live(fcgi_sse, params=LOCATION, headers=cookie())
    for i in range(10):
        login(redis, ["all"], notify=True)
        publish_ids(redis, "all", "recorded")
        stream.wait_data(2 * i + 1)
        pipe = redis.client.pipeline(transaction=False)
        ask_for_a_take(pipe)
        pipe.publish("all", "plain")
        pipe.execute()
        assert stream.wait_data(2 * i + 2)[-1] == "plain"


def test_a_silent_end_is_noticed(redis, fcgi_sse, loop):
    """A record that goes without a word, deleted or expired, ends the stream at the next check."""
    login(redis, ["all"])
    stream = loop.live(fcgi_sse, params=LOCATION, headers=cookie())
    logout(redis, notify=False)
    check_ends(stream)
    login(redis, ["all"], ttl=1)
    check_ends(loop.live(fcgi_sse, params=LOCATION, headers=cookie()))


def test_channels_change(redis, fcgi_sse, loop):
    """Other channels in the record: the stream goes on with them from where it was, without loss or repeat."""
    login(redis, ["a", "all"])
    client = Session(loop, fcgi_sse)
    ids = [publish_ids(redis, "all", "one")[0]]
    loop.wait_for(lambda: client.data == ["one"])
    ids += publish_ids(redis, "b", "two")  # before the change, after the cursor
    login(redis, ["b", "all"], notify=True)
    ids += publish_ids(redis, "b", "three")
    publish_ids(redis, "a", "not any more")
    ids += publish_ids(redis, "all", "four")
    loop.wait_for(lambda: "four" in client.data, what=client.describe)
    assert client.data == ["one", "two", "three", "four"]
    assert client.ids == ids and not client.resets
    login(redis, ["x"], notify=True)
    publish_ids(redis, "x", "five")
    loop.wait_for(lambda: "five" in client.data, what=client.describe)
    client.check_ends()


@pytest.mark.own_process  # from another it is sent back, and then refused
def test_a_change_that_is_broken_ends_the_stream(redis, fcgi_sse, loop):
    """A record that becomes unusable is as good as none."""
    login(redis, ["all"])
    stream = loop.live(fcgi_sse, params=LOCATION, headers=cookie())
    redis.client.set(key_of(), "{")
    redis.client.publish(key_of(), "x")
    check_ends(stream)
    lines = [line for line in fcgi_sse.stderr().splitlines() if "session's record" in line]
    assert len(lines) == 1 and "error" in lines[0]


@pytest.mark.own_process  # likewise
def test_a_narrowed_stream_loses_its_channel(redis, fcgi_sse, loop):
    """When the record no longer names what the query asked for, the stream ends."""
    login(redis, ["a", "b"])
    stream = loop.live(fcgi_sse, "a", params=LOCATION, headers=cookie())
    login(redis, ["b"], notify=True)
    check_ends(stream)


@pytest.mark.parametrize("record", ["narrowed", "broken"])
def test_a_shared_process_sends_back(redis, start_fcgi_sse, loop, record):
    """Where streams share a process one whose record has changed is sent back; its responder decides."""
    fcgi_sse = start_fcgi_sse(redis, "--streams-per-process=50", "--heartbeat=300").expect_log(LOG)
    login(redis, ["a", "b"])
    stream, other = [loop.live(fcgi_sse, c, params=LOCATION, headers=cookie()) for c in ("a", "b")]
    # in there, and not on their way in
    wait_until(lambda: fcgi_sse.carried() == 2 and not any(map(fcgi_sse.serves, fcgi_sse.responders())))
    if record == "narrowed":
        login(redis, ["b"], notify=True)
    else:
        redis.client.set(key_of(), "{")
        redis.client.publish(key_of(), "x")
    publish_ids(redis, "a,b", "secret")
    for s in (stream, other):
        s.wait_end()
        assert s.ended == "clean" and s.retry_ms <= 200 and not s.events, s.describe()
    check_refused(loop.fetch(fcgi_sse, "a", params=LOCATION, headers=cookie()), 403)


def test_revoked_between_reading_and_subscribing(redis, start_fcgi_sse, loop):
    """A record that changes while streams open: each ends up with the new channels or is refused, none keeps the
    old ones."""
    fcgi_sse = start_fcgi_sse(redis, "--heartbeat=300").expect_log(LOG)
    for round_ in range(15):
        login(redis, ["old"])
        clients = [Session(loop, fcgi_sse, is_live=False) for _ in range(6)]
        login(redis, ["new"], notify=True)
        publish_ids(redis, "old", "old%d" % round_)
        publish_ids(redis, "new", "new%d" % round_)
        for client in clients:
            client.wait_live()
        publish_ids(redis, "old", "secret")
        publish_ids(redis, "new", "done")
        for client in clients:
            loop.wait_for(lambda c=client: "done" in c.data, what=client.describe)
            assert "secret" not in client.data
            client.check_ends()
            client.leave()


def test_deleted_between_reading_and_subscribing(redis, start_fcgi_sse, loop):
    """A record that goes while streams open: each is refused or ends, none reads on."""
    fcgi_sse = start_fcgi_sse(redis, "--heartbeat=300").expect_log(LOG)
    for round_ in range(15):
        login(redis, ["all"])
        streams = [loop.open(fcgi_sse, params=LOCATION, headers=cookie()) for _ in range(6)]
        logout(redis)
        publish_ids(redis, "all", "secret")
        for stream in streams:
            stream.wait_end()
            assert stream.data == [], stream.describe()
            if stream.status != 403:
                check_ends(stream)


def test_wrong_type(redis, fcgi_sse, loop):
    """A key of another type is no record: 403, not an invitation to come back."""
    redis.client.hset(key_of(), "a", "b")
    check_refused(loop.fetch(fcgi_sse, params=LOCATION, headers=cookie()), 403)


def test_redis_that_refuses(redis, start_fcgi_sse, loop):
    """A Redis that does not let fcgi-sse read records says nothing about a session: the browser is to come back."""
    fcgi_sse = start_fcgi_sse(redis, "--record=none").expect_log("can't run this command")
    login(redis, ["all"])
    redis.client.execute_command("ACL", "SETUSER", "default", "-get")
    answer = loop.fetch(fcgi_sse, params=LOCATION, headers=cookie())
    assert answer.status == 200 and 5000 <= answer.parser.retry_ms <= 15000
    assert loop.fetch(fcgi_sse, params=LOCATION, headers=cookie(), accept=None).status == 503


def test_the_log_names_the_user(redis, start_fcgi_sse, loop):
    """With --debug the log names the user of a stream, never the token."""
    fcgi_sse = start_fcgi_sse(redis, "--debug").expect_log(LOG)
    login(redis, ["all"], user="tug")
    stream = loop.live(fcgi_sse, params=LOCATION, headers=cookie())
    logout(redis)
    check_ends(stream)
    said = fcgi_sse.stderr()
    assert "for tug" in said and "the stream of tug ends" in said and TOKEN not in said


def test_head_options_and_cors(redis, fcgi_sse, loop):
    """HEAD runs the whole policy; a preflight carries no cookie and is answered; CORS is closed unless listed."""
    check_refused_head = loop.fetch(fcgi_sse, params=LOCATION, method="HEAD")
    assert check_refused_head.status == 403
    login(redis, ["all"])
    assert loop.fetch(fcgi_sse, params=LOCATION, headers=cookie(), method="HEAD").status == 200
    assert loop.fetch(fcgi_sse, params=LOCATION, method="OPTIONS").status == 204
    origin = dict(cookie(), Origin="https://a.example")
    stream = loop.live(fcgi_sse, params=LOCATION, headers=origin)
    assert "access-control-allow-origin" not in {k.lower() for k in stream.headers}
    listed = dict(LOCATION, SSE_ORIGIN="https://a.example")
    stream = loop.live(fcgi_sse, params=listed, headers=origin)
    headers = {k.lower(): v for k, v in stream.headers.items()}
    assert headers["access-control-allow-origin"] == "https://a.example"
    assert headers["access-control-allow-credentials"] == "true"


def test_redis_away(redis, start_fcgi_sse, loop):
    """Redis away is no refusal: an EventSource is told to come back; an open stream outlives it."""
    fcgi_sse = start_fcgi_sse(redis, "--heartbeat=1").expect_log(LOG, r"Redis|reconnect|lost|refused|subscri|record")
    login(redis, ["all"], ttl=1000)
    stream = loop.live(fcgi_sse, params=LOCATION, headers=cookie())
    redis.stop()
    answer = loop.fetch(fcgi_sse, params=LOCATION, headers=cookie())
    assert answer.status == 200 and 5000 <= answer.parser.retry_ms <= 15000
    assert loop.fetch(fcgi_sse, params=LOCATION, headers=cookie(), accept=None).status == 503
    assert not stream.ended
