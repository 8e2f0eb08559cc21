# SPDX-License-Identifier: ISC
"""contrib/django, the package: publishing, settings, the template tag, README.
Django runs in this process, Redis is real."""
import asyncio
import datetime
import decimal
import enum
import os
import re
import shutil
import subprocess

import pytest

import sse
from django_pages import site  # noqa: F401
from django_site import PACKAGE, PYTHON, django, new_user, records  # noqa: F401
from processes import TOP, history, sse_publish

import fcgi_sse
from django.conf import settings as dj_settings
from django.core.checks import run_checks
from django.db import transaction
from django.template import engines
from django.test import RequestFactory
from django.utils.translation import gettext_lazy
from fcgi_sse import conf, names, send_event, send_event_on_commit
from redis.exceptions import RedisError


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


class Kind(str, enum.Enum):
    PRICE = "price"


@pytest.mark.parametrize("price", [Kind.PRICE, gettext_lazy("price"), b"price", bytearray(b"price"), memoryview(b"price")],
                         ids=["enum", "lazy", "bytes", "bytearray", "memoryview"])  # price1 would be two
def test_what_stands_for_a_text(redis, django, price):
    """A member of an Enum of strings, a lazy translation and bytes are their text: as event, data, channel, in a list of
    channels, as the default channel."""
    assert isinstance(send_event(price, price, price), int)
    assert len(send_event(price, price, [price, "price", "b"])) == 2
    with django(REDIS_SSEQUEUE_CHANEL_NAME=price):
        send_event("price", "price")
    assert published(redis, "price") == [("price", "price")] * 3 and published(redis, "b") == [("price", "price")]


@pytest.mark.parametrize("key", ["order 1", 4711, "\u00e9" * 64, gettext_lazy("order")])
def test_key(redis, django, key):
    """With the same key an event is published once, and the first id returned; also for a list, and awaited."""
    first = send_event("message", "x", "all", key=key)
    assert send_event("message", "y", "all", key=key) == first
    assert asyncio.run(fcgi_sse.asend_event("message", "y", "all", key=key)) == first
    send_event_on_commit("message", "y", "all", key=key)
    assert published(redis, "all") == [("message", "x")]
    ids = send_event("message", "x", ["a", "b"], key="list")
    assert send_event("message", "x", ["a", "b"], key="list") == ids and len(set(ids)) == 2
    assert send_event("message", "x", [], key="none") == []


@pytest.mark.parametrize("key", ["", "x" * 129])
def test_bad_key(redis, django, key):
    """A key has 1 to 128 bytes."""
    with pytest.raises(ValueError, match="1 to 128 bytes"):
        send_event("message", "x", key=key)
    assert redis.client.keys("*") == []


def test_no_event(redis, django):
    """An event without a name, a lazy empty one too, is a message; a number is its digits."""
    for event in (None, "", gettext_lazy(""), b"", 3):
        send_event(event, "x")
    assert [e for e, _ in published(redis)] == ["message"] * 4 + ["3"]
    assert [b"event" in r[3] for r in history(redis, "sse")] == [False] * 4 + [True]


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
    ("m", "a*"), (b"\xff", "a"), ("m", b"\xff"), ("m", [b"\xff"]), ("m", "\x85"), ("m", ["ok", "{"]), ("m", "\ud800")])
def test_bad_names(redis, django, event, channel):
    """A name that fcgi-sse would refuse is a ValueError, and nothing is published."""
    for function in (send_event, send_event_on_commit):
        with pytest.raises((ValueError, TypeError)):
            function(event, "x", channel)
    assert redis.client.keys("*") == []


def test_channel_names_as_in_c(redis, django, fcgi_sse, loop):
    """names.py and redis/channel.h agree on what a channel's name is."""
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
    with transaction.atomic():
        with pytest.raises(RuntimeError), transaction.atomic():
            send_event_on_commit("m", "nor this")
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


def test_addresses_as_in_c(django):
    """manage.py check refuses what fcgi-sse refuses: the site would be in one database, the streams in another."""
    for url in ["redis://127.0.0.1:1/1", "redis://127.0.0.1:1", "redis://127.0.0.1:1/", "redis://:p@127.0.0.1:1/0",
                "redis://u:p@127.0.0.1:1/0", "unix:///nowhere", "unix:///nowhere?db=1", "redis://[::1]:1/0",
                "redis://127.0.0.1:1?db=1", "redis://127.0.0.1:1/?db=1", "redis://127.0.0.1:1/0?db=1",
                "redis://u@127.0.0.1:1/0", "rediss://127.0.0.1:1/0", "unix://u:p@/nowhere",
                "unix:///nowhere?db=1&password=p", "unix:///nowhere?x=1"]:
        in_c = sse_publish(None, "--redis=" + url, "a", "x", check=False)
        assert in_c.returncode in (64, 69), in_c
        with django(FCGI_SSE_REDIS=url):
            found = [m for m in run_checks() if m.id == "fcgi_sse.E003"]
        assert bool(found) == (in_c.returncode == 64), url
        assert "p@" not in str(found) and "=p" not in str(found), "no password is shown"


def test_prefixes_as_in_c(django):
    """manage.py check refuses a prefix that fcgi-sse refuses."""
    for prefix in ["x", "shop:", "\u00fc:", "x" * 64, "x" * 65, "\u00fc" * 33, " ", "a b", "a\tb", "a\x7f", *"*?[],\\", "{a}:"]:
        in_c = sse_publish(None, "--redis=unix:///nowhere", "--prefix=" + prefix, "a", "x", check=False)
        assert in_c.returncode in (64, 69), in_c
        with django(FCGI_SSE_PREFIX=prefix):
            found = [m.id for m in run_checks() if m.id.startswith("fcgi_sse")]
        assert found == (["fcgi_sse.E004"] if in_c.returncode == 64 else []), prefix
    with django(FCGI_SSE_PREFIX=3):
        assert [m.id for m in run_checks() if m.id.startswith("fcgi_sse")] == ["fcgi_sse.E004"]


