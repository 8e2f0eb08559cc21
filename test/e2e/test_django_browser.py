# SPDX-License-Identifier: ISC
"""The example site in Chromium: once.  Each session engine and each server has a strict client in test_django_site."""
import json
import time

import pytest

from browser import chromium  # noqa: F401
from django_site import ANYBODY, records, start_site  # noqa: F401
from processes import wait_until

pytest.importorskip("django")
pytestmark = pytest.mark.chromium

MESSAGES = "Array.from(document.querySelectorAll('#messages li')).map(function (e) { return e.textContent; })"
STATE = "(document.getElementById('state') || {}).textContent"
UNKNOWN = "(403): the session is unknown, or it is over"


class Page:
    """A tab of the example."""

    def __init__(self, chromium, origin):  # noqa: F811
        self.tab = chromium.open(origin + "/")

    def press(self, form, **fields):
        """Fill a form and send it as a person would."""
        for name, value in fields.items():
            self.tab.run("document.querySelector(%s).value = %s" % (
                json.dumps('[name="%s"]' % name), json.dumps(value)))
        self.tab.run("document.querySelector(%s).click()" % json.dumps(form))
        return self

    def login(self, name):
        self.press("#login", username=name, password="demo")
        return self.is_open(name)

    def login_over(self, name):
        """Log in where somebody is logged in: the site has no form for it."""
        self.tab.run("""
            var form = document.querySelector('form[action="/logout/"]');
            form.action = "/login/";
            form.innerHTML += '<input name="username"><input name="password" value="demo">';
            form.querySelector('[name="username"]').value = %s;
            form.submit();""" % json.dumps(name))
        return self.is_open(name)

    def logout(self):
        self.press("#logout")
        self.tab.wait("document.getElementById('login') !== null", show="document.body.textContent")
        return self

    def reload(self, name):
        self.tab.run("location.reload()")
        return self.is_open(name)

    def is_open(self, name):
        self.tab.wait("document.getElementById('user') && document.getElementById('user').textContent.indexOf(%s) >= 0"
                      % json.dumps(name), show="document.body.textContent")
        self.tab.wait(STATE + " === 'open'", show=STATE)
        return self

    def is_over(self):
        """The stream has ended, and the page knows that it stays so."""
        self.tab.wait(STATE + " === 'end'", show=STATE)
        assert self.tab.js("document.body.sseStream.state") == "closed"

    def post(self, text, to=""):
        return self.press("#form button", text=text, to=to)

    def messages(self, count):
        self.tab.wait(MESSAGES + ".length >= %d" % count, show=MESSAGES)
        return self.tab.js(MESSAGES)

    def replay(self, position, count):
        """What another stream of this page replays from a position."""
        self.tab.run("window.replayed = []; window.again = new EventSource('/sse/?lastEventId=%s');"
                     "again.onmessage = function (e) { replayed.push(JSON.parse(e.data).text); }" % position)
        self.tab.wait("replayed.length >= %d" % count, show="replayed")
        self.tab.run("again.close()")
        return self.tab.js("replayed")

    @property
    def cookie(self):
        return self.tab.focus().driver.get_cookie("sessionid")

    def with_cookie(self, cookie):
        """From now on this browser sends a session's cookie that it was told to forget."""
        self.tab.focus().driver.add_cookie({name: cookie[name] for name in ("name", "value", "path", "httpOnly")})
        assert self.cookie["value"] == cookie["value"]
        return self


def hosts(front):
    """Two origins of one site: each has its own cookies."""
    return "http://127.0.0.1:%d" % front.port, "http://localhost:%d" % front.port


def check_refused(front, page):
    """A stream is refused with a cookie that once was good, to sse.js and to what any page would write, and
    neither asks again."""
    before = len(front.asked())
    page.tab.run("window.errors = []; window.again = SSE.connect('/sse/', {retry: 50});"
                 "again.on('error', function (e) { errors.push(e); });"
                 "window.plain = new EventSource('/sse/')")
    page.tab.wait("errors.length === 1 && plain.readyState === 2", show="[errors, plain.readyState]")
    assert page.tab.js("errors") == [{"status": 403, "retry": False}] and page.tab.js("again.state") == "closed"
    # sse.js asks a second time, since EventSource does not tell the status
    expected = front.asked()[:before] + [UNKNOWN] * 3
    wait_until(lambda: front.asked() == expected, what=lambda: "%r, there is %r" % (expected, front.asked()))
    time.sleep(0.5)  # it would have asked again after 50 ms, and after 100
    assert front.asked() == expected and page.tab.js("errors.length") == 1


def wrong_password(redis, front, page):
    page.press("#login", username="admin", password="wrong")
    page.tab.wait("document.getElementById('wrong') !== null", show="document.body.textContent")
    assert records(redis) == [] and page.tab.js("document.body.getAttribute('sse-data')") is None
    assert front.asked() == []


def live_and_replayed(redis, page, tug):
    """A message for all is live on both pages, one for a user on that user's alone, and plain PUBLISH, too."""
    position = page.tab.js("document.body.getAttribute('data-last-event-id')")
    tug.post("for all").messages(1)
    tug.post("for you", ANYBODY)
    page.messages(2)
    for number, channel in ((8, ANYBODY), (9, "all")):  # as django_sse sends it
        redis.publish(channel, json.dumps(["message", json.dumps(
            {"type": "chat", "id": number, "author": "PUBLISH", "text": "to " + channel})]))
    assert page.messages(4) == ["PUBLISH: to all", "PUBLISH: to " + ANYBODY, "tug: for you", "tug: for all"]
    assert tug.messages(2) == ["PUBLISH: to all", "tug: for all"]
    assert page.replay(position, 4) == ["for all", "for you", "to " + ANYBODY, "to all"]
    assert tug.replay(position, 2) == ["for all", "to all"]


def login_over_and_logout(redis, front, page, other):
    """Both in another tab: they end the streams at once, and the old cookies open none."""
    first = page.cookie
    other.login_over("admin")  # a new key
    page.is_over()
    second = other.cookie
    assert second["value"] != first["value"]
    page.reload("admin")
    other.logout()
    page.is_over()
    assert page.cookie is None
    for cookie in (first, second):
        check_refused(front, page.with_cookie(cookie))
    assert [user for user, _ in records(redis)] == ["tug"]


def test_the_example(redis, chromium, start_site):  # noqa: F811
    """What its users do: a wrong password, messages, a login over another one, logouts, a login again, a reload; and
    Redis loses everything."""
    front = start_site(options=["--heartbeat=1"])
    one, two = hosts(front)
    page = Page(chromium, one)
    wrong_password(redis, front, page)
    page.login(ANYBODY)
    tug = Page(chromium, two).login("tug")
    live_and_replayed(redis, page, tug)

    other = Page(chromium, one).is_open(ANYBODY)
    login_over_and_logout(redis, front, page, other)
    tug.post("meanwhile")
    wait_until(lambda: tug.messages(3)[0] == "tug: meanwhile")
    other.login("admin")
    tug.post("live")
    wait_until(lambda: other.messages(2)[:2] == ["tug: live", "tug: meanwhile"])

    redis.client.flushall()
    tug.is_over()
    other.is_over()
    tug.reload("tug").post("again")
    wait_until(lambda: tug.messages(4)[:2] == ["tug: again", "tug: live"])
