# SPDX-License-Identifier: ISC
"""contrib/django: the record of a session follows its login, its key and its expiry.
Django runs in this process, Redis is real."""
import datetime
import importlib
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
