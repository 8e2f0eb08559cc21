# SPDX-License-Identifier: ISC
"""contrib/django, the package: publishing, settings, records of sessions.  Django
runs in this process, Redis is real."""
import asyncio
import datetime
import decimal
import hashlib
import importlib
import logging
import os
import re
import shutil
import subprocess
import sys
import time
import uuid

import pytest

import django_site
import sse
from django_site import ENGINES, PACKAGE, PYTHON, new_user, records
from django_site import django  # noqa: F401
from processes import TOP, history, wait_until

pytest.importorskip("django")
django_site.configure()

import fcgi_sse  # noqa: E402
from django.conf import settings as dj_settings  # noqa: E402
from django.contrib import auth  # noqa: E402
from django.core import signing  # noqa: E402
from django.core.checks import run_checks  # noqa: E402
from django.db import transaction  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.template import engines  # noqa: E402
from django.test import Client, RequestFactory  # noqa: E402
from django.urls import clear_url_caches, path  # noqa: E402
from fcgi_sse import conf, names  # noqa: E402
from fcgi_sse import records as record_module  # noqa: E402
from fcgi_sse import send_event, send_event_on_commit, sessions  # noqa: E402
from redis.exceptions import RedisError  # noqa: E402


def parsed(record):
    """The event of a record as a browser reads it."""
    parser = sse.Parser()
    parser.feed(record[3])
    [event] = parser.events
    return event


def published(redis, channel="sse"):
    return [(e.type, e.data) for e in map(parsed, history(redis, channel))]


# ---- publishing

def test_send_event(redis, django):
    """send_event: a text, a name, the id as answer; the same bytes as sse-publish writes."""
    a = send_event("message", "two\nlines\r\nand\rmore\n")
    b = send_event("price", "1.10", channel="gold")
    assert published(redis) == [("message", "two\nlines\nand\nmore\n")]
    assert published(redis, "gold") == [("price", "1.10")] and isinstance(a, int) and b > a
    assert [r[0] for r in history(redis, "sse") + history(redis, "gold")] == [a, b]
    from processes import sse_publish
    for args in (["all", "x\r\ny"], ["--event=n\u00e9", "all", "\u20ac"], ["all", ""]):
        sse_publish(redis, *args)
    send_event("message", "x\r\ny", "all")
    send_event("n\u00e9", "\u20ac", "all")
    send_event(None, "", "all")
    frames = [re.sub(rb"^id: \d+\n", b"", r[3]) for r in history(redis, "all")]
    assert frames[:3] == frames[3:] and {r[2] for r in history(redis, "all")} == {"p"}


def test_data_that_is_no_text(redis, django):
    """What is no string goes out as JSON: numbers, dates, decimals, lists; bytes are text."""
    when = datetime.date(2024, 2, 29)
    send_event("message", {"type": "foo", "user": "tug", "when": when, "price": decimal.Decimal("1.10")}, "all")
    send_event("message", [1, None, "é"], "all")
    send_event("message", None, "all")
    send_event("message", b"caf\xc3\xa9 \xff", "all")
    send_event("message", "half \ud83d of a pair", "all")
    assert published(redis, "all") == [("message", text) for text in (
        '{"type": "foo", "user": "tug", "when": "2024-02-29", "price": "1.10"}', '[1, null, "é"]', "null",
        "café \ufffd", "half \ufffd of a pair")]
    for bad in (float("nan"), object()):
        with pytest.raises((ValueError, TypeError)):
            send_event("message", bad)


def test_several_channels(redis, django):
    """A list of channels: one event on each, a list of ids, a name twice is once."""
    ids = send_event("message", "x", ["a", "b", "a"])
    assert len(ids) == 2 and [history(redis, c)[0][0] for c in "ab"] == ids
    assert send_event("message", "x", []) == [] and send_event("message", "x", ("c",)) != []


def test_default_channel(redis, django):
    """django_sse's setting names the default channel."""
    with django(REDIS_SSEQUEUE_CHANEL_NAME="news"):
        send_event("message", "x")
    assert published(redis, "news") == [("message", "x")] and published(redis) == []


@pytest.mark.parametrize("event, channel", [
    ("stream-end", "a"), ("a\nb", "a"), ("a\0", "a"), ("x" * 257, "a"), ("\ud800", "a"), (3, 4),
    ("m", ""), ("m", "a b"), ("m", "a,b"), ("m", "__x"), ("m", "sse:x"), ("m", "x" * 129), ("m", "\u2003"),
    ("m", "a*"), ("m", "\x85"), ("m", ["ok", "{"]), ("m", "\ud800")])
