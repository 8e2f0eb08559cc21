# SPDX-License-Identifier: ISC
"""contrib/django: the record of a session follows its login, its key, its expiry and
its channels.  Django runs in this process, Redis is real."""
import asyncio
import datetime
import importlib
import logging
import time

import pytest

from django_pages import calls, listen, site  # noqa: F401
from django_site import ENGINES, django, new_user, records  # noqa: F401
from processes import wait_until

from django.conf import settings as dj_settings
from django.core import signing
from django.http import HttpResponse
from django.template import engines
from django.test import RequestFactory
from django.utils.translation import gettext_lazy
from fcgi_sse import records as record_module
from fcgi_sse import sessions


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
    """session.flush() without logout removes the record and says so, whatever the cookie's name."""
    do = site(engine, SESSION_COOKIE_NAME="shop")()
    do("login", user=new_user().username)
    heard = listen(redis, do.key)
    do("flush")
    assert records(redis) == [] and wait_until(heard.get_message)
    heard.close()


@pytest.mark.parametrize("engine", ["db", "cached_db", "cache"])
def test_rotation(redis, site, engine):
    """A new session key: a new record, and the old one is gone at once and says so."""
    do = site(engine)()
    do("login", user=new_user().username)
    before, heard = do.key, listen(redis, do.key)
    do("rotate")
    assert do.key != before and redis.client.exists(do.key) and not redis.client.exists(before)
    assert wait_until(heard.get_message)
    heard.close()


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


def test_signed_cookies_leave_the_sets(redis, site):
    """signed_cookies: what finds the record of an older value goes when that does, not with the session; and what
    was not in a set is not put there."""
    do, user = site("signed_cookies")(), new_user()
    do("login", user=user.username)
    older = do.key.rpartition(":")[2]
    do("cart")
    login = redis.client.keys("sse:login:*")[0]
    latest = 1000 * (time.time() + record_module.OLDER_S)
    for zset in login, b"sse:user:%d" % user.pk:
        assert latest - 10000 < redis.client.zscore(zset, older) <= latest
        assert redis.client.zscore(zset, do.key.rpartition(":")[2]) > latest + 1e9
    redis.client.zrem(login, do.key.rpartition(":")[2])
    do("cart")
    assert redis.client.zcard(login) == 2


def cart_channels(request):
    return staff_channels(request) + (["cart"] if "cart" in request.session else [])


def test_signed_cookies_change_channels(redis, site):
    """signed_cookies: other channels reach the streams of all values of the cookie, in this login only, and a late
    request that came with an older value takes nothing back."""
    browser = site("signed_cookies", FCGI_SSE_CHANNELS=cart_channels)
    do, other, user = browser(), browser(), new_user()
    do("login", user=user.username)
    first, cookies = do.key, do.client.cookies.copy()
    other("expire", s=999)  # else, within the second, it is the first cookie again
    other("login", user=user.username)
    all_of = lambda: sorted(channels for _, channels in records(redis))  # noqa: E731
    heard = listen(redis, first)
    do("cart")
    second = do.key
    assert all_of() == [["all"], ["all", "cart"], ["all", "cart"]] and wait_until(heard.get_message)
    assert redis.client.mget(first) == redis.client.mget(second) and redis.client.ttl(first) <= record_module.OLDER_S
    do("cart")
    user.is_staff = True
    user.save()
    before = [redis.client.ttl(key) for key in (first, second, do.key)]
    do("visit")
    assert all_of() == [["all"], *[["all", "staff", "cart"]] * 3] and wait_until(heard.get_message)
    after = [redis.client.ttl(key) for key in (first, second, do.key)]
    assert all(0 <= b - a <= 2 for b, a in zip(before, after))
    heard.close()
    do.client.cookies = cookies
    do("visit")
    assert all_of() == [["all"], *[["all", "staff", "cart"]] * 3]
    do("expire", s=5000)
    assert all_of() == [["all"], *[["all", "staff"]] * 4], "until it saves: the browser has its cookie from now on"


def test_signed_cookie_comes_back(redis, site, monkeypatch):
    """signed_cookies: a value that the browser has again, within the second, is no older one."""
    do, user = site("signed_cookies", FCGI_SSE_CHANNELS=staff_channels)(), new_user()
    moment = time.time()
    monkeypatch.setattr(signing.time, "time", lambda: moment)
    do("login", user=user.username)
    keys = [do("expire", s=s) and do.key for s in (999, 500, 999)]
    assert keys[0] == keys[2] != keys[1]
    user.is_staff = True
    user.save()
    do("visit")
    assert records(redis) == [(user.username, ["all", "staff"])] * 3


