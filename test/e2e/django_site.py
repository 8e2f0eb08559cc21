# SPDX-License-Identifier: ISC
"""Django for the tests: in this process for what Python alone can tell, and the
example site as its users start it."""
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.parse
import uuid

import pytest

from processes import DEADLINE_S, FCGI_SSE_BIN, SSE_PUBLISH_BIN, TOP, Program, free_port, port_listens, wait_until
from webservers import WebServer, example, fcgi_address

PACKAGE = os.path.join(TOP, "contrib", "django")
EXAMPLE = os.path.join(PACKAGE, "example")
PYTHON = "/usr/bin/python3"
ENGINES = ["db", "cached_db", "cache", "signed_cookies"]
ANYBODY = "jörg@x.y+z-w"  # a user's name with all that Django allows

NGINX = """
daemon off; user root; pid %(folder)s/nginx.pid; error_log stderr error; worker_processes 1;
events { worker_connections 1024; }
http {
	access_log off;
	client_body_temp_path %(folder)s/nginx-body; proxy_temp_path %(folder)s/nginx-proxy;
	fastcgi_temp_path %(folder)s/nginx-fcgi; uwsgi_temp_path %(folder)s/nginx-uwsgi;
	scgi_temp_path %(folder)s/nginx-scgi;
	types { text/html html; application/javascript js; }
%(servers)s
}
"""


# ---- in this process

def configure():
    """Django in this process, with the example's models and a database in memory."""
    for path in (PACKAGE, EXAMPLE):
        if path not in sys.path:
            sys.path.append(path)
    from django.conf import settings
    if settings.configured:
        return
    import chat.settings as of_example
    values = {name: getattr(of_example, name) for name in dir(of_example) if name.isupper()}
    values.update(
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "file:sse?mode=memory&cache=shared"}}, DEBUG=False,
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}, LOGGING_CONFIG=None,
        FCGI_SSE_REDIS="unix:///nowhere")
    del values["HERE"]
    settings.configure(**values)
    import django
    from django.core.management import call_command
    django.setup()
    call_command("migrate", verbosity=0)


@pytest.fixture
def django(redis):
    """Django's settings with this test's Redis; `with django(NAME=…)` overrides more."""
    from django.contrib.auth import get_user_model
    from django.test import override_settings
    from fcgi_sse import records, sessions

    records.link.retry_at = records.link.tell_at = 0
    sessions.recent.forget()
    sessions._warned.clear()
    with override_settings(FCGI_SSE_REDIS=redis.url):
        yield override_settings
        records.link.retry_at = 0
        get_user_model().objects.all().delete()
        redis.client.flushall()
        wait_until(lambda: not records.link.payer, what="the thread to end that pays")


def new_user(name=None, **more):
    from django.contrib.auth import get_user_model
    return get_user_model().objects.create_user(name or "u" + uuid.uuid4().hex[:8], password="demo", **more)


# ---- the example site, started as its users do

@pytest.fixture(scope="session")
def example_database(tmp_path_factory):
    """Its database after the first start, made once."""
    path = tmp_path_factory.mktemp("django") / "db.sqlite3"
    code = ("import manage; manage.prepare(); from django.contrib.auth.models import User\n"
            "User.objects.create_user(%r, password='demo')" % ANYBODY)
    subprocess.run([PYTHON, "-c", code], cwd=EXAMPLE, check=True, timeout=60, stdout=subprocess.DEVNULL,
                   env={**os.environ, "EXAMPLE_DB": str(path), "PYTHONDONTWRITEBYTECODE": "1",
                        "DJANGO_SETTINGS_MODULE": "chat.settings"})
    return path