def test_bad_names(redis, django, event, channel):
    """A name that fcgi-sse would refuse is a ValueError, and nothing is published."""
    for function in (send_event, send_event_on_commit):
        with pytest.raises((ValueError, TypeError)):
            function(event, "x", channel)
    assert redis.client.keys("*") == []


def test_channel_names_as_in_c(redis, django, fcgi_sse, loop):
    """names.py and parse.h agree on what a channel's name is."""
    for name in ["jörg@x.y+z-w", "a", "x" * 128, "é" * 64, "é" * 65, "a b", "a\u00a0b", "a\u200bb", "\u1680", "a]", "a\\b",
                 "_x", "__x", "sse:", "sse", "a\x7f", "a\u0085", "a\u3000", "\ufeffx", "😀", "a\u180e"]:
        stream = loop.open(fcgi_sse, query=[("channels", name)]).wait_for(
            lambda s: s.ended or s.floor is not None)
        assert (stream.status == 200) == (names.channel_error(name, "sse:") is None), (name, stream.describe())
        stream.close()


def test_too_large(redis, django):
    """An event over the limit of fcgi-sse is refused."""
    with django(FCGI_SSE_EVENT_BYTES=10):
        send_event("m", "x" * 10)
        with pytest.raises(ValueError):
            send_event("m", "x" * 11)


def test_on_commit(redis, django, caplog):
    """send_event_on_commit: after the commit, not after a rollback; a Redis that is away does not undo a commit."""
    with transaction.atomic():
        data = {"n": 1}
        send_event_on_commit("m", data)
        data["n"] = 2
        assert published(redis) == []
    assert published(redis) == [("m", '{"n": 1}')]
    with pytest.raises(RuntimeError), transaction.atomic():
        send_event_on_commit("m", "never")
        raise RuntimeError
    assert len(published(redis)) == 1
    redis.stop()
    send_event_on_commit("m", "lost")
    assert "not published" in caplog.text
    with pytest.raises(RedisError):
        send_event("m", "x")
    redis.start()
    send_event("m", "a restarted Redis is found again")


def test_async(redis, django):
    """asend_event: the same, awaited, in any event loop."""
    async def several():
        return await asyncio.gather(*[fcgi_sse.asend_event("m", str(i), "all") for i in range(20)])

    ids = asyncio.run(several()) + asyncio.run(several())
    assert sorted(ids) == [r[0] for r in history(redis, "all")] and len(set(ids)) == 40


def test_from_many_threads(redis, django):
    """send_event from many threads: each event once."""
    import concurrent.futures
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda i: send_event("m", i, "all"), range(200)))
    assert sorted(ids) == [r[0] for r in history(redis, "all")][-200:] and len(set(ids)) == 200


def test_live(redis, django, fcgi_sse, loop):
    """What is sent arrives in an open stream, and later in a resumed one."""
    stream = loop.live(fcgi_sse, "all,foo")
    ids = [send_event("price", {"gold": 1}, "all"), send_event("message", "x", "foo")]
    stream.wait_data(2)
    assert [(int(e.id), e.type, e.data) for e in stream.events] == [
        (ids[0], "price", '{"gold": 1}'), (ids[1], "message", "x")]
    assert loop.live(fcgi_sse, "foo", last_event_id=ids[0]).wait_data(1) == ["x"]


# ---- settings

def test_settings_of_django_sse(redis, django, start_redis):
    """REDIS_SSEQUEUE_CONNECTION_SETTINGS: a port, a Unix socket, a database (and with it the prefix), a password."""
    old = dict(FCGI_SSE_REDIS=None)
    with django(**old, REDIS_SSEQUEUE_CONNECTION_SETTINGS={"location": "unix:" + redis.path, "db": 3}):
        send_event("m", "x")
        assert conf.prefix() == "sse3:"
        assert redis.cli("-n", "3", "EXISTS", "sse3:history:sse") == b"1\n"
    with django(**old, REDIS_SSEQUEUE_CONNECTION_SETTINGS={"location": "localhost:6380", "db": 0, "password": "p"}):
        assert conf.redis_address() == ("redis://localhost:6380/0", "p") and conf.prefix() == "sse:"
        from fcgi_sse.redis_client import client
        assert client().connection_pool.connection_kwargs["password"] == "p"
    for url, prefix in ((None, "sse:"), ("redis://h/2", "sse2:"), ("redis://h", "sse:"), ("unix:///p?db=7", "sse7:")):
        with django(FCGI_SSE_REDIS=url):
            assert conf.prefix() == prefix
    with django(FCGI_SSE_REDIS=redis.url, FCGI_SSE_PREFIX="shop:"):
        send_event("m", "x")
        assert redis.client.exists("shop:history:sse")


