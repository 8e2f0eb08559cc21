# SPDX-License-Identifier: ISC
"""contrib/django in sites that are set up otherwise: another prefix, cookies, middleware
and model of users."""
import asyncio
import json
import os
import subprocess

import pytest

import django_pages
from django_pages import site, view  # noqa: F401
from django_site import PACKAGE, PYTHON, django, new_user, records  # noqa: F401

from asgiref.sync import sync_to_async
from django.conf import settings as dj_settings
from django.test import AsyncClient
from django.urls import clear_url_caches, path
from django.utils.decorators import async_only_middleware
from fcgi_sse import current_id, send_event


def test_prefix(redis, site, start_fcgi_sse, loop):
    """FCGI_SSE_PREFIX and fcgi-sse --prefix: record, events and logout go by the keys of that prefix."""
    fcgi_sse = start_fcgi_sse(redis, "--prefix=shop:", recorder=False)
    do, user = site("db", FCGI_SSE_PREFIX="shop:")(), new_user("sse:tug")
    do("login", user=user.username)
    where = {"params": {"SSE_SESSION_COOKIE": "sessionid"}, "headers": {"Cookie": "sessionid=" + do.cookie}}
    stream = loop.live(fcgi_sse, **where)
    assert send_event("message", "mine", user.username) == current_id()
    assert stream.wait_data(1) == ["mine"]
    do("logout")
    stream.wait_end()
    assert stream.all_events[-1].type == "stream-end" and loop.fetch(fcgi_sse, **where).status == 403
    assert {key.split(b":")[0] for key in redis.client.keys("*")} == {b"shop"}


@pytest.mark.parametrize("engine", ["db", "signed_cookies"])
@pytest.mark.parametrize("settings", [{"SESSION_EXPIRE_AT_BROWSER_CLOSE": True},
                                      {"SESSION_COOKIE_PATH": "/shop/", "SESSION_COOKIE_DOMAIN": "testserver"}])
def test_cookies(redis, site, engine, settings):
    """A cookie without an expiry, or for a part of the site, is followed like any other, and ends like any other."""
    do, user = site(engine, SESSION_COOKIE_AGE=1000, **settings)(), new_user()
    do("login", user=user.username)
    do("cart")
    assert redis.client.exists(do.key) and 990 < redis.client.ttl(do.key) <= 1000
    do("logout")
    assert records(redis) == []


@async_only_middleware
def async_only(get_response):
    async def middleware(request):
        return await get_response(request)
    return middleware


async def async_view(request):
    return await sync_to_async(view)(request)


@pytest.mark.parametrize("engine", ["db", "signed_cookies"])
@pytest.mark.parametrize("is_async", [False, True])
def test_asgi(redis, site, monkeypatch, engine, is_async):
    """The same under ASGI, also where the view and the middleware around ours are asynchronous: login, logout."""
    user, more = new_user(), {}
    if is_async:
        ours, *others = dj_settings.MIDDLEWARE
        more["MIDDLEWARE"] = [__name__ + ".async_only", ours, __name__ + ".async_only", *others, __name__ + ".async_only"]
        monkeypatch.setattr(django_pages, "urlpatterns", [path("", async_view)])
    clear_url_caches()
    site(engine, **more)

    async def visit():
        client = AsyncClient()
        await client.get("/?do=login&user=" + user.username)
        there = records(redis)
        await client.get("/?do=logout")
        return there

    try:
        assert asyncio.run(visit()) == [(user.username, [user.username, "all"])] and records(redis) == []
    finally:
        monkeypatch.undo()
        clear_url_caches()


MODELS = """
import uuid
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models

class Person(AbstractBaseUser):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    email = models.EmailField(unique=True)
    is_active = models.BooleanField(default=True)
    objects = BaseUserManager()
    USERNAME_FIELD = "email"

class Member(Person):
    number = models.IntegerField(default=0)
"""
SCRIPT = """if True:
    import json, sys
    from django.conf import settings
    settings.configure(
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions", "people", "fcgi_sse"],
        AUTH_USER_MODEL="people.Person", FCGI_SSE_REDIS=sys.argv[1], ROOT_URLCONF="people.models", SECRET_KEY="x", USE_TZ=True,
        MIDDLEWARE=["fcgi_sse.middleware.SSESessionMiddleware", "django.contrib.sessions.middleware.SessionMiddleware"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}, ALLOWED_HOSTS=["*"])
    import django
    django.setup()
    from django.contrib.auth import login
    from django.core import serializers
    from django.core.management import call_command
    from django.http import HttpResponse
    from django.test import Client
    from django.urls import path
    from fcgi_sse.redis_client import client
    from people import models
    call_command("migrate", run_syncdb=True, verbosity=0)
    models.urlpatterns = [path("", lambda r: login(r, models.Person.objects.get()) or HttpResponse()),
                          path("visit", lambda r: HttpResponse(r.session.get("x", "")))]
    member = models.Member(email="tug@x.y")
    member.set_password("demo")
    member.save()
    browser = Client()
    def is_there():
        return [json.loads(client().get(key)) for key in client().keys("sse:session:*")]
    def fixture(*objects):
        with open(sys.argv[2], "w") as f:
            f.write(serializers.serialize("json", objects))
        call_command("loaddata", sys.argv[2], verbosity=0)
    def visit():
        browser.get("/visit")
        return is_there()
    browser.get("/")
    said = [is_there()]
    member.number = 7
    member.save()
    fixture(member)
    said.append(is_there())
    member.email = "new@x.y"
    member.save()
    said += [is_there(), visit()]
    member.person_ptr.is_active = False
    fixture(member.person_ptr)
    said.append(is_there())
    print(json.dumps(said))
"""


def test_another_model_of_users(redis, folder):
    """AUTH_USER_MODEL with a UUID and an e-mail address, and a table of its own that extends it: records, and what ends
    them; the part of a fixture that holds none of the user's fields changes none."""
    folder.write("people/__init__.py", "")
    folder.write("people/models.py", MODELS)
    done = subprocess.run([PYTHON, "-c", SCRIPT, redis.url, folder / "fixture.json"], stdout=subprocess.PIPE, timeout=30,
                          env={**os.environ, "PYTHONPATH": "%s:%s" % (PACKAGE, folder.path)}, cwd=folder.path, check=True)
    old, new = ([{"user": name, "channels": [name, "all"]}] for name in ("tug@x.y", "new@x.y"))
    assert json.loads(done.stdout) == [old, old, [], new, []]