class Site(Program):
    """manage.py runserver of the example, with a settings module of the test's own on top."""

    def __init__(self, folder, redis, database, settings=""):
        self.port = free_port()
        self.database = folder / "example.sqlite3"
        if database:
            shutil.copy(database, self.database)
        folder.write("test_settings.py", "from chat.settings import *\n"
                     "PASSWORD_HASHERS = ['django.contrib.auth.hashers.PBKDF2PasswordHasher',"
                     " 'django.contrib.auth.hashers.MD5PasswordHasher']\n" + settings)
        self.env = {"FCGI_SSE_REDIS": redis.url, "EXAMPLE_DB": self.database, "PYTHONPATH": folder.path,
                    "DJANGO_SETTINGS_MODULE": "test_settings", "PYTHONDONTWRITEBYTECODE": "1",
                    "PYTHONUNBUFFERED": "1"}
        super().__init__(folder, "runserver", self.command("runserver", "--noreload", "127.0.0.1:%d" % self.port),
                         env=self.env, check_stderr=False)
        self.ready(lambda: port_listens(self.port))

    @staticmethod
    def command(*argv):
        return [PYTHON, os.path.join(EXAMPLE, "manage.py"), *argv]

    def manage(self, code):
        """Python in the site's settings."""
        done = subprocess.run(self.command("shell", "-c", code), env={**os.environ, **self.env}, timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()


def asked(log):
    """The streams that were asked for, of the log of fcgi-sse --debug: "" or why there was none."""
    return [why for _, why in re.findall(r"debug: (?:stream of (.*)|refused \S+ (\(\d+\): .*))", log)]


class Front(WebServer):
    """contrib/django/nginx.conf.example before the site."""

    path = "/sse/"

    def __init__(self, folder, fcgi_sse, site):
        port = free_port()
        server = example("contrib/django/nginx.conf.example", {
            "127.0.0.1:8080": "127.0.0.1:%d" % port, "unix:/run/fcgi-sse/sse.sock": fcgi_address(fcgi_sse),
            "http://127.0.0.1:8000": "http://127.0.0.1:%d" % site.port, "/srv/example/static": folder.path,
        }).replace("location /static/ {\n\t\talias %s/;" % folder.path,
                   "location /collected/ {\n\t\talias %s/;" % folder.path)  # runserver has them
        conf = folder.write("nginx.conf", NGINX % {"folder": folder.path, "servers": server})
        super().__init__(folder, "nginx", ["nginx", "-e", "stderr", "-p", folder.path, "-c", conf], port)
        self.origin = "http://127.0.0.1:%d" % port
        self.site, self.fcgi_sse = site, fcgi_sse

    def asked(self):
        return asked(self.fcgi_sse.stderr())


class Served(Program):
    """manage.py runsseserver before the site."""

    speaks, path = "http", "/sse/"

    def __init__(self, folder, site, options=()):
        """options: of fcgi-sse, which has them from the environment."""
        self.port, self.site = free_port(), site
        more = {"FCGI_SSE_" + name.upper(): value for name, value in (o[2:].split("=") for o in options)}
        self.address = ("127.0.0.1", self.port)
        self.origin = "http://127.0.0.1:%d" % self.port
        super().__init__(folder, "runsseserver", site.command(
            "runsseserver", "--port=%d" % self.port, "--proxy=http://127.0.0.1:%d" % site.port, "--debug"),
            check_stderr=False, env={**site.env, **more, "FCGI_SSE_BIN": FCGI_SSE_BIN, "SSE_PUBLISH_BIN": SSE_PUBLISH_BIN}, start_new_session=True)
        self.ready(lambda: b"Ctrl-C" in self.stdout())

    def asked(self):
        return asked(self.stderr())


@pytest.fixture
def start_site(folder, redis, stack, example_database, start_fcgi_sse):
    """start_site("nginx" or "runsseserver", settings=…) -> what is before the site."""
    def start(kind="nginx", settings="", options=()):
        site = Site(folder, redis, example_database, settings)
        stack.callback(site.stop)
        front = (Front(folder, start_fcgi_sse(redis, "--debug", *options), site) if kind == "nginx"
                 else Served(folder, site, options))
        stack.callback(front.stop)
        return front
    return start


class Browser:
    """Cookies and forms, over the loop of the streams."""

    def __init__(self, loop, front):
        self.loop, self.front, self.cookies = loop, front, {}

    @property
    def header(self):
        return {"Cookie": "; ".join("%s=%s" % pair for pair in self.cookies.items())} if self.cookies else {}

    def request(self, path, form=None):
        headers, body = dict(self.header), None
        if form is not None:
            body = urllib.parse.urlencode(dict(form, csrfmiddlewaretoken=self.cookies.get("csrftoken", "")))
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection = http.client.HTTPConnection(*self.front.address, timeout=DEADLINE_S)
        connection.request("GET" if form is None else "POST", path, body, headers)
        answer = connection.getresponse()
        answer.text = answer.read().decode()
        connection.close()
        return self.keep(answer.headers.get_all("Set-Cookie") or [], answer)

    def keep(self, lines, answer=None):
        for line in lines:
            pair, *attributes = line.split(";")
            name, _, value = pair.partition("=")
            if value in ("", '""') or any(a.strip().lower() == "max-age=0" for a in attributes):
                self.cookies.pop(name.strip(), None)
            else:
                self.cookies[name.strip()] = value
        return answer

    def login(self, name, password="demo"):
        self.request("/")
        answer = self.request("/login/", {"username": name, "password": password})
        assert answer.status == 302, answer.text
        return self

    def logout(self):
        return self.request("/logout/", {})

    def post(self, text, to=""):
        """Write to somebody, or to all."""
        assert self.request("/post/", {"text": text, "to": to, "fetch": 1}).status == 204

    def live(self, **more):
        return self.loop.live(self.front, headers=self.header, **more)

    def try_stream(self, **more):
        return self.loop.fetch(self.front, headers=self.header, **more)


@pytest.fixture
def browser_of(loop):
    """browser_of(front) -> a Browser without cookies."""
    return lambda front: Browser(loop, front)


def records(redis):
    """The records there are: [(user, channels)]."""
    found = []
    for key in redis.client.keys("sse:session:*"):
        record = json.loads(redis.client.get(key) or "null")
        if record:  # it may go any moment
            found.append((record["user"], record["channels"]))
    return sorted(found)


def wait_records(redis, wanted):
    return wait_until(lambda: records(redis) == wanted or None, what=lambda: "%r, there is %r" % (wanted, records(redis)))