def test_checks(django):
    """manage.py check tells of a middleware that is missing or stands too low, and of a bad FCGI_SSE_CHANNELS."""
    ids = lambda: {m.id for m in run_checks() if m.id.startswith("fcgi_sse")}  # noqa: E731
    ours, *others = dj_settings.MIDDLEWARE
    assert ids() == set()
    with django(MIDDLEWARE=others):
        assert ids() == {"fcgi_sse.W001"}
    with django(MIDDLEWARE=[*others, ours]):
        assert ids() == {"fcgi_sse.E001"}
    with django(FCGI_SSE_CHANNELS="nowhere.to.be.found"):
        assert ids() == {"fcgi_sse.E002"}


# ---- the template tag

def test_body_attributes(redis, django, caplog):
    """{% sse_body_attrs %}: the URL and the newest id, 0 in an empty store; only the URL while Redis is away."""
    def render(tag="sse_body_attrs"):
        template = engines["django"].from_string("{% load sse %}<body {% " + tag + " %}>")
        return template.render({}, RequestFactory().get("/"))

    assert render() == '<body sse-data="/sse/" data-last-event-id="0">'
    id_ = send_event("m", "x")
    assert fcgi_sse.current_id() == id_
    assert render() == '<body sse-data="/sse/" data-last-event-id="%d">' % id_
    assert render('sse_body_attrs "/s/?last=1" last_event_id=7') == '<body sse-data="/s/?last=1" data-last-event-id="7">'
    with django(FCGI_SSE_URL='/"'):
        assert 'sse-data="/&quot;"' in render()
    redis.stop()
    assert render() == '<body sse-data="/sse/">'
    redis.start()


# ---- records of sessions

def view(request):
    """What the tests' pages do."""
    do = request.GET.get("do", "")
    if do == "login":
        from django.contrib.auth import get_user_model
        auth.login(request, get_user_model().objects.get(username=request.GET["user"]),
                   "django.contrib.auth.backends.ModelBackend")
    elif do == "logout":
        auth.logout(request)
    elif do == "flush":
        request.session.flush()
    elif do == "rotate":
        request.session.cycle_key()
    elif do == "expire":
        request.session.set_expiry(int(request.GET["s"]))
    elif do == "password":
        request.user.set_password("other")
        request.user.save()
        if "keep" in request.GET:
            auth.update_session_auth_hash(request, request.user)
    elif do == "visit":
        return HttpResponse(request.user.get_username())
    elif do == "cart":
        request.session["cart"] = str(uuid.uuid4())
    elif do == "fail":
        request.session["x"] = 1
        raise RuntimeError("a bug of the site")
    return HttpResponse("ok")


urlpatterns = [path("", view)]


@pytest.fixture
def site(django, redis, folder):
    """site(ENGINE, **settings) -> a page's do(): a fresh browser of django.test with the whole middleware."""
    opened = []

    def start(engine="db", **more):
        override = django(ROOT_URLCONF=__name__, SESSION_ENGINE="django.contrib.sessions.backends." + engine, **more)
        override.enable()
        opened.append(override)

        def browser():
            client = Client(raise_request_exception=False)

            def do(what="", **query):
                response = client.get("/", {"do": what, **query})
                cookie = client.cookies.get(dj_settings.SESSION_COOKIE_NAME)
                do.cookie = cookie.value if cookie is not None else ""
                do.key = "sse:session:" + hashlib.sha256(do.cookie.encode()).hexdigest()
                return response

            do.client = client
            return do
        return browser

    yield start
    for override in reversed(opened):
        override.disable()


@pytest.fixture
def calls(monkeypatch):
    """calls() -> how often Redis was asked since the last time."""
    import redis
    count = []
    for class_, name in ((redis.Redis, "execute_command"), (redis.client.Pipeline, "execute")):
        def counted(*args, original=getattr(class_, name), **more):
            count.append(args)
            return original(*args, **more)
        monkeypatch.setattr(class_, name, counted)

    def number():
        n = len(count)
        count.clear()
        return n
    return number


def listen(redis, key):
    heard = redis.client.pubsub(ignore_subscribe_messages=True)
    heard.subscribe(key)
    wait_until(lambda: redis.channel_subscribers(key))
    heard.get_message()
    return heard


