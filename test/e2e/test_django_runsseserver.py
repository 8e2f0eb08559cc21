# SPDX-License-Identifier: ISC
"""manage.py runsseserver: what it starts, and what it says instead.  (What it serves
is in test_django_site.py and test_django_browser.py.)"""
import os
import shutil
import subprocess

import pytest

from django_site import PACKAGE, PYTHON

pytest.importorskip("django")

MANAGE = """if True:
    from django.conf import settings
    settings.configure(INSTALLED_APPS=["fcgi_sse"], **%r)
    import django
    django.setup()
    from django.core.management import execute_from_command_line
    execute_from_command_line(["manage.py", "runsseserver", *%r])
"""
SAYS_ITS_ARGUMENTS = "#!/bin/sh\nPATH=/usr/bin:/bin\nprintf '%s\\n' \"$0\" \"$@\"\nenv | grep ^FCGI_SSE_ | sort\n"


@pytest.fixture
def runsseserver(folder):
    """runsseserver(*argv, place=…, path=…, NAME=…): its lines with the package at a place in the test's folder."""
    def run(*argv, place="a/b/site-packages", path="bin", **settings):
        target = folder / place
        if not os.path.exists(os.path.join(target, "fcgi_sse")):
            shutil.copytree(os.path.join(PACKAGE, "fcgi_sse"), os.path.join(target, "fcgi_sse"))
        environment = {k: v for k, v in os.environ.items() if not k.startswith("FCGI_SSE_")}
        done = subprocess.run([PYTHON, "-c", MANAGE % (settings, argv)], timeout=30, cwd=folder.path,
                              env={**environment, "PYTHONPATH": target, "PATH": folder / path},
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        error = done.stderr.decode()
        assert "Traceback" not in error and (done.returncode == 0) == (not error), error
        return done.stdout.decode().splitlines() + error.splitlines()
    return run


def test_arguments(folder, runsseserver):
    """sse-serve gets tornado-sse's options with their defaults, the session cookie's name, and the site's Redis, whose
    password stands on no command line."""
    program = folder.write("bin/sse-serve", SAYS_ITS_ARGUMENTS, 0o755)
    said = runsseserver()
    assert said[0].startswith("open http://127.0.0.1:8888/ and log in there: at http://127.0.0.1:8000,")
    assert said[1:] == [
        program, "--address=127.0.0.1", "--port=8888", "--proxy=http://127.0.0.1:8000", "--session-cookie=sessionid",
        "FCGI_SSE_PREFIX=sse:", "FCGI_SSE_REDIS=redis://127.0.0.1:6379/0"]
    said = runsseserver("--address=::1", "--port=1234", "--debug", "--proxy=http://app:81", SESSION_COOKIE_NAME="shop",
                        FCGI_SSE_URL="/sse/?channels=all",
                        REDIS_SSEQUEUE_CONNECTION_SETTINGS={"location": "localhost:6380", "db": 2, "password": "secret"})
    assert said[0].startswith("open http://[::1]:1234/ and log in there: at http://app:81,")
    assert said[1:] == [
        program, "--address=::1", "--port=1234", "--proxy=http://app:81", "--session-cookie=shop", "--debug",
        "FCGI_SSE_PREFIX=sse2:", "FCGI_SSE_REDIS=redis://localhost:6380/2", "FCGI_SSE_REDIS_PASSWORD=secret"]


def test_not_installed(runsseserver):
    """Where fcgi-sse is not installed, it says what is missing."""
    [said] = runsseserver(path="nothing")
    assert "sse-serve is not in PATH" in said and "make install" in said


@pytest.mark.parametrize("url", ["/events/", "https://events.example.org/sse/", "/sse"])
def test_another_url(folder, runsseserver, url):
    """sse-serve has the streams at /sse/: pages that look for them elsewhere are not served without a word."""
    folder.write("bin/sse-serve", SAYS_ITS_ARGUMENTS, 0o755)
    [said] = runsseserver(FCGI_SSE_URL=url)
    assert "FCGI_SSE_URL is %s" % url in said and "/sse/" in said


@pytest.mark.parametrize("place, sources, is_ours", [
    ("top/lib/site-packages", ["fcgi-sse.c"], False), ("top/contrib/django", [], False),
    ("top/contrib/django", ["fcgi-sse.c"], True)])
def test_source_tree(folder, runsseserver, place, sources, is_ours):
    """The sse-serve of the source tree is used there, and no other that happens to stand above an installed package."""
    program = folder.write("top/sse-serve", SAYS_ITS_ARGUMENTS, 0o755)
    installed = folder.write("bin/sse-serve", SAYS_ITS_ARGUMENTS, 0o755)
    for name in sources:
        folder.write("top/" + name, "")
    assert runsseserver(place=place)[1] == (program if is_ours else installed)
