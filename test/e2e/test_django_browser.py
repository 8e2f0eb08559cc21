# SPDX-License-Identifier: ISC
"""The example site in Chromium, with two users, through nginx and runsseserver."""
import json

import pytest

from browser import chromium, module_chromium  # noqa: F401
from django_site import example_database, records, start_site  # noqa: F401
from processes import wait_until

pytest.importorskip("django")
pytestmark = [pytest.mark.chromium, pytest.mark.seconds(120)]

both = pytest.mark.parametrize("kind", ["nginx", "runsseserver"])
MESSAGES = "Array.from(document.querySelectorAll('#messages li')).map(function (e) { return e.textContent; })"
STATE = "(document.getElementById('state') || {}).textContent"


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

    def is_open(self, name):
        self.tab.wait("document.getElementById('user') && document.getElementById('user').textContent.indexOf(%s) >= 0"
                      % json.dumps(name), show="document.body.textContent")
        self.tab.wait(STATE + " === 'open'", show=STATE)
        return self

    def post(self, text, to=""):
        return self.press("#form button", text=text, to=to)

    def messages(self, count):
        self.tab.wait(MESSAGES + ".length >= %d" % count, show=MESSAGES)
        return self.tab.js(MESSAGES)


def hosts(front):
    """Two origins of one site: each has its own cookies."""
    return "http://127.0.0.1:%d" % front.port, "http://localhost:%d" % front.port


@both
def test_two_users(redis, chromium, start_site, kind):  # noqa: F811
    """A message for all is live on both pages, one for a user on that user's alone; a reload shows the same."""
    one, two = hosts(start_site(kind))
    admin, tug = Page(chromium, one).login("admin"), Page(chromium, two).login("tug")
    admin.post("for all")
    assert admin.messages(1) == tug.messages(1) == ["admin: for all"]
    admin.post("for tug", "tug")
    assert tug.messages(2) == ["admin: for tug", "admin: for all"]
    tug.post("back")
    assert admin.messages(2) == ["tug: back", "admin: for all"]
    assert tug.messages(3)[0] == "tug: back"
    tug.tab.run("location.reload()")
    tug.is_open("tug")
    tug.post("again")
    assert tug.messages(4) == ["tug: again", "tug: back", "admin: for tug", "admin: for all"]


@both
@pytest.mark.parametrize("engine", ["db", "signed_cookies"])
def test_logout_in_another_tab(redis, chromium, start_site, kind, engine):  # noqa: F811
    """Log out in one tab: the stream of the other ends at once, a reconnect gets 403 and there are no more attempts."""
    if kind == "runsseserver" and engine != "db":
        engine = "cached_db"
    front = start_site(kind, "SESSION_ENGINE = 'django.contrib.sessions.backends.%s'\n" % engine)
    one, two = hosts(front)
    tab, other, stays = Page(chromium, one).login("admin"), Page(chromium, one), Page(chromium, two).login("tug")
    other.is_open("admin")
    other.press("#logout")
    other.tab.wait("document.getElementById('login') !== null", show="document.body.textContent")
    tab.tab.wait(STATE + " === 'end'", 5, show=STATE)
    assert tab.tab.js("document.body.sseStream.state") == "closed"

    def asked():
        return len([1 for _, path, _ in front.requests() if path.startswith("/sse/")]) if kind == "nginx" else 0

    # sse.js, and what any page would write
    tab.tab.run("window.errors = []; window.again = SSE.connect('/sse/', {retry: 100});"
                "again.on('error', function (e) { errors.push(e); });"
                "window.plain = new EventSource('/sse/')")
    tab.tab.wait("errors.length === 1 && plain.readyState === 2", show="[errors, plain.readyState]")
    assert tab.tab.js("errors") == [{"status": 403, "retry": False}] and tab.tab.js("again.state") == "closed"
    count = asked()
    stays.post("still here")
    assert stays.messages(1) == ["tug: still here"]
    assert tab.tab.js("errors.length") == 1 and asked() == count
    assert wait_until(lambda: [r[0] for r in records(redis)] == ["tug"])


def test_login_again_after_logout(redis, chromium, start_site):  # noqa: F811
    """Log in after a logout: the new session's stream is open, and has what was posted meanwhile."""
    one, two = hosts(start_site())
    page, tug = Page(chromium, one).login("admin"), Page(chromium, two).login("tug")
    page.press("#logout")
    page.tab.wait("document.getElementById('login') !== null", show="document.body.textContent")
    tug.post("meanwhile")
    tug.messages(1)
    page.login("admin")
    tug.post("live")
    assert page.messages(2) == ["tug: live", "tug: meanwhile"]


def test_wrong_password(redis, chromium, start_site):  # noqa: F811
    """A wrong password opens nothing."""
    page = Page(chromium, hosts(start_site())[0])
    page.press("#login", username="admin", password="wrong")
    page.tab.wait("document.getElementById('wrong') !== null", show="document.body.textContent")
    assert records(redis) == [] and page.tab.js("document.body.getAttribute('sse-data')") is None