@pytest.mark.parametrize("engine", ENGINES + ["file"])
def test_login_and_logout(redis, site, engine):
    """Logging in writes the record with the session's TTL, logging out removes it and says so."""
    do, user = site(engine)(), new_user()
    do("cart")
    assert records(redis) == []
    do("login", user=user.username)
    assert records(redis) == [(user.username, [user.username, "all"])] and redis.client.exists(do.key)
    assert 1209590 <= redis.client.ttl(do.key) <= 1209600
    heard, key = listen(redis, do.key), do.key
    do("logout")
    assert records(redis) == [] and do.cookie == ""
    assert wait_until(lambda: heard.get_message())["data"] == b"0 0 p\n"
    assert redis.client.ttl("sse:over:" + key.rpartition(":")[2]) > 0
    do("login", user=user.username)
    assert len(records(redis)) == 1, "a new login is not held up by the one before"
    heard.close()


@pytest.mark.parametrize("engine", ENGINES)
def test_flush(redis, site, engine):
    """session.flush() without logout removes the record."""
    do = site(engine)()
    do("login", user=new_user().username)
    do("flush")
    assert records(redis) == []


@pytest.mark.parametrize("engine", ["db", "cached_db", "cache"])
def test_rotation(redis, site, engine):
    """A new session key: a new record, and the old one is gone at once."""
    do = site(engine)()
    do("login", user=new_user().username)
    before = do.key
    do("rotate")
    assert do.key != before and redis.client.exists(do.key) and not redis.client.exists(before)


def test_fixed_before_login(redis, site):
    """The session key from before the login, which somebody else may know, opens nothing."""
    do = site("db")()
    do("cart")
    before = do.key
    do("login", user=new_user().username)
    assert do.key != before and not redis.client.exists(before) and redis.client.exists(do.key)


def test_other_user_in_the_same_session(redis, site):
    """A second login in the same browser ends the streams of the first."""
    for engine in ("db", "signed_cookies"):
        do, a, b = site(engine)(), new_user(), new_user()
        do("login", user=a.username)
        do("login", user=b.username)
        assert records(redis) == [(b.username, [b.username, "all"])]
        do("logout")
        assert records(redis) == []


def test_signed_cookies_change(redis, site):
    """signed_cookies: each save makes another cookie.  The record follows it, streams of the older values go on
    for a while, and one logout ends them all."""
    do, user = site("signed_cookies")(), new_user()
    do("login", user=user.username)
    keys = [do.key]
    for _ in range(3):
        do("cart")
        keys.append(do.key)
    assert len(set(keys)) == 4 and redis.client.exists(*keys) == 4
    assert len(set(redis.client.mget(keys))) == 1, "the older streams see no change"
    assert all(redis.client.ttl(key) <= record_module.OLDER_S for key in keys[:-1])
    assert redis.client.ttl(do.key) > 1209000
    other = site("signed_cookies")()
    other("cart")  # else, within the second, it is the first cookie again
    other("login", user=user.username)
    do("logout")
    assert redis.client.exists(*keys) == 0 and redis.client.exists(other.key), "only this login's"
    [zset] = redis.client.keys("sse:user:*")
    assert redis.client.zcard(zset) == 5 and redis.client.ttl(zset) > 0


@pytest.mark.parametrize("engine", ENGINES)
def test_requests_that_change_nothing(site, calls, engine, monkeypatch):
    """A minute of requests that change nothing is one call of Redis; the next minute one more."""
    do = site(engine)()
    do("login", user=new_user().username)
    calls()
    for _ in range(5):
        do("visit")
        do()
    assert calls() == 0
    moment = time.monotonic()
    monkeypatch.setattr(sessions.time, "monotonic", lambda: moment + 61)
    for _ in range(5):
        do()
        do("visit")
    assert calls() == 1


def test_anonymous_sessions(site, calls):
    """A session without a user, and a visitor without a session, cost at most that, too."""
    browser = site("db")
    do, stranger = browser(), browser()
    do("cart")
    calls()
    for _ in range(3):
        do("visit")
        stranger("visit")
    assert calls() == 0


def test_save_every_request(redis, site, calls):
    """SESSION_SAVE_EVERY_REQUEST: the TTL follows the session's without a call for each request."""
    do = site("db", SESSION_SAVE_EVERY_REQUEST=True, SESSION_COOKIE_AGE=1000)()
    do("login", user=new_user().username)
    calls()
    for _ in range(5):
        do("visit")
    assert calls() == 0
    redis.client.expire(do.key, 10)
    sessions.recent.forget()
    do("visit")
    assert redis.client.ttl(do.key) > 990


