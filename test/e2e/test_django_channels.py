# SPDX-License-Identifier: ISC
"""contrib/django: the channels of a session - what the rule may answer, and that a
change of its answer reaches the record.  Django runs in this process, Redis is real."""
import logging
import time

import pytest

from django_pages import listen, site  # noqa: F401
from django_site import ENGINES, django, new_user, records  # noqa: F401
from processes import wait_until

from django.conf import settings
from django.core import signing
from django.utils.translation import gettext_lazy
from fcgi_sse import records as record_module
from fcgi_sse import sessions


def staff_channels(request):
    return ["all", "staff"] if request.user.is_staff else ["all"]


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


def team_middleware(get_response):
    def run(request):
        request.user.team = "red"
        return get_response(request)
    return run


@pytest.mark.parametrize("engine", ENGINES)
def test_what_middleware_knows_of_the_user(redis, site, engine):
    """The rule sees what middleware has put on request.user, each time it is asked."""
    do, user = site(engine, FCGI_SSE_CHANNELS=lambda request: ["team-" + request.user.team],
                    MIDDLEWARE=[*settings.MIDDLEWARE, __name__ + ".team_middleware"])(), new_user()
    do("login", user=user.username)
    do("visit")
    assert records(redis) == [(user.username, ["team-red"])]


def test_rule_that_fails_behind_the_record(redis, site, caplog):
    """A rule that fails when it is asked once more leaves the channels that it gave a moment ago."""
    answers = [["all"], None]
    do, user = site("db", FCGI_SSE_CHANNELS=lambda request: answers.pop(0))(), new_user()
    do("login", user=user.username)
    assert not answers and records(redis) == [(user.username, ["all"])] and not caplog.records


def test_failures_are_logged_behind_many_names(redis, site, caplog):
    """A thousand bad names in the log hide no rule that fails."""
    rules = [lambda request: ["%d*" % i for i in range(1100)] + ["all"], lambda request: None]
    do = site("db", FCGI_SSE_CHANNELS=lambda request: rules[0](request))()
    do("login", user=new_user().username)
    assert len(caplog.records) == 1000
    del rules[0]
    do("visit")
    assert caplog.records[-1].levelno == logging.ERROR and records(redis) == []


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


def test_signed_cookie_that_was_lost(redis, site, monkeypatch):
    """signed_cookies: a browser that never got the newer cookie has the right channels a minute later."""
    do, user = site("signed_cookies", FCGI_SSE_CHANNELS=staff_channels)(), new_user()
    do("login", user=user.username)
    cookies = do.client.cookies.copy()
    do("cart")
    do.client.cookies = cookies
    [mark] = redis.client.keys("sse:older:*")
    assert 0 < redis.client.ttl(mark) <= record_module.OVER_S
    redis.client.delete(mark)  # that time has passed
    user.is_staff = True
    user.save()
    moment = time.monotonic() + 61
    monkeypatch.setattr(sessions.time, "monotonic", lambda: moment)
    do("visit")
    assert records(redis) == [(user.username, ["all", "staff"])] * 2


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