def test_checks(django):
    """manage.py check tells of a middleware that is missing or stands too low, of a bad FCGI_SSE_CHANNELS, and of
    a Redis that cannot be an address (one that is away is no mistake)."""
    ids = lambda: {m.id for m in run_checks() if m.id.startswith("fcgi_sse")}  # noqa: E731
    ours, *others = dj_settings.MIDDLEWARE
    assert ids() == set()
    with django(MIDDLEWARE=others):
        assert ids() == {"fcgi_sse.W001"}
    with django(MIDDLEWARE=[*others, ours]):
        assert ids() == {"fcgi_sse.E001"}
    with django(MIDDLEWARE=[ours]):  # the site has sessions of its own
        assert ids() == set()
    with django(FCGI_SSE_CHANNELS="nowhere.to.be.found"):
        assert ids() == {"fcgi_sse.E002"}
    for bad in ("localhost:6379", "redis://h/one"):
        with django(FCGI_SSE_REDIS=bad):
            assert ids() == {"fcgi_sse.E003"}
    with django(FCGI_SSE_REDIS=None, REDIS_SSEQUEUE_CONNECTION_SETTINGS={"location": "localhost:port"}):
        assert ids() == {"fcgi_sse.E003"}


# ---- the template tag

def test_body_attributes(redis, django, caplog):
    """{% sse_body_attrs %}: the URL and the newest id, 0 in an empty store; only the URL while Redis is away."""
    def render(tag="sse_body_attrs"):
        template = engines["django"].from_string("{% load sse %}<body {% " + tag + " %}>")
        return template.render({}, RequestFactory().get("/"))

    assert render() == '<body sse-data="/sse/" data-last-event-id="0">'
    assert engines["django"].from_string("{% load sse %}{% sse_body_attrs %}").render() == (
        'sse-data="/sse/" data-last-event-id="0"'), "without a request"
    id_ = send_event("m", "x")
    assert fcgi_sse.current_id() == id_
    assert render() == '<body sse-data="/sse/" data-last-event-id="%d">' % id_
    assert render('sse_body_attrs "/s/?last=1" last_event_id=7') == '<body sse-data="/s/?last=1" data-last-event-id="7">'
    with django(FCGI_SSE_URL='/"'):
        assert 'sse-data="/&quot;"' in render()
    redis.client.set("sse:clock", "not a number")
    assert render() == '<body sse-data="/sse/">' and fcgi_sse.current_id() is None
    redis.stop()
    assert render() == '<body sse-data="/sse/">'
    redis.start()


# ---- the package

def pip_install(folder):
    """The command of README, on a copy (pip writes into the source folder)."""
    assert BLOCKS["install"].splitlines()[1] == "pip install ./contrib/django"
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


# ---- README

with open(os.path.join(PACKAGE, "README.md"), encoding="utf-8") as f:
    BLOCKS = dict(re.findall(r"<!-- run: (\S+) -->\n```\w+\n(.*?)^```$", f.read(), re.S | re.M))


def test_every_block_is_run():
    """No block of README without a test: all but one here, the two commands in test_django_site.py."""
    with open(os.path.join(PACKAGE, "README.md"), encoding="utf-8") as f:
        assert len(re.findall("^```", f.read(), re.M)) == 2 * len(BLOCKS)
    assert set(BLOCKS) == {"install", "settings", "template", "send", "terminals", "signal", "channels",
                           "channels-setting", "position"}
    assert BLOCKS["terminals"] == "python3 manage.py runserver\npython3 manage.py runsseserver\n"


def test_readme(redis, django):
    """What README says to paste works."""
    from django.contrib.auth.models import AnonymousUser, Group
    from django.db.models.signals import post_save
    values = {"INSTALLED_APPS": ["a"], "MIDDLEWARE": ["b"]}
    exec(BLOCKS["settings"], values)
    assert values["INSTALLED_APPS"] == ["a", "fcgi_sse"] and values["FCGI_SSE_REDIS"] == conf.DEFAULT_REDIS
    assert values["MIDDLEWARE"] == ["fcgi_sse.middleware.SSESessionMiddleware", "b"]
    template, request = engines["django"].from_string(BLOCKS["template"]), RequestFactory().get("/")
    request.user = new_user()
    page = template.render({}, request)
    assert '<script src="/static/fcgi_sse/sse.js">' in page and '<body sse-data="/sse/" data-last-event-id="0">' in page
    request.user = AnonymousUser()
    assert "sse-data" not in template.render({}, request), "who has no channels asks for no stream"
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
    """README's channels by id: a user called staff reads nothing of the staff, as with the default, which README says."""
    with open(os.path.join(PACKAGE, "README.md"), encoding="utf-8") as f:
        assert "The default is safe only\nwhere user names and the names of shared channels cannot meet" in f.read()
    do = site("db")()
    do("login", user=new_user("staff").username)
    assert records(redis) == [("staff", ["staff", "all"])]
    do("logout")
    names_ = {}
    exec(BLOCKS["channels"], names_)
    exec(BLOCKS["channels-setting"], names_)
    assert names_["FCGI_SSE_CHANNELS"] == "myapp.sse.channels"
    do = site("db", FCGI_SSE_CHANNELS=names_["channels"])()
    do("login", user="staff")
    [(_, [own, shared])] = records(redis)
    assert re.match(r"user-\d+$", own) and shared == "all"
    do("login", user=new_user("boss", is_staff=True).username)
    assert records(redis)[0][1][1:] == ["all", "staff"]