def test_expiry_extended(redis, site):
    """A new expiry of the session is the record's at once."""
    do = site("db")()
    do("login", user=new_user().username)
    do("expire", s=100)
    assert 90 < redis.client.ttl(do.key) <= 100
    do("expire", s=5000)
    assert 4990 < redis.client.ttl(do.key) <= 5000


def test_a_check_does_not_extend(redis, site):
    """The record does not outlive the session: looking again leaves its expiry alone."""
    do = site("db")()
    do("login", user=new_user().username)
    redis.client.expire(do.key, 100)
    sessions.recent.forget()
    do("visit")
    assert redis.client.ttl(do.key) <= 100


@pytest.mark.parametrize("engine", ENGINES)
def test_redis_lost_it(redis, site, engine):
    """After FLUSHALL the next look puts the record back, with what the session has left."""
    do = site(engine, SESSION_COOKIE_AGE=1000)()
    do("login", user=new_user().username)
    redis.client.flushall()
    sessions.recent.forget()
    do()
    assert len(records(redis)) == 1 and 0 < redis.client.ttl(do.key) <= 1000


def test_what_the_session_has_left(redis, site):
    """A record that is put back ends with its session: db knows its date, a signed cookie its time."""
    from django.contrib.sessions.models import Session
    from django.utils import timezone
    do = site("db", SESSION_COOKIE_AGE=1000)()
    do("login", user=new_user().username)
    Session.objects.filter(session_key=do.cookie).update(expire_date=timezone.now() + datetime.timedelta(seconds=300))
    redis.client.flushall()
    sessions.recent.forget()
    do("visit")
    assert 290 < redis.client.ttl(do.key) <= 300
    do = site("signed_cookies", SESSION_COOKIE_AGE=1000)()
    old = signing.time.time
    signing.time.time = lambda: old() - 600
    try:
        do("login", user=new_user().username)
    finally:
        signing.time.time = old
    redis.client.flushall()
    sessions.recent.forget()
    do("visit")
    assert 390 < redis.client.ttl(do.key) <= 401


def test_the_tag_notices_a_loss(redis, site, django):
    """A page with the template tag puts the record back at once: no minute to wait."""
    template = engines["django"].from_string("{% load sse %}{% sse_body_attrs %}")
    do = site("db")()
    do("login", user=new_user().username)
    redis.client.flushall()
    do("visit")
    assert records(redis) == []
    request = RequestFactory().get("/")
    request.COOKIES = {dj_settings.SESSION_COOKIE_NAME: do.cookie}
    assert 'data-last-event-id="0"' in template.render({}, request)
    do("visit")
    assert len(records(redis)) == 1


def test_deactivated_and_deleted(redis, site):
    """A user who is deactivated or deleted loses all streams at once, and gets none back."""
    browser = site("db")
    for end in ("deactivate", "delete"):
        user, do, other = new_user(), browser(), browser()
        bystander = browser()
        bystander("login", user=new_user().username)
        do("login", user=user.username)
        other("login", user=user.username)
        heard = listen(redis, other.key)
        if end == "delete":
            user.delete()
        else:
            user.is_active = False
            user.save()
        assert redis.client.exists(do.key, other.key) == 0 and redis.client.exists(bystander.key)
        assert wait_until(lambda: heard.get_message())
        heard.close()
        sessions.recent.forget()
        do("visit")
        other("visit")
        assert redis.client.exists(do.key, other.key) == 0
        bystander("logout")


def test_rolled_back(redis, site):
    """A deactivation that is rolled back ends nothing."""
    user, do = new_user(), site("db")()
    do("login", user=user.username)
    with pytest.raises(RuntimeError), transaction.atomic():
        user.is_active = False
        user.save()
        raise RuntimeError
    assert redis.client.exists(do.key)


@pytest.mark.parametrize("engine", ENGINES)
def test_password_change(redis, site, engine):
    """A new password ends the streams of the other sessions at once; the one that changed it goes on."""
    browser = site(engine)
    user, do, other = new_user(), browser(), browser()
    do("login", user=user.username)
    other("login", user=user.username)
    do("password", keep="")
    assert redis.client.exists(do.key) and not redis.client.exists(other.key) and len(records(redis)) == 1
    sessions.recent.forget()
    assert other("visit").content == b""
    assert len(records(redis)) == 1
    do("password")  # and without update_session_auth_hash this one ends, too
    assert records(redis) == []
    do("visit")
    assert records(redis) == []


