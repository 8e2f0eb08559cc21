# SPDX-License-Identifier: ISC
"""contrib/django while Redis is away, hangs or refuses: pages go on, and what had to
be ended is ended later, or the log says that it is not."""
import concurrent.futures
import contextlib
import os
import re
import signal
import subprocess
import time

import pytest

from django_pages import calls, site  # noqa: F401
from django_site import PACKAGE, PYTHON, django, new_user, records  # noqa: F401
from processes import DEADLINE_S, wait_until

import fcgi_sse
from django.conf import settings as dj_settings
from django.contrib.auth.backends import ModelBackend
from django.db import OperationalError, transaction
from fcgi_sse import records as record_module
from fcgi_sse import redis_link
from fcgi_sse import sessions
from fcgi_sse.redis_client import client

link = redis_link.link


@contextlib.contextmanager
def away(redis):
    """Redis cannot be reached from Django, and keeps what it has."""
    redis.client.ping()  # the test's own connection stays
    os.rename(redis.path, redis.path + ".away")
    client().connection_pool.disconnect()
    link.retry_at = 0
    yield
    os.rename(redis.path + ".away", redis.path)


def logged(caplog):
    return [(r.levelname, r.getMessage()) for r in caplog.records if r.name == "fcgi_sse"]


def levels(caplog):
    return [level for level, _ in logged(caplog)]


def test_redis_away(redis, site, caplog, monkeypatch):
    """Redis away: pages work, one warning; what ended meanwhile is ended when it is back, who logged in gets a record."""
    monkeypatch.setattr(redis_link, "RETRY_S", 0.1)
    browser = site("db")
    staying, leaving, new, user = browser(), browser(), browser(), new_user()
    staying("login", user=user.username)
    leaving("login", user=user.username)
    with away(redis):
        key = leaving.key
        assert leaving("logout").status_code == new("login", user=user.username).status_code == 200
        for _ in range(3):
            assert new("visit").status_code == 200
        assert levels(caplog) == ["WARNING"] and redis.client.exists(key)
    wait_until(lambda: not redis.client.exists(key) and not link.retry_at)
    new("visit")
    assert redis.client.exists(new.key) and redis.client.exists(staying.key) and len(records(redis)) == 2


def test_paid_without_a_request(redis, site, caplog, monkeypatch):
    """A logout while Redis is away ends the streams when it is back, even if nobody visits the site any more."""
    monkeypatch.setattr(redis_link, "RETRY_S", 0.1)
    do, gone, user = site("db")(), new_user(), new_user()
    do("login", user=user.username)
    key = do.key
    redis.client.zadd("sse:user:%s" % gone.pk, {"d" * 64: 1})
    redis.client.set("sse:session:" + "d" * 64, '{"user": "gone", "channels": ["all"]}')
    with away(redis):
        do("logout")
        gone.delete()
        time.sleep(0.3)  # tries without success
        assert redis.client.exists(key) and levels(caplog) == ["WARNING"]
    wait_until(lambda: records(redis) == [] and not link.owed)
    wait_until(lambda: not link.payer, what="the thread to end that has nothing to do")


def test_more_than_can_be_owed(redis, site, caplog, monkeypatch):
    """Of too many ends the first are given up, and the log has one error."""
    monkeypatch.setattr(redis_link, "OWED_MAX", 2)
    monkeypatch.setattr(redis_link, "RETRY_S", 0.1)
    browsers = [site("db")() for _ in range(4)]
    for do in browsers:
        do("login", user=new_user().username)
    with away(redis):
        for do in browsers:
            do("logout")
    wait_until(lambda: len(records(redis)) == 2)
    assert levels(caplog).count("ERROR") == 1


@pytest.mark.parametrize("engine, end", [("db", "logout"), ("db", "flush"), ("db", "rotate"), ("cache", "logout"),
                                         ("signed_cookies", "logout"), ("signed_cookies", "flush")])
def test_strangers_push_nothing_out(redis, site, monkeypatch, engine, end):
    """Visitors with cookies that nobody gave them cannot make Django forget a logout that is owed."""
    monkeypatch.setattr(redis_link, "OWED_MAX", 4)
    monkeypatch.setattr(redis_link, "RETRY_S", 0.1)
    browser = site(engine)
    do, user = browser(), new_user()
    do("login", user=user.username)
    key = do.key
    with away(redis):
        do(end)
        for i, page in enumerate(["visit", "cart", "logout", "flush"] * 3):
            stranger = browser()
            stranger.client.cookies[dj_settings.SESSION_COOKIE_NAME] = "nobody%d" % i
            assert stranger(page).status_code == 200
        assert len(link.owed) <= 2, "half of the places"
    wait_until(lambda: not redis.client.exists(key) and not link.owed)


def test_an_unknown_cookie_owes_nothing(redis, site, calls):
    """A cookie that leads to no session: one look at Redis, no mark in it, nothing to be owed."""
    do = site("db")()
    do.client.cookies[dj_settings.SESSION_COOKIE_NAME] = "nobody"
    calls()
    do("visit")
    assert calls() == 1 and redis.client.keys("*") == [] and do.cookie == ""
    with away(redis):
        do.client.cookies[dj_settings.SESSION_COOKIE_NAME] = "nobody"
        do("visit")
        assert not link.owed


