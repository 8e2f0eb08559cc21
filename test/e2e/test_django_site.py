# SPDX-License-Identifier: ISC
"""The example site as its users start it, with a strict client: through nginx and
through runsseserver."""
import json
import os
import re
import signal

import pytest

from django_site import ANYBODY, ENGINES, Served, Site, browser_of  # noqa: F401
from django_site import records, start_site, wait_records  # noqa: F401
from processes import TOP, clock, port_listens, wait_until

pytest.importorskip("django")

both = pytest.mark.parametrize("kind", ["nginx", "runsseserver"])
FAST = ["--heartbeat=1"]


def texts(stream):
    return [json.loads(data)["text"] for data in stream.data]


def position_of(browser):
    """The position that the page carries."""
    [position] = re.findall(r'<body sse-data="/sse/" data-last-event-id="(\d+)">', browser.request("/").text)
    return position


def is_over(stream):
    """It said so, and ended."""
    assert stream.wait_end().ended == "clean" and stream.all_events[-1].type == "stream-end"


def engine(name):
    return "SESSION_ENGINE = 'django.contrib.sessions.backends.%s'\n" % name


@both
def test_two_users(redis, start_site, browser_of, kind):
    """Each user gets the events of all and the own ones, in a post_save handler's order, and not the other's."""
    front = start_site(kind)
    admin, tug, nobody = browser_of(front).login("admin"), browser_of(front).login("tug"), browser_of(front)
    a, t = admin.live(), tug.live()
    assert a.headers["x-accel-buffering"] == "no", "a proxy in front must see it"
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
    stream.wait_end()
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
    is_over(stream)
    assert browser.cookies["sessionid"] != before["sessionid"]
    assert browser.live(query="channels=admin").floor
    browser.cookies = before
    assert browser.try_stream().status == 403


@both
@pytest.mark.parametrize("name", ENGINES)
def test_a_session(redis, start_site, browser_of, kind, name):
    """With each session engine: own events and those of all, from a post_save handler and by plain PUBLISH, live and
    replayed; a login over another one, and a logout in another tab, end the streams at once, and the old cookies
    open none.  Who stays goes on."""
    front = start_site(kind, engine(name))
    user, tug = browser_of(front).login(ANYBODY), browser_of(front).login("tug")
    assert sorted(records(redis)) == sorted([("tug", ["tug", "all"]), (ANYBODY, [ANYBODY, "all"])])
    position = position_of(user)
    stream, other = user.live(), tug.live()
    tug.post("for all")
    tug.post("for you", ANYBODY)
    assert stream.wait_data(2) and texts(stream) == ["for all", "for you"]
    for channel in (ANYBODY, "all"):  # as django_sse sends it
        redis.publish(channel, json.dumps(["message", json.dumps({"text": "to " + channel})]))
    for who, of_who, expected in ((user, stream, ["for all", "for you", "to " + ANYBODY, "to all"]),
                                  (tug, other, ["for all", "to all"])):
        assert of_who.wait_data(len(expected)) and texts(of_who) == expected
        again = who.live(query="lastEventId=" + position)
        assert again.wait_data(len(expected)) and texts(again) == expected
    page = user.request("/").text
    assert "for all" in page and "for you" in page

    old = [dict(user.cookies)]
    user.login("admin")  # a new key
    is_over(stream)
    stream = user.live()
    old.append(dict(user.cookies))
    user.logout()
    is_over(stream)
    for user.cookies in old:
        assert user.try_stream().status == 403
    tug.post("still here")
    assert other.wait_data(3) and texts(other)[2] == "still here" and [name for name, _ in records(redis)] == ["tug"]


@both
def test_login_again_after_logout(start_site, browser_of, kind):
    """Log in after a logout: the new session's stream has what was posted meanwhile, and is live."""
    front = start_site(kind)
    admin, tug = browser_of(front).login("admin"), browser_of(front).login("tug")
    position = position_of(admin)
    admin.logout()
    tug.post("meanwhile")
    stream = admin.login("admin").live(query="lastEventId=" + position)
    tug.post("live")
    assert stream.wait_data(2) and texts(stream) == ["meanwhile", "live"]


@both
def test_wrong_password(redis, start_site, browser_of, kind):
    """A wrong password opens nothing."""
    browser = browser_of(start_site(kind))
    browser.request("/")
    assert browser.request("/login/", {"username": "admin", "password": "wrong"}).status == 200
    assert records(redis) == [] and browser.try_stream().status == 403


def test_position_of_the_page(redis, start_site, browser_of):
    """The page carries the position of its data: what comes between rendering and opening is replayed."""
    front = start_site()
    tug = browser_of(front).login("tug")
    tug.request("/post/", {"text": "read from the database", "to": ""})
    position = position_of(tug)
    assert int(position) == clock(redis) and "read from the database" in tug.request("/").text
    tug.request("/post/", {"text": "in between", "to": "", "fetch": 1})
    assert tug.live(query="lastEventId=" + position).wait_data(1)


@both
def test_redis_lost_everything(redis, start_site, browser_of, kind):
    """FLUSHALL while logged in ends the stream; reload the page, and it is there again."""
    front = start_site(kind, options=FAST)
    tug = browser_of(front).login("tug")
    stream = tug.live()
    redis.client.flushall()
    stream.wait_end()
    assert tug.try_stream().status == 403
    tug.request("/")
    assert tug.live().floor


@both
def test_expiry(redis, start_site, browser_of, kind):
    """A record lives as long as its session; when it expires its stream ends and says so, and the cookie opens none."""
    front = start_site(kind, "SESSION_COOKIE_AGE = 1000\n", FAST)
    tug = browser_of(front).login("tug")
    stream = tug.live()
    [key] = redis.client.keys("sse:session:*")
    assert 900 < redis.client.ttl(key) <= 1000
    redis.client.pexpire(key, 1)
    is_over(stream)
    assert [e.type for e in stream.all_events] == ["stream-end"] and records(redis) == []
    assert tug.try_stream().status == 403


def test_deactivated(redis, start_site, browser_of):
    """A user who is deactivated in another process loses the streams at once."""
    front = start_site()
    stream = browser_of(front).login("tug").live()
    front.site.manage("from django.contrib.auth.models import User; u = User.objects.get(username='tug'); "
                      "u.is_active = False; u.save()")
    is_over(stream)


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
    assert front.wait() == 0
    wait_until(lambda: not port_listens(front.port))


