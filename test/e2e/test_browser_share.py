# SPDX-License-Identifier: ISC
"""sse-share: the tabs of a page share one stream, and none loses or repeats an event."""
import json
import signal

import pytest

import test_session
from browser import both_servers, chromium, serve, site  # noqa: F401
from browser_tabs import HEAD, TYPES, Tabs
from processes import publish_ids, sse_publish

pytestmark = pytest.mark.chromium


@both_servers
def test_eight_tabs(redis, fcgi_sse, chromium, serve, site, server):
    """Eight tabs are one stream; other pages of the host still load; each tab has each event once."""
    web_server = serve(server, fcgi_sse)
    tabs = Tabs(chromium, site, web_server.origin)
    tabs.open(8)
    fcgi_sse.wait_streams(1)
    ids = publish_ids(redis, "--lines", "all", stdin=b"x\n" * 50)
    redis.publish("all", json.dumps(["error", "not listened to"]))
    ids += publish_ids(redis, "all", "y")
    tabs.wait_messages(52)
    for tab in tabs.tabs:
        log = tab.noted("message")
        assert [int(e["id"]) for e in log if e["name"] == "message"] == ids
        assert [e["data"] for e in log if e["name"] == "error"] == ["not listened to"]
        assert len(tab.noted("open")) == 1 and not tab.noted("error") and tab.js("document.body.sseStream.shared")
    chromium.open(web_server.origin + "/static/index.html")
    other = chromium.open(web_server.origin + "/static/pages/record.js")
    assert "sse.js" in other.js("document.body.innerText")
    assert len(fcgi_sse.responders()) <= 2  # and the demo page's own


@both_servers
def test_tabs_at_different_positions(redis, fcgi_sse, chromium, serve, site, server):
    """A leader dies and its last words reach some tabs only: a new leader, ahead or behind, makes all whole."""
    tabs = Tabs(chromium, site, serve(server, fcgi_sse).origin)
    tabs.open(4)
    ids = publish_ids(redis, "all", "first")
    tabs.wait_messages(1)
    for who in ("the last in line", "the next leader"):
        leader = tabs.leader()
        others = [tab for tab in tabs.tabs if tab is not leader]
        deaf = others[-1] if who == "the last in line" else others[0]
        deaf.run("isDeaf = true;")
        ids += publish_ids(redis, "--lines", "all", stdin=b"lost\n" * 20)
        for tab in others:
            if tab is not deaf:
                tab.wait("log[log.length - 1].id === '%d'" % ids[-1])
        deaf.run("isDeaf = false;")
        tabs.close(leader)
        assert (tabs.leader() is deaf) == (who == "the next leader")
        ids += publish_ids(redis, "--lines", "all", stdin=b"new\n" * 20)
        tabs.wait_messages(len(ids))
        tabs.check(ids)


@both_servers
def test_joining(redis, fcgi_sse, chromium, serve, site, server):
    """A tab that joins hears what comes from then on; with a position in the page, or last=, also what it missed."""
    origin = serve(server, fcgi_sse).origin
    ids = [publish_ids(redis, "all", str(i))[0] for i in range(5)]
    tabs = Tabs(chromium, site, origin)
    tabs.open()
    ids.append(publish_ids(redis, "all", "5")[0])
    tabs.wait_messages(1)
    tabs.open()
    positioned = Tabs(chromium, site, origin, name="positioned.html", attributes='data-last-event-id="%d"' % ids[2])
    positioned.open()
    positioned.wait_messages(3)
    late = Tabs(chromium, site, origin, query="last_event_id=%d&amp;channels=all" % ids[3], name="late.html")
    late.open()
    late.wait_messages(2)
    ids.append(publish_ids(redis, "all", "6")[0])
    for group, since in ((tabs, None), (positioned, 3), (late, 4)):
        for i, tab in enumerate(group.tabs):
            want = list(range(since, 7)) if since else [5, 6] if i == 0 else [6]
            tab.wait("log[log.length - 1].data === 6")
            assert tab.data("message") == want and not tab.noted("error", "reset")
    fcgi_sse.wait_streams(1)
    # last= asks for another start, so this is another page; its second tab has the past too
    past = Tabs(chromium, site, origin, query="channels=all&amp;last=2", name="past.html")
    past.open(2)
    past.wait_messages(2)
    ids += publish_ids(redis, "all", "7")
    past.wait_messages(3)
    past.check(ids[-3:])
    fcgi_sse.wait_streams(2)