def test_renamed(redis, site):
    """A new user name: the channel of the old one is lost at once, the next page gives the new one."""
    user, do = new_user(), site("db")()
    do("login", user=user.username)
    user.username = "renamed"
    user.save()
    assert records(redis) == []
    do("visit")
    sessions.recent.forget()
    do("visit")
    assert records(redis) == [("renamed", ["renamed", "all"])]


def test_update_behind_the_signals(redis, site):
    """QuerySet.update() sends no signal: the next request ends the record, or end_streams() at once."""
    from django.contrib.auth import get_user_model
    browser = site("db")
    user, do, other = new_user(), browser(), browser()
    do("login", user=user.username)
    other("login", user=user.username)
    get_user_model().objects.filter(pk=user.pk).update(is_active=False)
    do("visit")
    assert not redis.client.exists(do.key) and redis.client.exists(other.key)
    fcgi_sse.end_streams(user)
    assert not redis.client.exists(other.key)
    do = browser()
    do("login", user=new_user().username)
    fcgi_sse.end_session(do.cookie)
    assert records(redis) == []


def test_a_late_request_does_not_revive(redis, site):
    """A request that began before the logout and ends behind it does not write the record again."""
    do, user = site("db")(), new_user()
    do("login", user=user.username)
    late = do.client.cookies.copy()
    request = RequestFactory().get("/")
    request.COOKIES = {dj_settings.SESSION_COOKIE_NAME: late[dj_settings.SESSION_COOKIE_NAME].value}
    engine = importlib.import_module(dj_settings.SESSION_ENGINE)
    request.session = engine.SessionStore(request.COOKIES[dj_settings.SESSION_COOKIE_NAME])
    assert request.session[auth.SESSION_KEY] == str(user.pk)  # loaded
    request.user = user
    started = time.monotonic()
    do("logout")
    sessions.recent.forget()
    sessions.follow(request, HttpResponse(), started)
    assert records(redis) == []
    redis.client.flushall()  # the mark is gone: so long a request must not write either
    sessions.follow(request, HttpResponse(), started - 31)
    assert records(redis) == []


def test_failed_page(redis, site):
    """A page that fails after it changed the session writes nothing for what was not saved."""
    do = site("db")()
    do("login", user=new_user().username)
    assert do("fail").status_code == 500
    assert len(records(redis)) == 1


def fails_afterwards(request):
    view(request)
    raise RuntimeError("a bug")


def test_page_that_fails_after_another_login(redis, site, monkeypatch):
    """B logs in over A and the page fails: A's session is gone, and with it its record."""
    do = site("db")()
    do("login", user=new_user().username)
    key = do.key
    monkeypatch.setattr(sys.modules[__name__], "urlpatterns", [path("", fails_afterwards)])
    clear_url_caches()
    try:
        assert do("login", user=new_user().username).status_code == 500
    finally:
        monkeypatch.undo()
        clear_url_caches()
    assert not redis.client.exists(key)


def test_logout_while_redis_is_full(redis, site):
    """Redis over its memory limit refuses to write, yet a logout ends the session."""
    do = site("db")()
    do("login", user=new_user().username)
    heard = listen(redis, do.key)
    redis.client.config_set("maxmemory", "1")
    key = do.key
    try:
        do("logout")
    finally:
        redis.client.config_set("maxmemory", "0")
    assert not redis.client.exists(key)
    wait_until(heard.get_message, 5, "the word of it")


CHANNELS = []


def channels(request):
    return [c.replace("USER", "user-%d" % request.user.pk) for c in CHANNELS]


def test_channels_of_a_setting(redis, site, caplog):
    """FCGI_SSE_CHANNELS decides the channels; a change is in Redis with the next request; none: no record."""
    do, user = site("db", FCGI_SSE_CHANNELS=__name__ + ".channels")(), new_user()
    CHANNELS[:] = ["USER", "all", "all"]
    do("login", user=user.username)
    assert records(redis) == [(user.username, ["user-%d" % user.pk, "all"])]
    heard, before = listen(redis, do.key), redis.client.ttl(do.key)
    CHANNELS.append("staff")
    do("visit")
    assert records(redis) == [(user.username, ["user-%d" % user.pk, "all", "staff"])]
    assert wait_until(lambda: heard.get_message()) and redis.client.ttl(do.key) <= before
    heard.close()
    CHANNELS[:] = []
    do("visit")
    assert records(redis) == []
    CHANNELS[:] = [{}.__class__]  # a bug in it fails no page and gives no channel
    assert do("visit").status_code == 200 and records(redis) == [] and "FCGI_SSE_CHANNELS failed" in caplog.text