@pytest.mark.parametrize("engine", ENGINES)
def test_requests_that_change_nothing(site, calls, engine, monkeypatch):
    """A minute of requests that change nothing is one call of Redis; the next minute one more, and one in each
    process that has not seen the session yet."""
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
    sessions.recent.forget()
    for _ in range(5):
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


@pytest.mark.parametrize("engine", ENGINES + ["file"])
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
    for engine in "cache", "file":  # they do not say
        do = site(engine, SESSION_COOKIE_AGE=1000)()
        do("login", user=new_user().username)
        redis.client.flushall()
        sessions.recent.forget()
        do("visit")
        assert 990 < redis.client.ttl(do.key) <= 1000


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


@pytest.mark.parametrize("page, seconds", [("tag", 0), ("visit", 61)])
def test_rights_taken_away_elsewhere(redis, site, monkeypatch, page, seconds):
    """Channels that another process gave, and that are taken away again, go with the next page that has the template tag,
    and a minute later with any request: what this process wrote last says nothing of Redis."""
    do, user = site("db", FCGI_SSE_CHANNELS=staff_channels)(), new_user()
    do("login", user=user.username)
    here = list(sessions.recent.of.items())
    user.is_staff = True
    user.save()
    sessions.recent.forget()  # another process
    do("visit")
    assert records(redis) == [(user.username, ["all", "staff"])]
    user.is_staff = False
    user.save()
    sessions.recent.forget()
    sessions.recent.of.update(here)
    moment = time.monotonic() + seconds
    monkeypatch.setattr(sessions.time, "monotonic", lambda: moment)
    do(page)
    assert records(redis) == [(user.username, ["all"])]


def staff_channels(request):
    return ["all", "staff"] if request.user.is_staff else ["all"]


@pytest.mark.parametrize("name", ["J\u00f6rg", "anna"])
def test_the_tag_costs_one_call(site, calls, name):
    """A page with the template tag asks Redis once, whether its session has a record, has none, or there is no session."""
    browser = site("db")
    new_user(name)
    do, anonymous, stranger = browser(), browser(), browser()
    do("login", user=name)
    anonymous("cart")
    for one in do, anonymous, stranger:
        one("tag")
        calls()
        for _ in range(3):
            one("tag")
        assert calls() == 3


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
    for _ in range(3):
        assert do("visit").status_code == 200 and records(redis) == []
    [told] = caplog.records
    assert "FCGI_SSE_CHANNELS failed" in told.message and told.exc_info and told.levelno == logging.ERROR


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("none", [[], [None]])
def test_no_channels_for_a_moment(redis, site, engine, none):
    """A session whose rule has no channels, or failed, is not over: the next request that has some has a record."""
    do, user = site(engine, FCGI_SSE_CHANNELS=__name__ + ".channels", SESSION_COOKIE_AGE=1000)(), new_user()
    CHANNELS[:] = ["room-1"]
    do("login", user=user.username)
    do("cart")
    heard = listen(redis, do.key)
    CHANNELS[:] = none
    do("visit")
    assert records(redis) == [] and wait_until(heard.get_message)
    heard.close()
    CHANNELS[:] = ["room-2"]
    do("visit")
    assert records(redis) == [(user.username, ["room-2"])] and 990 < redis.client.ttl(do.key) <= 1000


@pytest.mark.parametrize("wrong", ["all", gettext_lazy("all"), b"all", None, 3, [3], [b"\xff"]])
def test_channels_that_are_no_list(redis, site, caplog, wrong):
    """A rule that answers with a text has no channel of each letter: it is a bug, and the log says so."""
    do = site("db", FCGI_SSE_CHANNELS=lambda request: wrong)()
    assert do("login", user=new_user().username).status_code == 200
    assert records(redis) == [] and len(caplog.records) == 1


@pytest.mark.parametrize("rule", [set("abcdefgh"), tuple("abcdefgh"), [gettext_lazy("a"), b"b", *"cdefgh"]])
def test_channels_in_what_holds_them(redis, site, rule):
    """A rule may answer with anything that holds texts; a set has one order, whatever Python's is."""
    do, user = site("db", FCGI_SSE_CHANNELS=lambda request: rule)(), new_user()
    do("login", user=user.username)
    assert records(redis) == [(user.username, list("abcdefgh"))]


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
    assert request.user is other, "a middleware above sees what the page saw"
    del request.user
    sessions.recent.forget()
    sessions.follow(request, HttpResponse(), time.monotonic())
    assert not hasattr(request, "user"), "nor is there one where no middleware set it"


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