@both_servers
def test_trimmed_for_one(redis, start_fcgi_sse, chromium, serve, site, server):
    """What is gone for the tab that was away is told to that tab; the others stay on their stream."""
    origin = serve(server, start_fcgi_sse(redis, "--history-count=3")).origin
    tabs = Tabs(chromium, site, origin)
    tabs.open(2)
    ids = publish_ids(redis, "--lines", "all", stdin=b"x\n" * 10)
    tabs.wait_messages(10)
    behind = Tabs(chromium, site, origin, name="behind.html", attributes='data-last-event-id="%d"' % ids[0])
    behind.open()
    behind.wait_messages(3)
    unknown = Tabs(chromium, site, origin, query="last_event_id=not%2Da%2Dnumber&amp;channels=all", name="unknown.html")
    unknown.open()
    unknown.tabs[0].wait_log(2)
    ids += publish_ids(redis, "all", "y")
    for group, count in ((tabs, 11), (behind, 4), (unknown, 1)):
        group.wait_messages(count)
        group.check(ids[-count:])
    assert [e["reason"] for e in behind.tabs[0].data("reset")] == ["trimmed"]
    assert [e["reason"] for e in unknown.tabs[0].data("reset")] == ["unknown"]
    for tab in tabs.tabs:
        assert not tab.noted("reset") and len(tab.noted("open")) == 1
    assert sorted(tab.js("sources.length") for tab in tabs.tabs) == [0, 1], "no stream was opened anew"
    for tab in behind.tabs + unknown.tabs:
        tab.wait("sources.length === 1 && sources[0].readyState === 2")


@pytest.mark.parametrize("stream", ["open", "broken"])
def test_store_went_back(redis, start_fcgi_sse, chromium, serve, site, run, stream):
    """The store falls back to before what the tabs had: each is told once, and hears what comes then, older ids too."""
    web_server = serve("nginx", start_fcgi_sse(redis, "--retry=50"))
    tabs = Tabs(chromium, site, web_server.origin)
    tabs.open(3)
    first = publish_ids(redis, "all", "1")
    tabs.wait_messages(1)
    dump = {key: redis.client.dump(key) for key in redis.client.keys() if key != b"sse:recorder"}
    redis.client.incrby("sse:clock", 40 * 10 ** 6)  # a clock that was ahead
    lost = publish_ids(redis, "--lines", "all", stdin=b"2\n3\n")
    tabs.wait_messages(3)
    tabs.open()  # this one begins at an id that will come again
    if stream == "broken":
        web_server.stop()
        for tab in tabs.tabs:
            tab.wait('log.some(function (e) { return e.type === "error"; })')
    for key, value in dump.items():
        redis.client.restore(key, 0, value, replace=True)
    if stream == "broken":
        run("nginx", web_server.argv)
    publish_ids(redis, "all", "it shows that the store is another one")
    for tab in tabs.tabs:
        tab.wait("log[log.length - 1].type === 'reset'")
    tabs.open()
    ids = publish_ids(redis, "--lines", "all", stdin=b"4\n5\n")
    assert ids[-1] < lost[0]
    for tab in tabs.tabs:
        tab.wait("log[log.length - 1].data === 5")
        assert tab.js("document.body.sseStream.lastEventId") == str(ids[-1])
    for tab in tabs.tabs[:3]:
        assert [e["reason"] for e in tab.data("reset")] == ["flushed"]
        assert [int(e["id"]) for e in tab.noted("message")] == first + lost + ids


def test_by_the_api(redis, fcgi_sse, chromium, serve, site):
    """SSE.connect(url, {share: true}) shares; with since= each tab has the past, and there is one stream."""
    ids = publish_ids(redis, "--lines", "all", stdin=b"1\n2\n")
    origin = serve("nginx", fcgi_sse).origin
    page = site.page("api.html", """<body><script>
var stream = SSE.connect("/sse/?channels=all&since=60", { share: true, events: ["price"] })
	.on("*", function (data, event) {
		note(event.type, data, { id: event.id });
	});
</script></body>""", HEAD)
    tabs = []
    for _ in range(3):
        tabs.append(chromium.open(origin + page))
        tabs[-1].wait_log(2)
    ids += publish_ids(redis, "--event=price", "all", "3")
    for tab in tabs:
        assert [(e["type"], e["data"], int(e["id"])) for e in tab.wait_log(3)] == [
            ("message", 1, ids[0]), ("message", 2, ids[1]), ("price", 3, ids[2])]
        assert tab.js("stream.shared") is True
    fcgi_sse.wait_streams(1)
    tabs[0].run("stream.close();")
    ids = publish_ids(redis, "all", "4")
    assert tabs[1].wait_log(4)[3]["data"] == tabs[2].wait_log(4)[3]["data"] == 4
    assert len(tabs[0].log()) == 3 and tabs[0].js("stream.state") == "closed"


