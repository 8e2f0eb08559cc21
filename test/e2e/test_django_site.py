# SPDX-License-Identifier: ISC
"""The example site as its users start it, with a strict client: through nginx and
through runsseserver."""
import json
import os
import re
import signal

import pytest

from django_site import ANYBODY, ENGINES, Served, Site, browser_of, example_database  # noqa: F401
from django_site import records, start_site, wait_records  # noqa: F401
from processes import TOP, clock, port_listens, wait_until

pytest.importorskip("django")

both = pytest.mark.parametrize("kind", ["nginx", "runsseserver"])
FAST = ["--heartbeat=1"]


def texts(stream):
    return [json.loads(data)["text"] for data in stream.data]


def engine(name):
    return "SESSION_ENGINE = 'django.contrib.sessions.backends.%s'\n" % name


@both
def test_two_users(redis, start_site, browser_of, kind):
    """Each user gets the events of all and the own ones, in a post_save handler's order, and not the other's."""
    front = start_site(kind)
    admin, tug, nobody = browser_of(front).login("admin"), browser_of(front).login("tug"), browser_of(front)
    a, t = admin.live(), tug.live()
    assert nobody.try_stream().status == 403
    for text, to in (("1", ""), ("2", "tug"), ("3", "admin"), ("4", "")):
        assert admin.request("/post/", {"text": text, "to": to, "fetch": 1}).status == 204
    assert a.wait_data(3) and texts(a) == ["1", "3", "4"]
    assert t.wait_data(3) and texts(t) == ["1", "2", "4"]
    assert tug.try_stream(query="channels=admin").status == 403, "it may not ask for another's"
    redis.publish("all", json.dumps(["message", json.dumps({"text": "django_sse's way"})]))
    assert texts(t.wait_for(lambda s: len(s.events) == 4))[-1] == "django_sse's way"
    cursor = t.events[1].id
    assert texts(tug.live(last_event_id=cursor).wait_for(lambda s: len(s.events) == 2)) == ["4", "django_sse's way"]


@both
def test_logout(redis, start_site, browser_of, kind):
    """Logging out ends that session's streams at once, and a reconnect gets 403; other sessions go on."""
    front = start_site(kind)
    admin, elsewhere = browser_of(front).login("admin"), browser_of(front).login("admin")
    stream, other = admin.live(), elsewhere.live()
    before = dict(admin.cookies)
    admin.logout()
    stream.wait_end(5)
    assert [e.type for e in stream.all_events] == ["stream-end"] and stream.ended == "clean"
    admin.cookies = before
    assert admin.try_stream().status == 403
    assert other.ended is None and elsewhere.request("/").status == 200
    assert len(records(redis)) == 1


@both
def test_key_rotation(redis, start_site, browser_of, kind):
    """A login gives the session a new key: the streams of the old one end, and its cookie opens none."""
    front = start_site(kind)
    browser = browser_of(front).login("tug")
    stream, before = browser.live(), dict(browser.cookies)
    browser.login("admin")
    stream.wait_end(5)
    assert stream.all_events[-1].type == "stream-end" and browser.cookies["sessionid"] != before["sessionid"]
    assert browser.live(query="channels=admin").floor
    browser.cookies = before
    assert browser.try_stream().status == 403


@pytest.mark.parametrize("name", ENGINES)
def test_session_engines(redis, start_site, browser_of, name):
    """Each session engine: log in, stream, reload, log out."""
    front = start_site("nginx", engine(name))
    tug = browser_of(front).login("tug")
    stream = tug.live()
    assert records(redis) == [("tug", ["tug", "all"])]
    tug.request("/post/", {"text": "hello", "to": "", "fetch": 1})
    assert stream.wait_data(1) and texts(stream) == ["hello"]
    assert "hello" in tug.request("/").text
    tug.logout()
    stream.wait_end(5)
    assert records(redis) == [] and tug.try_stream().status == 403


def test_position_of_the_page(redis, start_site, browser_of):
    """The page carries the position of its data: what comes between rendering and opening is replayed."""
    front = start_site()
    tug = browser_of(front).login("tug")
    tug.request("/post/", {"text": "read from the database", "to": ""})
    page = tug.request("/").text
    [position] = re.findall(r'<body sse-data="/sse/" data-last-event-id="(\d+)">', page)
    assert int(position) == clock(redis) and "read from the database" in page
    tug.request("/post/", {"text": "in between", "to": "", "fetch": 1})
    assert tug.live(query="lastEventId=" + position).wait_data(1)


def test_redis_lost_everything(redis, start_site, browser_of):
    """FLUSHALL while logged in ends the stream; reload the page, and it is there again."""
    front = start_site(options=FAST)
    tug = browser_of(front).login("tug")
    stream = tug.live()
    redis.client.flushall()
    stream.wait_end()
    assert tug.try_stream().status == 403
    tug.request("/")
    assert tug.live().floor


