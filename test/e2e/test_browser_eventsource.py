# SPDX-License-Identifier: ISC
"""Chromium's and Firefox's own EventSource resumes exactly (no script of ours on the page)."""
import random
import urllib.parse

import pytest

from browser import both_servers, chromium, serve, site  # noqa: F401
from firefox import firefox  # noqa: F401
from processes import clock, publish_ids, sse_publish

pytestmark = pytest.mark.chromium

DIED = r"signal|kill|died|ended"


@pytest.fixture(params=["chromium", "firefox"])
def browser(request):
    return request.getfixturevalue(request.param)


def open_stream(browser, server, query):
    tab = browser.open(server.origin + "/static/pages/eventsource.html?url=" + urllib.parse.quote("/sse/?" + query))
    tab.wait("source.readyState === 1")
    return tab


@both_servers
def test_cut_and_resumed(redis, start_fcgi_sse, browser, serve, server):
    """Cut again and again while events are published, the browser has each once and in order."""
    fcgi_sse = start_fcgi_sse(redis, "--retry=50", "--history-count=100000").expect_log(DIED)
    tab = open_stream(browser, serve(server, fcgi_sse), "channels=a,b")
    fcgi_sse.wait_streams(1)
    ids, random_ = [], random.Random(7)
    for round_ in range(8):
        for _ in range(random_.randint(1, 3)):
            channel = random_.choice("ab")
            ids += publish_ids(redis, "--lines", channel, stdin=b"x\n" * random_.randint(1, 40))
        if random_.random() < 0.5:  # in the middle, or when all has arrived
            tab.wait("log.length >= %d" % random_.randint(1, len(ids)))
        opened = tab.js("opened")
        fcgi_sse.kill_responders()
        ids += publish_ids(redis, "a", "while it is away")
        tab.wait("opened > %d" % opened)
        fcgi_sse.wait_streams(1)
    log = tab.wait_log(len(ids))
    assert [int(entry["id"]) for entry in log] == ids
    assert tab.js("failed") == 8


@both_servers
def test_cut_before_its_first_event(redis, start_fcgi_sse, browser, serve, server):
    """A browser that has had no event yet resumes where it joined: FLOOR is remembered."""
    fcgi_sse = start_fcgi_sse(redis, "--retry=50").expect_log(DIED)
    publish_ids(redis, "all", "before it joined")
    tab = open_stream(browser, serve(server, fcgi_sse), "channels=all")
    tab.wait("positions === 2")
    fcgi_sse.kill_responders()
    sse_publish(redis, "--event=price", "all", "1.10")
    redis.publish("all", '["message", "{\\"type\\": \\"foo\\"}"]')
    log = tab.wait_log(2)
    assert [(e["type"], e["data"]) for e in log] == [("price", "1.10"), ("message", '{"type": "foo"}')]
    assert int(log[1]["id"]) == clock(redis)


@both_servers
def test_web_server_killed(redis, start_fcgi_sse, browser, serve, run, server):
    """The web server dies and comes back: nothing is lost."""
    web_server = serve(server, start_fcgi_sse(redis, "--retry=50"))
    tab = open_stream(browser, web_server, "channels=all")
    ids = publish_ids(redis, "all", "1")
    tab.wait_log(1)
    opened = tab.js("opened")
    web_server.stop()
    ids += publish_ids(redis, "all", "2")
    tab.wait("failed > 1")  # it tries
    again = run(server, web_server.argv)
    tab.wait("opened > %d" % opened)
    ids += publish_ids(redis, "all", "3")
    log = tab.wait_log(3)
    again.stop()
    assert [int(e["id"]) for e in log] == ids


@both_servers
def test_too_far_back(redis, start_fcgi_sse, browser, serve, run, server):
    """What the history has no more is said by stream-reset; what is kept follows."""
    fcgi_sse = start_fcgi_sse(redis, "--retry=50", "--history-count=3").expect_log(DIED)
    web_server = serve(server, fcgi_sse)
    tab = open_stream(browser, web_server, "channels=all")
    fcgi_sse.wait_streams(1)
    web_server.stop()
    for i in range(10):
        publish_ids(redis, "all", str(i))
    run(server, web_server.argv)
    log = tab.wait_log(4)
    assert [e["type"] for e in log] == ["stream-reset"] + 3 * ["message"]
    assert '"trimmed"' in log[0]["data"] and [e["data"] for e in log[1:]] == ["7", "8", "9"]