REFUSED = {"locks": """navigator.locks.request = function () {
	return Promise.reject(new DOMException("not here", "SecurityError"));
};""", "channel": """window.BroadcastChannel = function () {
	throw new DOMException("not here", "SecurityError");
};"""}


@pytest.mark.parametrize("what", REFUSED)
def test_without_storage(redis, fcgi_sse, chromium, serve, site, what):
    """A browser that refuses the lock or the channel: each tab has its own stream, and close() ends it."""
    origin = serve("nginx", fcgi_sse).origin
    page = site.page("refused.html", """<body sse-data="/sse/?channels=all" sse-share>
<script>record(document.body, %s);</script></body>""" % TYPES, "<script>%s</script>" % REFUSED[what])
    tabs = [chromium.open(origin + page) for _ in range(2)]
    for tab in tabs:
        tab.wait("document.body.sseStream.state === 'open'")
    publish_ids(redis, "all", "1")
    for tab in tabs:
        assert [e["type"] for e in tab.wait_log(2)] == ["open", "message"]
        tab.run("document.body.sseStream.close();")
    fcgi_sse.wait_streams(0)


def test_leader_behind(redis, start_fcgi_sse, chromium, serve, site):
    """What is gone for a new leader that was behind is told to it, not to the tab that has had it."""
    tabs = Tabs(chromium, site, serve("nginx", start_fcgi_sse(redis, "--history-count=3")).origin)
    tabs.open(3)
    ids = publish_ids(redis, "all", "first")
    tabs.wait_messages(1)
    leader = tabs.leader()
    behind, ahead = [tab for tab in tabs.tabs if tab is not leader]
    behind.run("isDeaf = true;")
    ids += publish_ids(redis, "--lines", "all", stdin=b"lost\n" * 10)
    ahead.wait("log[log.length - 1].id === '%d'" % ids[-1])
    behind.run("isDeaf = false;")
    tabs.close(leader)
    assert tabs.leader() is behind
    behind.wait("log[log.length - 1].id === '%d'" % ids[-1])
    ids += publish_ids(redis, "all", "last")
    tabs.wait_messages(5)
    assert [int(e["id"]) for e in ahead.noted("message")] == ids and not ahead.noted("reset")
    assert [int(e["id"]) for e in behind.noted("message")] == ids[:1] + ids[-4:]
    assert [e["reason"] for e in behind.data("reset")] == ["trimmed"]


@pytest.mark.parametrize("reason", ["trimmed", "flushed"])
def test_leader_further_back(redis, start_fcgi_sse, chromium, serve, site, run, reason):
    """What is gone is told to a tab too that is ahead of the leader, if it lost something; and only then."""
    fcgi_sse = start_fcgi_sse(redis, "--retry=50", "--history-count=3")
    web_server = serve("nginx", fcgi_sse)
    tabs = Tabs(chromium, site, web_server.origin)
    tabs.open()
    publish_ids(redis, "all", "1")
    tabs.wait_messages(1)
    [now] = publish_ids(redis, "other", "the site's clock goes on")
    ahead = Tabs(chromium, site, web_server.origin, name="ahead.html", attributes='data-last-event-id="%d"' % now)
    ahead.open()
    web_server.stop()
    tabs.tabs[0].wait('log.some(function (e) { return e.type === "error"; })')
    publish_ids(redis, "--lines", "all", stdin=b"lost\n" * 10)
    if reason == "flushed":
        redis.client.flushall()
    [last] = publish_ids(redis, "all", "2")
    run("nginx", web_server.argv)
    for tab in tabs.tabs + ahead.tabs:
        tab.wait("log.length && log[log.length - 1].id === '%d'" % last)
        assert [e["reason"] for e in tab.data("reset")] == [reason]
    assert ahead.tabs[0].data("message") == tabs.tabs[0].data("message")[1:]
    fcgi_sse.wait_streams(1)


