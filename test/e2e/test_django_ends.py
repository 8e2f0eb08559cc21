# SPDX-License-Identifier: ISC
"""contrib/django: what ends streams - users who change, late requests, pages that
fail, and a Redis that was away.  Django runs in this process, Redis is real."""
import importlib
import time

import pytest

import django_pages
from django_pages import calls, listen, site, view  # noqa: F401
from django_site import ENGINES, django, new_user, records  # noqa: F401
from processes import wait_until

import fcgi_sse
from django.conf import settings as dj_settings
from django.contrib import auth
from django.core import serializers
from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.db.models.signals import post_save
from django.http import HttpResponse
from django.test import RequestFactory
from django.urls import clear_url_caches, path
from fcgi_sse import sessions


def mark_of(do):
    """The key that says for a minute that a session is over."""
    return do.key.replace("sse:session:", "sse:over:")


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
    heard = listen(redis, other.key)
    do("password", keep="")
    assert wait_until(heard.get_message)
    heard.close()
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


@pytest.fixture
def first_receiver():
    """first_receiver(f): f hears the user's post_save before the package does."""
    from django.contrib.auth import get_user_model
    before = post_save.receivers[:]

    def connect(receiver):
        post_save.connect(receiver, sender=get_user_model(), weak=False)
        post_save.receivers = post_save.receivers[-1:] + before
        post_save.sender_receivers_cache.clear()

    yield connect
    post_save.receivers = before
    post_save.sender_receivers_cache.clear()


def save_again(instance, **_):
    """A receiver that saves the user once more, well and in vain."""
    if not instance.__dict__.setdefault("saved_again"):
        instance.saved_again = True
        instance.save()
        with pytest.raises(IntegrityError), transaction.atomic():
            instance.save(force_insert=True)


@pytest.mark.parametrize("change", ["deactivate", "change_password", "rename"])
def test_saved_again_in_a_receiver(redis, site, first_receiver, change):
    """Another receiver that saves the user once more, even in vain, hides no change."""
    user, do = new_user(), site("db")()
    do("login", user=user.username)
    first_receiver(save_again)
    globals()[change](user)
    assert user.saved_again and records(redis) == []


def test_failed_save(redis, site, monkeypatch):
    """What was before a save that failed is forgotten: it neither hides a change nor makes one."""
    from django.contrib.auth import get_user_model
    users = get_user_model().objects
    for is_active in False, True:
        do, user, taken = site("db")(), new_user(), new_user().username
        users.filter(pk=user.pk).update(is_active=is_active)
        name, user.username = user.username, taken
        with pytest.raises(IntegrityError), transaction.atomic():
            user.save()
        users.filter(pk=user.pk).update(is_active=True, password="another")
        user.refresh_from_db()
        do("login", user=name)
        user.save()
        assert redis.client.exists(do.key)
        user.is_active = False
        user.save()
        assert not redis.client.exists(do.key)


@pytest.mark.parametrize("how", ["new", "loaddata"])
def test_saved_over(redis, site, folder, how):
    """A user who is saved anew under the same primary key, or loaded from a fixture, is a change like any other."""
    from django.contrib.auth import get_user_model
    user, do, other = new_user(), site("db")(), site("db")()
    do("login", user=user.username)
    other("login", user=new_user().username)
    user.is_active = False
    if how == "loaddata":
        call_command("loaddata", folder.write("users.json", serializers.serialize("json", [user])), verbosity=0)
    else:
        get_user_model()(pk=user.pk, username=user.username, password=user.password, is_active=False).save()
    assert not redis.client.exists(do.key) and redis.client.exists(other.key)
    call_command("loaddata", folder.write("users.json", serializers.serialize("json", get_user_model().objects.all())),
                 verbosity=0)
    assert redis.client.exists(other.key), "nothing has changed"


def test_update_behind_the_signals(redis, site):
    """QuerySet.update() sends no signal: the next request ends the record, or end_streams() at once."""
    from django.contrib.auth import get_user_model
    browser = site("db")
    user, do, other = new_user(), browser(), browser()
    do("login", user=user.username)
    other("login", user=user.username)
    get_user_model().objects.filter(pk=user.pk).update(is_active=False)
    do("visit")
    assert not redis.client.exists(do.key) and redis.client.exists(other.key, mark_of(do)) == 2
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


@pytest.mark.parametrize("known", [True, False])
def test_a_minute_without_streams(redis, site, calls, monkeypatch, known):
    """end_streams(): one request asks Redis how long it is to be, the others do not; the first one behind it gives
    the channels back."""
    do, user = site("db")(), new_user()
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
    assert calls() == 1 and records(redis) == []
    wait_until(lambda: not redis.client.exists(mark_of(do)))
    moment += 0.5
    do("visit")
    assert len(records(redis)) == 1


BEHIND = []


def behind_the_user(request):
    """Another process changes the user when this request has looked at it and has not written its record yet."""
    is_staff = request.user.is_staff
    while BEHIND:
        BEHIND.pop()(request.user)
    return ["all", "staff"] if is_staff else ["all"]


def deactivate(user):
    user.is_active = False
    user.save()


def delete(user):
    user.delete()


def change_password(user):
    user.set_password("x")
    user.save()


def rename(user):
    user.username = "renamed"
    user.save()


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
        BEHIND[:] = [afresh]
        do(request, user=user.username)
        assert not BEHIND and records(redis) == []
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
    wait_until(heard.get_message, 5, "the word of it")