def test_user_names(redis, site, caplog):
    """A user name that is no channel's name gives no channel of its own, and one warning."""
    do = site("db")()
    good = new_user("jörg@x.y+z-w")
    do("login", user=good.username)
    assert records(redis) == [(good.username, [good.username, "all"])]
    do("logout")
    for name in ("a,b", "sse:event", "a b", "__x"):
        bad = new_user(name)
        caplog.clear()
        do("login", user=name)
        do("visit")
        sessions.recent.forget()
        do("visit")
        assert records(redis) == [(name, ["all"])]
        assert len(caplog.records) == 1 and caplog.records[0].levelno == logging.WARNING
        do("logout")
        bad.delete()


def test_token_of_another_user(redis, site):
    """request.user that is not the session's (a token's, say) gives the session no channels."""
    do, user, other = site("db")(), new_user(), new_user()
    do("login", user=user.username)
    request = RequestFactory().get("/")
    request.COOKIES = {dj_settings.SESSION_COOKIE_NAME: do.cookie}
    request.session = importlib.import_module(dj_settings.SESSION_ENGINE).SessionStore(do.cookie)
    request.user = request._cached_user = other
    sessions.recent.forget()
    sessions.follow(request, HttpResponse(), time.monotonic())
    assert records(redis) == [(user.username, [user.username, "all"])]


def test_redis_away(redis, site, caplog, monkeypatch):
    """Redis away: pages work, one warning; what ended meanwhile is ended when it is back, who logged in gets a record."""
    monkeypatch.setattr(record_module, "RETRY_S", 0)  # ask at each request
    browser = site("db")
    staying, leaving, user = browser(), browser(), new_user()
    staying("login", user=user.username)
    leaving("login", user=user.username)
    redis.client.config_set("requirepass", "now")  # every call fails, the data stays
    from fcgi_sse.redis_client import client
    client().connection_pool.disconnect()
    record_module.link.retry_at = 0
    new = browser()
    assert leaving("logout").status_code == new("login", user=user.username).status_code == 200
    for _ in range(3):
        assert new("visit").status_code == 200
    assert [r.levelname for r in caplog.records if r.name == "fcgi_sse"] == ["WARNING"]
    redis.password = "now"
    redis._client = None
    redis.client.config_set("requirepass", "")
    assert redis.client.exists(leaving.key) or len(records(redis)) == 2
    new("visit")
    assert redis.client.exists(new.key) and redis.client.exists(staying.key) and len(records(redis)) == 2


def test_redis_hangs(redis, site, caplog, monkeypatch):
    """A Redis that does not answer costs one page its time limit, not each of them."""
    from fcgi_sse.redis_client import client
    do = site("db")()
    do("login", user=new_user().username)
    client().connection_pool.reset()
    client().connection_pool.connection_kwargs["socket_timeout"] = 0.3
    redis.client.execute_command("CLIENT", "PAUSE", "3000", "ALL")
    sessions.recent.forget()
    started = time.monotonic()
    for _ in range(5):
        assert do("visit").status_code == 200
    assert time.monotonic() - started < 1.5
    assert len([r for r in caplog.records if r.name == "fcgi_sse"]) == 1


@pytest.mark.parametrize("engine", ["db", "signed_cookies"])
def test_asgi(redis, site, engine):
    """The same under ASGI: login, logout."""
    from django.test import AsyncClient
    user = new_user()
    site(engine)

    async def visit():
        client = AsyncClient()
        await client.get("/?do=login&user=" + user.username)
        there = records(redis)
        await client.get("/?do=logout")
        return there

    assert asyncio.run(visit()) == [(user.username, [user.username, "all"])] and records(redis) == []


# ---- the package