def test_emptied_while_catching_up(redis, start_fcgi_sse, chromium, serve, site):
    """The store is emptied while a tab catches up: it is told once, and what comes then arrives once."""
    fcgi_sse = start_fcgi_sse(redis, "--heartbeat=1")
    origin = serve("nginx", fcgi_sse).origin
    tabs = Tabs(chromium, site, origin)
    tabs.open()
    ids = publish_ids(redis, "--lines", "all", stdin=b"0\n1\n2\n")
    tabs.wait_messages(3)
    fcgi_sse.signal(signal.SIGSTOP)
    late = Tabs(chromium, site, origin, name="late.html", attributes='data-last-event-id="%d"' % ids[0])
    late.open(1, "connecting")
    late.tabs[0].wait("sources.length === 1")
    redis.client.flushall()
    late.tabs[0].wait("heard.indexOf('reset') >= 0")  # the leader is told first
    fcgi_sse.signal(signal.SIGCONT)
    late.tabs[0].wait('log.some(function (e) { return e.type === "reset"; })')
    ids = publish_ids(redis, "--lines", "all", stdin=b"3\n4\n")
    for tab in late.tabs + tabs.tabs:
        tab.wait("log[log.length - 1].data === 4")
        assert [int(e["id"]) for e in tab.noted("message")][-2:] == ids and len(tab.noted("reset")) == 1
    late.check(ids)


def test_first_tabs_in_an_outage(redis, fcgi_sse, chromium, serve, site):
    """Before the leader has a position, other tabs with one, or with none that is known, wait for their own past."""
    origin = serve("nginx", fcgi_sse).origin
    ids = publish_ids(redis, "--lines", "all", stdin=b"1\n2\n")
    groups = [Tabs(chromium, site, origin, name="%d.html" % i, attributes=position and
                   'data-last-event-id="%s"' % position)
              for i, position in enumerate(["", "earliest", "550e8400-e29b", str(ids[0])])]
    fcgi_sse.signal(signal.SIGSTOP)
    for group in groups:
        group.open(1, "connecting")
        groups[0].tabs[0].wait("leads()")
    fcgi_sse.signal(signal.SIGCONT)
    for group in groups:
        group.tabs[0].wait("document.body.sseStream.lastEventId === '%d'" % ids[1])
    ids += publish_ids(redis, "all", "3")
    for group, since in zip(groups, (2, 0, 2, 1)):
        group.wait_messages(3 - since)
        group.check(ids[since:])
    assert [[e["reason"] for e in group.tabs[0].data("reset")] for group in groups] == [[], [], ["unknown"], []]


def test_unknown_position_leads(redis, fcgi_sse, chromium, serve, site):
    """A tab whose position is unknown becomes the leader: that is told to nobody else."""
    origin = serve("nginx", fcgi_sse).origin
    tabs = Tabs(chromium, site, origin)
    leader = tabs.open()
    publish_ids(redis, "all", "1")
    tabs.wait_messages(1)
    fcgi_sse.signal(signal.SIGSTOP)
    unknown = Tabs(chromium, site, origin, name="unknown.html", attributes='data-last-event-id="550e8400-e29b"')
    unknown.open(1, "connecting")
    unknown.tabs[0].wait("sources.length === 1")
    other = tabs.open()
    tabs.close(leader)
    unknown.tabs[0].wait("sources.length === 2")
    fcgi_sse.signal(signal.SIGCONT)
    unknown.tabs[0].wait('log.some(function (e) { return e.type === "reset"; })')
    publish_ids(redis, "all", "2")
    for tab in (other, unknown.tabs[0]):
        tab.wait("log.length && log[log.length - 1].data === 2")
    assert not other.noted("reset") and [e["reason"] for e in unknown.tabs[0].data("reset")] == ["unknown"]


@pytest.mark.parametrize("asks_again", [False, True], ids=["asks once", "asks again"])
def test_catching_up_slowly(redis, start_fcgi_sse, chromium, serve, site, asks_again):
    """While a tab's own connection takes its time, it keeps what the leader says, with an id or without, also when it
    asks the leader again meanwhile, because somebody looks at it."""
    fcgi_sse = start_fcgi_sse(redis, "--record=none")
    origin = serve("nginx", fcgi_sse).origin
    tabs = Tabs(chromium, site, origin)
    tabs.open()
    ids = publish_ids(redis, "--lines", "all", stdin=b"0\n1\n2\n3\n")
    tabs.wait_messages(4)
    fcgi_sse.signal(signal.SIGSTOP)
    late = Tabs(chromium, site, origin, name="late.html", attributes='data-last-event-id="%d"' % ids[0])
    late.open(1, "connecting")
    late.tabs[0].wait("sources.length === 1")
    for i in range(4, 8):
        ids += publish_ids(redis, "all", str(i))
        redis.publish("all", "-%d" % i)
    tabs.wait_messages(12)
    if asks_again:
        late.tabs[0].run("""window.before = heard.length;
        document.dispatchEvent(new Event("visibilitychange"));""")
        late.tabs[0].wait("heard.slice(before).indexOf('hello') !== -1")
    fcgi_sse.signal(signal.SIGCONT)
    late.wait_messages(11)
    ids += publish_ids(redis, "all", "8")
    late.wait_messages(12)
    assert late.tabs[0].data("message") == [1, 2, 3, 4, -4, 5, -5, 6, -6, 7, -7, 8]
    fcgi_sse.wait_streams(1)