def test_ends_that_look_at_no_user(redis, site, monkeypatch):
    """What a process ends is owed even if it knows nothing of the session: neither its record nor its user."""
    monkeypatch.setattr(redis_link, "RETRY_S", 0.1)
    for end in "flush", "rotate":
        do, user = site("db")(), new_user()
        do("login", user=user.username)
        sessions.recent.forget()
        key = do.key
        with away(redis):
            do(end)
            assert redis.client.exists(key) and len(link.owed) == 1
        wait_until(lambda: not redis.client.exists(key) and not link.owed)


SCRIPT = """if True:
    import logging, os, sys, time
    logging.basicConfig(format="%(levelname)s %(message)s")
    from django.conf import settings
    settings.configure(INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "fcgi_sse"],
                       FCGI_SSE_REDIS=sys.argv[1], USE_TZ=True)
    import django
    django.setup()
    from fcgi_sse import end_session, redis_link
    def go_on(word):
        print(word, flush=True)
        assert sys.stdin.readline()
    def wait_paid():
        while redis_link.link.owed:
            time.sleep(0.01)
    go_on("ready")
"""


@pytest.fixture
def script(folder, redis, stack):
    """script(code): another process with the package; it says words and waits for us."""
    def start(code):
        err = stack.enter_context(open(folder / "script.err", "w+", encoding="utf-8"))
        process = subprocess.Popen([PYTHON, "-c", SCRIPT + code, redis.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=err, env={**os.environ, "PYTHONPATH": PACKAGE}, bufsize=0)
        stack.callback(lambda: (process.kill(), process.wait(), process.stdin.close(), process.stdout.close()))

        def log():
            err.seek(0)
            return err.read()

        def said(word):
            assert process.stdout.readline().decode().strip() == word, log()

        process.log, process.said, process.go_on = log, said, lambda: process.stdin.write(b"\n")
        process.said("ready")
        return process
    return start


def key_of(session_key):
    return "sse:session:" + record_module.digest(session_key)


def test_paid_at_the_end_of_a_process(redis, django, script):  # noqa: F811
    """A process that ends tries once more."""
    redis.client.set(key_of("a"), "{}")
    process = script("""
    end_session("a")
    go_on("owed")
    """)
    with away(redis):
        process.go_on()
        process.said("owed")
    assert redis.client.exists(key_of("a"))
    process.go_on()
    assert process.wait(DEADLINE_S) == 0 and "ERROR" not in process.log()
    assert not redis.client.exists(key_of("a"))


def test_lost_at_the_end_of_a_process(redis, django, script):  # noqa: F811
    """... and says so if that was without success."""
    process = script("""
    end_session("a")
    """)
    with away(redis):
        process.go_on()
        assert process.wait(DEADLINE_S) == 0
    assert re.findall("^(WARNING|ERROR) ", process.log(), re.M) == ["WARNING", "ERROR"], process.log()


def test_fork(redis, django, script):  # noqa: F811
    """A server that forks (gunicorn --preload): what is owed stays with who owes it, a lock that another thread
    holds hinders no child, and a child pays its own."""
    redis.client.mset({key_of("a"): "{}", key_of("b"): "{}"})
    process = script("""
    redis_link.RETRY_S = 0.2
    end_session("a")
    with redis_link.link.lock:
        child = os.fork()
    if child == 0:
        assert not redis_link.link.owed
        end_session("b")
        print("forked", flush=True)
        wait_paid()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    wait_paid()
    go_on("paid")
    """)
    with away(redis):
        process.go_on()
        process.said("forked")
    process.said("paid")
    assert redis.client.exists(key_of("a"), key_of("b")) == 0


def test_fork_and_recent(django, script):  # noqa: F811
    """... nor does the lock over what the process knows of the sessions."""
    process = script("""
    import signal
    from fcgi_sse import sessions
    with sessions.recent.lock:
        child = os.fork()
        if child == 0:
            signal.alarm(5)
            sessions.recent.forget("a")
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    """)
    process.go_on()
    assert process.wait(DEADLINE_S) == 0, process.log()


# ---- Redis that refuses

def test_refused_end(redis, django, caplog, monkeypatch):  # noqa: F811
    """An end that Redis refuses is told and dropped: it does not pass for a Redis that is away, and what is owed
    after it is paid."""
    monkeypatch.setattr(redis_link, "RETRY_S", 0.1)
    redis.client.mset({"sse:user:1": "no set", key_of("a"): "{}", key_of("b"): "{}"})
    fcgi_sse.end_streams(1)
    assert levels(caplog) == ["ERROR"] and not link.owed
    fcgi_sse.end_session("a")
    assert not redis.client.exists(key_of("a"))
    with away(redis):
        fcgi_sse.end_streams(1)
        fcgi_sse.end_session("b")
    wait_until(lambda: not redis.client.exists(key_of("b")) and not link.owed)
    assert levels(caplog) == ["ERROR", "WARNING", "ERROR"]


def test_refused_record(redis, site, caplog):
    """A Redis that refuses to write (without the right to): pages work without streams, the log says it once and not for each
    page, and that is not taken for a Redis that is away."""
    do, user = site("db")(), new_user()
    redis.client.execute_command("ACL", "SETUSER", "default", "-eval", "-evalsha")
    do("login", user=user.username)
    for _ in range(3):
        assert do("visit").content == user.username.encode()
    assert levels(caplog) == ["ERROR"] and "permissions" in caplog.text and not link.retry_at
    redis.client.execute_command("ACL", "SETUSER", "default", "+@all")
    do("visit")
    assert len(records(redis)) == 1


def test_fail_over(redis, site, caplog, monkeypatch):
    """A Redis that has become a replica counts as away: what ended meanwhile is ended on the new master."""
    monkeypatch.setattr(redis_link, "RETRY_S", 0.1)
    do, user = site("db")(), new_user()
    do("login", user=user.username)
    key, mine = do.key, redis.client.client_id()
    redis.client.replicaof("127.0.0.1", "1")
    before = {c["id"] for c in redis.client.client_list()}
    do("logout")
    user.delete()
    time.sleep(0.3)  # tries without success
    assert redis.client.exists(key) and levels(caplog) == ["WARNING"]
    redis.client.replicaof("NO", "ONE")
    wait_until(lambda: not redis.client.exists(key) and not link.owed)
    left = before & {c["id"] for c in redis.client.client_list()}
    assert left <= {str(mine)}, "it connects anew: the name may lead to another one now"


@contextlib.contextmanager
def hanging(redis, monkeypatch):
    """Redis answers nobody; Django finds out after a third of a second, and does not ask again by itself."""
    monkeypatch.setattr(redis_link, "RETRY_S", 600)
    client().connection_pool.reset()
    client().connection_pool.connection_kwargs["socket_timeout"] = 0.3
    redis.program.signal(signal.SIGSTOP)
    yield
    redis.program.signal(signal.SIGCONT)


def test_redis_hangs(redis, site, caplog, calls, monkeypatch):
    """A Redis that does not answer costs one page its time limit, not each of them; later one at a time finds out
    whether it is back."""
    do = site("db")()
    do("login", user=new_user().username)
    sessions.recent.forget()
    with hanging(redis, monkeypatch):
        calls()
        for _ in range(5):
            assert do("visit").status_code == 200
        assert calls() == 1 and levels(caplog) == ["WARNING"]
        link.retry_at = time.monotonic()  # the moment has come, for several
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for said in pool.map(lambda _: link.call(lambda: client().ping()), range(4)):
                assert said == (False, None)
        assert calls() == 1


def test_events_on_commit_while_redis_hangs(redis, django, caplog, calls, monkeypatch):  # noqa: F811
    """Events that are sent on commit cost one time limit together, and not one each; the log names each that is lost."""
    with hanging(redis, monkeypatch):
        calls()
        with transaction.atomic():
            for _ in range(5):
                fcgi_sse.send_event_on_commit("message", "x", "all")
        assert calls() == 1
    assert levels(caplog) == ["WARNING"] + ["ERROR"] * 5


def test_event_on_commit_after_a_restart(redis, django, caplog):  # noqa: F811
    """Redis was away for a moment: the next event on commit goes out, though pages do not ask for a while yet."""
    with away(redis):
        fcgi_sse.send_event_on_commit("message", "lost", "all")
    fcgi_sse.send_event_on_commit("message", "kept", "all")
    assert levels(caplog)[:2] == ["WARNING", "ERROR"] and levels(caplog).count("ERROR") == 1
    assert [r.split(b"\n")[2] for r in redis.client.lrange("sse:history:all", 0, -1)] == [b"data: kept"]


def test_event_on_commit_refused(redis, django, caplog):  # noqa: F811
    """One that Redis refuses is told with the reason, and passes for no Redis that is away."""
    redis.client.execute_command("ACL", "SETUSER", "default", "-eval", "-evalsha")
    fcgi_sse.send_event_on_commit("message", "x", "all")
    redis.client.execute_command("ACL", "SETUSER", "default", "+@all")
    [(level, text)] = logged(caplog)
    assert level == "ERROR" and "permissions" in text and not link.retry_at


# ---- a database that is away

def test_database_away(redis, site, caplog, monkeypatch):
    """A page that needs no database works without one; the record stays as it is, and what ended is ended."""
    browser = site("cache")
    do, other, user = browser(), browser(), new_user()
    do("login", user=user.username)
    other("login", user=user.username)
    key = other.key

    def fail(*_):
        raise OperationalError("no database")

    monkeypatch.setattr(ModelBackend, "get_user", fail)
    sessions.recent.forget()
    assert do("cart").status_code == other("rotate").status_code == 200
    assert redis.client.exists(do.key) and not redis.client.exists(key, other.key)
    assert levels(caplog) == ["ERROR", "ERROR"] and "no database" in caplog.text
    monkeypatch.undo()
    other("visit")
    assert redis.client.exists(other.key)
