# SPDX-License-Identifier: ISC
"""contrib/django: what ends streams, and what does not bring them back - late requests,
requests in flight, pages that fail.  Django runs in this process, Redis is real."""
import importlib
import time
import types

import pytest

import django_pages
from django_pages import calls, change_password, deactivate, delete, listen, mark_of, rename, site, view  # noqa: F401
from django_site import django, new_user, records  # noqa: F401
from processes import wait_until

import fcgi_sse
from django.conf import settings as dj_settings
from django.contrib import auth
from django.core import signing
from django.http import HttpResponse
from django.test import RequestFactory
from django.urls import clear_url_caches, path
from fcgi_sse import middleware, sessions


def test_a_late_request_does_not_revive(redis, site):
    """A request that began before the logout and ends after it does not write the record again."""
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


def test_the_order_of_an_end(redis, site):
    """First the marks, then the records go, then the word: who hears it finds no record, and none is written between."""
    browser = site("db")
    user, keys = new_user(), []
    for _ in range(2):
        do = browser()
        do("login", user=user.username)
        keys.append(do.key)
    redis.client.ping()
    with redis.client.monitor() as monitor:
        fcgi_sse.end_streams(user)
        words = []
        while len(words) < 6:
            word, key, *_ = monitor.next_command()["command"].split()
            if word in ("SET", "DEL", "PUBLISH"):
                words.append((word, key))
    assert [word for word, _ in words] == ["SET"] * 2 + ["DEL"] * 2 + ["PUBLISH"] * 2
    assert {key for word, key in words if word != "SET"} == set(keys)


def test_login_again_within_the_second(redis, site, monkeypatch):
    """signed_cookies: a login that gets the very cookie that was logged out a moment ago is a login."""
    do, user, moment = site("signed_cookies")(), new_user(), time.time()
    monkeypatch.setattr(signing.time, "time", lambda: moment)
    do("login", user=user.username)
    key = do.key
    do("logout")
    assert records(redis) == []
    do("login", user=user.username)
    assert do.key == key and len(records(redis)) == 1


def test_slow_login(redis, site, monkeypatch):
    """A login that takes longer than a mark can tell of has its record: nobody can have ended its new session."""
    monkeypatch.setattr(middleware, "time", types.SimpleNamespace(monotonic=lambda: time.monotonic() - 31))
    do = site("db")()
    do("login", user=new_user().username)
    assert redis.client.exists(do.key)


@pytest.mark.parametrize("engine", ["db", "signed_cookies"])
@pytest.mark.parametrize("known", [True, False])
def test_a_minute_without_streams(redis, site, calls, monkeypatch, engine, known):
    """end_streams(): one request asks Redis how long it is to be, the others do not; the first one after it gives
    the channels back."""
    do, user = site(engine)(), new_user()
    do("login", user=user.username)
    fcgi_sse.end_streams(user)
    assert 55 < redis.client.ttl(mark_of(do)) <= 60
    redis.client.pexpire(mark_of(do), 400)
    moment = time.monotonic() + 61  # a process that knows the session looks anew
    if known:
        monkeypatch.setattr(sessions.time, "monotonic", lambda: moment)
    else:
        sessions.recent.forget()
    calls()
    for _ in range(5):
        do("visit")
    # signed_cookies: a process that does not know the session asks for its login, too
    assert calls() == (2 if engine == "signed_cookies" and not known else 1) and records(redis) == []
    wait_until(lambda: not redis.client.exists(mark_of(do)))
    moment += 0.5
    do("visit")
    assert len(records(redis)) == 1


AFTERWARDS = []


def behind_the_user(request):
    """Another process changes the user when this request has looked at it and has not written its record yet."""
    is_staff = request.user.is_staff
    while AFTERWARDS:
        AFTERWARDS.pop()(request.user)
    return ["all", "staff"] if is_staff else ["all"]


def take_a_right(user):
    user.is_staff = False
    user.save()
    fcgi_sse.end_streams(user)


@pytest.mark.parametrize("change", [deactivate, delete, change_password, rename, take_a_right])
def test_login_in_flight(redis, site, change):
    """A user who changes during the request that logs in, or that gives the session a new key: no record stays that
    the change did not find."""
    from django.contrib.auth import get_user_model

    def afresh(user):
        change(get_user_model().objects.get(pk=user.pk))

    for request in "login", "renew":
        do, user = site("db", FCGI_SSE_CHANNELS=__name__ + ".behind_the_user")(), new_user(is_staff=True)
        if request == "renew":
            do("login", user=user.username)
        AFTERWARDS[:] = [afresh]
        do(request, user=user.username)
        assert not AFTERWARDS and records(redis) == []
        do("visit")  # and what the session may read from now on, it reads at once
        assert [channels for _, channels in records(redis)] == {
            rename: [["all", "staff"]], take_a_right: [["all"]]}.get(change, [])
        do("logout")
        get_user_model().objects.all().delete()


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
    monkeypatch.setattr(django_pages, "urlpatterns", [path("", fails_afterwards)])
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
    wait_until(heard.get_message, what="the word of it")


@pytest.mark.parametrize("engine", ["db", "signed_cookies"])
def test_no_record_that_nobody_finds(redis, site, engine):
    """Where the set of a user, or of a login, is something else, no record is written that end_streams() or a logout
    would not find."""
    do, user = site(engine)(), new_user()
    do("cart")
    redis.client.set("sse:user:%s" % user.pk, "no set")
    assert do("login", user=user.username).status_code == 200 and records(redis) == []
    redis.client.flushall()
    if engine == "signed_cookies":
        do("visit")
        [login] = redis.client.keys("sse:login:*")
        redis.client.set(login, "no set")
        before = records(redis)
        assert do("cart").status_code == 200 and records(redis) == before