def test_events_without_an_id(redis, start_fcgi_sse, chromium, serve, site):
    """What nobody records has no id; each tab has it once all the same."""
    tabs = Tabs(chromium, site, serve("nginx", start_fcgi_sse(redis, "--record=none")).origin)
    publish_ids(redis, "all", "before")
    tabs.open(3)
    ids = publish_ids(redis, "all", "0")
    for i in (1, 2):
        redis.publish("all", str(i))
    tabs.wait_messages(3)
    ids += publish_ids(redis, "all", "3")
    tabs.wait_messages(4)
    for tab in tabs.tabs:
        assert [(e["data"], e["id"]) for e in tab.noted("message")] == [
            (0, str(ids[0])), (1, ""), (2, ""), (3, str(ids[1]))]


def test_web_server_away(redis, start_fcgi_sse, chromium, serve, site, run):
    """The stream of all tabs breaks and comes back: each hears sse:error, sse:open and what it missed."""
    web_server = serve("nginx", start_fcgi_sse(redis, "--retry=50"))
    tabs = Tabs(chromium, site, web_server.origin)
    tabs.open(3)
    ids = publish_ids(redis, "all", "1")
    tabs.wait_messages(1)
    web_server.stop()
    ids += publish_ids(redis, "all", "2")
    for tab in tabs.tabs:
        tab.wait('log.some(function (e) { return e.type === "error"; })')
    run("nginx", web_server.argv)
    tabs.wait_messages(2)
    tabs.check(ids)
    for tab in tabs.tabs:
        assert len(tab.noted("open")) == 2


def test_refused(redis, fcgi_sse, chromium, serve, site):
    """What ends one ends all: each tab hears the 403, and none comes back."""
    fcgi_sse.expect_log("refused")
    tabs = Tabs(chromium, site, serve("lighttpd", fcgi_sse, SSE_ALLOW="foo").origin)
    tabs.open(2, "closed")
    for tab in tabs.tabs:
        assert tab.data("error") == [{"status": 403, "retry": False}]


def test_another_login(redis, fcgi_sse, chromium, serve, site):
    """A logout ends the stream of all tabs; the next login's stream is heard in its own tabs only."""
    fcgi_sse.expect_log("session")
    tabs = Tabs(chromium, site, serve("nginx", fcgi_sse, SSE_SESSION_COOKIE="sid").origin, query="")
    chromium.open(tabs.url)
    for user in ("tug", "eve"):
        token = user * 8
        test_session.login(redis, [user], token, user)
        chromium.driver.add_cookie({"name": "sid", "value": token})
        old, tabs.tabs = tabs.tabs, []
        tabs.open(2)
        publish_ids(redis, "tug", "1")
        publish_ids(redis, "eve", "2")
        tabs.wait_messages(1)
        test_session.logout(redis, token)
        for tab in tabs.tabs:
            tab.wait("document.body.sseStream.state === 'closed'")
            assert tab.data("message") == [1 if user == "tug" else 2] and tab.data("end") == [{"reason": "session"}]
        fcgi_sse.wait_streams(0)
    for tab in old:
        assert tab.data("message") == [1]


def test_where_it_is_not_secure(redis, fcgi_sse, chromium, serve, site):
    """Without https and not on localhost browsers have no locks: each tab has its own stream."""
    web_server = serve("nginx", fcgi_sse)
    tabs = Tabs(chromium, site, "http://insecure.test:%d" % web_server.port)
    tabs.open(2)
    fcgi_sse.wait_streams(2)
    sse_publish(redis, "all", "1")
    tabs.wait_messages(1)
    assert tabs.tabs[0].js("window.isSecureContext") is False
    assert tabs.tabs[0].js("document.body.sseStream.shared") is False