def pip_install(folder):
    """The command of README, on a copy (pip writes into the source folder)."""
    for name in ("contrib/django", "lua", "static"):
        shutil.copytree(os.path.join(TOP, name), folder / ("src/" + name), symlinks=True,
                        ignore=shutil.ignore_patterns("__pycache__", "vendor", "*.sqlite3", "build", "*.egg-info"))
    done = subprocess.run([PYTHON, "-m", "pip", "install", "--no-build-isolation", "--no-deps", "--no-index",
                           "--target", folder / "installed", folder / "src/contrib/django"],
                          env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout.decode()
    return folder / "installed"


def test_installed(folder, redis):
    """pip installs it with copies of the one publish.lua and the one sse.js; it works, and collectstatic finds sse.js."""
    target = pip_install(folder)
    shutil.rmtree(folder / "src")
    for name, source in (("lua/publish.lua", "lua/publish.lua"), ("static/fcgi_sse/sse.js", "static/sse.js")):
        with open(os.path.join(target, "fcgi_sse", name), "rb") as a, open(os.path.join(TOP, source), "rb") as b:
            assert a.read() == b.read()
    code = """if True:
        import fcgi_sse, sys
        from django.conf import settings
        settings.configure(INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "fcgi_sse",
            "django.contrib.staticfiles"], FCGI_SSE_REDIS=sys.argv[1], STATIC_ROOT=sys.argv[2], STATIC_URL="/static/")
        import django
        django.setup()
        from django.core.management import call_command
        call_command("collectstatic", interactive=False, verbosity=0)
        print(fcgi_sse.__file__, fcgi_sse.send_event("message", "installed"))
    """
    done = subprocess.run([PYTHON, "-c", code, redis.url, folder / "collected"], env={**os.environ, "PYTHONPATH": target},
                          check=True, stdout=subprocess.PIPE, cwd=folder.path, timeout=30)
    assert done.stdout.decode().startswith(target) and published(redis) == [("message", "installed")]
    with open(folder / "collected/fcgi_sse/sse.js", "rb") as a, open(os.path.join(TOP, "static/sse.js"), "rb") as b:
        assert a.read() == b.read()


def test_runsseserver_without_fcgi_sse(folder, redis):
    """runsseserver says what is missing where fcgi-sse is not installed."""
    target = folder / "alone"
    shutil.copytree(os.path.join(PACKAGE, "fcgi_sse"), os.path.join(target, "fcgi_sse"))
    code = """if True:
        import shutil
        from django.conf import settings
        settings.configure(INSTALLED_APPS=["fcgi_sse"])
        import django
        django.setup()
        from django.core.management import execute_from_command_line
        shutil.which = lambda *args, **more: None
        execute_from_command_line(["manage.py", "runsseserver"])
    """
    done = subprocess.run([PYTHON, "-c", code], env={**os.environ, "PYTHONPATH": target}, timeout=30,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode != 0 and b"sse-serve is not in PATH" in done.stderr and b"Traceback" not in done.stderr


# ---- README

with open(os.path.join(PACKAGE, "README.md"), encoding="utf-8") as f:
    BLOCKS = dict(re.findall(r"<!-- run: (\S+) -->\n```\w+\n(.*?)^```$", f.read(), re.S | re.M))


def test_readme(redis, django):
    """What README says to paste works."""
    from django.contrib.auth.models import Group
    from django.db.models.signals import post_save
    values = {"INSTALLED_APPS": ["a"], "MIDDLEWARE": ["b"]}
    exec(BLOCKS["settings"], values)
    assert values["INSTALLED_APPS"] == ["a", "fcgi_sse"] and values["FCGI_SSE_REDIS"] == conf.DEFAULT_REDIS
    assert values["MIDDLEWARE"] == ["fcgi_sse.middleware.SSESessionMiddleware", "b"]
    page = engines["django"].from_string(BLOCKS["template"]).render({}, RequestFactory().get("/"))
    assert '<script src="/static/fcgi_sse/sse.js">' in page and '<body sse-data="/sse/" data-last-event-id="0">' in page
    names_ = {}
    exec(BLOCKS["send"], names_)
    exec(BLOCKS["signal"], names_)
    try:
        Group.objects.create(name="new").delete()
    finally:
        post_save.disconnect(names_["tell"], sender=Group)
    assert published(redis, "all") == [("message", '{"type": "chat", "text": "hello"}'),
                                       ("message", '{"type": "group", "name": "new", "created": true}')]
    names_.update(render=lambda request, template, context: context, Group=Group)
    exec(BLOCKS["position"], names_)
    assert names_["index"](None)["position"] == fcgi_sse.current_id()


def test_readme_channels(redis, site):
    """README's channels by id: a user called staff reads nothing of the staff."""
    names_ = {}
    exec(BLOCKS["channels"], names_)
    exec(BLOCKS["channels-setting"], names_)
    assert names_["FCGI_SSE_CHANNELS"] == "myapp.sse.channels"
    do = site("db", FCGI_SSE_CHANNELS=names_["channels"])()
    do("login", user=new_user("staff").username)
    [(_, [own, shared])] = records(redis)
    assert re.match(r"user-\d+$", own) and shared == "all"
    do("login", user=new_user("boss", is_staff=True).username)
    assert records(redis)[0][1][1:] == ["all", "staff"]
