# SPDX-License-Identifier: ISC
"""Pages for tests of contrib/django in this process: a browser of django.test before
the whole middleware.  (ROOT_URLCONF is this module.)"""
import hashlib
import uuid

import pytest

import django_site
from processes import wait_until

pytest.importorskip("django")
django_site.configure()

from django.conf import settings as dj_settings  # noqa: E402
from django.contrib import auth  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.template import engines  # noqa: E402
from django.test import Client  # noqa: E402
from django.urls import path  # noqa: E402


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
    elif do == "renew":
        request.session.cycle_key()
        return HttpResponse(request.user.get_username())
    elif do == "expire":
        request.session.set_expiry(int(request.GET["s"]))
    elif do == "password":
        request.user.set_password("other")
        request.user.save()
        if "keep" in request.GET:
            auth.update_session_auth_hash(request, request.user)
    elif do == "visit":
        return HttpResponse(request.user.get_username())
    elif do == "tag":
        return HttpResponse(engines["django"].from_string("{% load sse %}{% sse_body_attrs %}").render({}, request))
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


def mark_of(do):
    """The key that says for a minute that a session is over."""
    return do.key.replace("sse:session:", "sse:over:")


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