def test_expiry(redis, start_site, browser_of):
    """A session that expires ends its stream, which says so."""
    front = start_site("nginx", "SESSION_COOKIE_AGE = 3\n", FAST)
    stream = browser_of(front).login("tug").live()
    stream.wait_end(15)
    assert [e.type for e in stream.all_events] == ["stream-end"] and records(redis) == []


def test_deactivated(redis, start_site, browser_of):
    """A user who is deactivated in another process loses the streams at once."""
    front = start_site()
    stream = browser_of(front).login("tug").live()
    front.site.manage("from django.contrib.auth.models import User; u = User.objects.get(username='tug'); "
                      "u.is_active = False; u.save()")
    stream.wait_end(5)
    assert stream.all_events[-1].type == "stream-end"


def test_channels_change(redis, start_site, browser_of, folder):
    """The session's channels change while the stream is open: it goes on with the new ones, from its cursor."""
    folder.write("rules.py", "import os\n\ndef channels(request):\n"
                 "    return ['user-%%d' %% request.user.pk] + open('%s').read().split()\n" % (folder / "shared"))
    folder.write("shared", "all")
    front = start_site("nginx", "FCGI_SSE_CHANNELS = 'rules.channels'\n")
    tug = browser_of(front).login("tug")
    stream = tug.live()
    [(_, [own, shared])] = records(redis)
    assert re.match(r"user-\d+$", own) and shared == "all"
    folder.write("shared", "staff")
    tug.request("/")
    front.site.manage("from fcgi_sse import send_event\n"
                      "for c in ('staff', 'all', %r): send_event('message', c, c)" % own)
    assert stream.wait_data(2) == ["staff", own]


def test_user_name_with_everything(redis, start_site, browser_of):
    """A name with @ . + - and a letter that is not ASCII is a channel."""
    user = browser_of(start_site()).login(ANYBODY)
    stream = user.live()
    user.request("/post/", {"text": "to myself", "to": ANYBODY, "fetch": 1})
    assert stream.wait_data(1) and texts(stream) == ["to myself"]
    assert wait_records(redis, [(ANYBODY, [ANYBODY, "all"])])


def test_two_commands(redis, folder, stack, browser_of):
    """The example needs no more than runserver and runsseserver: the first start makes its tables and its users."""
    site = Site(folder, redis, None)
    stack.callback(site.stop)
    front = Served(folder, site)
    stack.callback(front.stop)
    tug, admin = browser_of(front).login("tug"), browser_of(front).login("admin")
    stream = tug.live()
    admin.request("/post/", {"text": "hello", "to": "tug"})
    assert stream.wait_data(1) and texts(stream) == ["hello"]


@both
def test_host(folder, start_site, browser_of, kind):
    """The site sees the address that the browser asked: Django compares it with the Origin of a form (since 4.0)."""
    folder.write("with_host.py", "from chat.urls import urlpatterns\nfrom django.http import HttpResponse\n"
                 "from django.urls import path\n\n"
                 "urlpatterns = [path('host/', lambda r: HttpResponse(r.scheme + '://' + r.get_host())), *urlpatterns]\n")
    front = start_site(kind, "ROOT_URLCONF = 'with_host'\n")
    assert browser_of(front).request("/host/").text == front.origin


def test_static_file(folder, start_site, browser_of):
    """{% static 'fcgi_sse/sse.js' %} is sse.js under runserver, and from nginx after collectstatic."""
    front = start_site("nginx", "STATIC_ROOT = %r\n" % (folder / "all"))
    browser = browser_of(front)
    [path] = re.findall(r'<script src="([^"]*)"', browser.request("/").text)
    assert path == "/static/fcgi_sse/sse.js"
    front.site.manage("from django.core.management import call_command as c; c('collectstatic', '--noinput', verbosity=0)")
    with open(os.path.join(TOP, "static/sse.js"), encoding="utf-8") as f:
        sse_js = f.read()
    for place in (path, "/collected/all/fcgi_sse/sse.js"):
        answer = browser.request(place)
        assert answer.text == sse_js and "javascript" in answer.getheader("Content-Type")


def test_redis_away(redis, start_site, browser_of):
    """Without Redis the pages still work, with one warning in the log; then all is as before."""
    front = start_site("nginx", "from fcgi_sse import redis_link; redis_link.RETRY_S = 0.1\n")
    front.fcgi_sse.expect_log("Redis|subscri")
    tug = browser_of(front).login("tug")
    redis.stop()
    for _ in range(3):
        assert "data-last-event-id" not in tug.request("/").text
        assert tug.request("/post/", {"text": "x", "to": "", "fetch": 1}).status == 204
    new = browser_of(front).login("admin")
    assert new.request("/").status == 200
    assert front.site.stderr().count("Redis is away; until") == 1
    redis.start()
    wait_until(lambda: new.request("/").status == 200 and records(redis))
    assert records(redis) == [("admin", ["admin", "all"])]


def test_runsseserver_ends(start_site):
    """Ctrl-C ends all of runsseserver."""
    front = start_site("runsseserver")
    front.signal(signal.SIGINT)
    assert front.wait(15) == 0
    wait_until(lambda: not port_listens(front.port), 10)


