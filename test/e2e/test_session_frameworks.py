# SPDX-License-Identifier: ISC
"""contrib/sessions/README.md: what it says to paste works, behind nginx with the
session policy."""
import http.client
import os
import re

import pytest

from processes import DEADLINE_S, TOP, free_port, port_listens, publish_ids

with open(os.path.join(TOP, "contrib/sessions/README.md"), encoding="utf-8") as f:
    BLOCKS = dict(re.findall(r"<!-- run: (\w+) -->\n```\w+\n(.*?)^```$", f.read(), re.S | re.M))

# /login, /logout, and / which says who it is
PHP = """
session_name('PHPSESSID');
session_start();
$channels = fn($user) => [$user, 'all'];
if ($_SERVER['REQUEST_URI'] === '/login') {
    sse_session(null, [], getenv('TEST_REDIS'));
    session_regenerate_id(true);
    $_SESSION['user'] = 'tüg';
    sse_session('tüg', $channels('tüg'), getenv('TEST_REDIS'));
} elseif ($_SERVER['REQUEST_URI'] === '/logout') {
    sse_session(null, [], getenv('TEST_REDIS'));
    session_destroy();
}
echo 'ok';
"""

FLASK = """
import os
from flask import Flask, redirect, request
from redis import Redis
app, r = Flask(__name__), Redis.from_url(os.environ["TEST_REDIS"])

@app.route("/")
def index():
    return "ok"

@app.route("/login")
def login():
    return sse_login(r, redirect("/"), "tüg", ["tüg", "all"])

@app.route("/logout")
def logout():
    return sse_logout(r, redirect("/"), request.cookies.get("sse_session"))

app.run(port=int(os.environ["TEST_PORT"]))
"""


@pytest.fixture
def application(folder, run, redis):
    """application("php") -> (port, the name of its cookie)."""
    def start(kind):
        port = free_port()
        if kind == "php":
            folder.write("index.php", BLOCKS["php"] + PHP)
            os.makedirs(folder / "sessions")
            argv = ["php", "-d", "session.save_path=" + folder / "sessions", "-S", "127.0.0.1:%d" % port,
                    folder / "index.php"]
        else:
            pytest.importorskip("flask")
            folder.write("app.py", BLOCKS["flask"] + FLASK)
            argv = ["/usr/bin/python3", folder / "app.py"]
        program = run(kind, argv, env={"TEST_REDIS": redis.url, "TEST_PORT": str(port)})
        program.ready(lambda: port_listens(port))
        return port, "PHPSESSID" if kind == "php" else "sse_session"
    return start


def get(port, path, cookies):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
    connection.request("GET", path, headers={"Cookie": "; ".join("%s=%s" % c for c in cookies.items())})
    answer = connection.getresponse()
    assert answer.status in (200, 302), answer.read()
    for line in answer.headers.get_all("Set-Cookie") or []:
        name, _, value = line.partition(";")[0].partition("=")
        cookies[name] = value
    answer.read()
    connection.close()


@pytest.mark.parametrize("kind", ["php", "flask"])
def test_login_and_logout(redis, fcgi_sse, web, loop, application, kind):
    """Log in: the stream has the user's channels.  Log out: it ends at once, and another gets 403."""
    port, name = application(kind)
    front = web("nginx", fcgi_sse, "fastcgi_param SSE_SESSION_COOKIE %s;" % name)
    cookies = {}
    get(port, "/", cookies)

    def header():
        return {"Cookie": "%s=%s" % (name, cookies.get(name, ""))}

    assert loop.fetch(front, headers=header()).status == 403
    get(port, "/login", cookies)
    stream = loop.live(front, headers=header())
    publish_ids(redis, "tüg", "mine")
    publish_ids(redis, "other", "not mine")
    publish_ids(redis, "all", "ours")
    assert stream.wait_data(2) == ["mine", "ours"]
    [key] = redis.client.keys("sse:session:*")
    assert redis.client.ttl(key) > 600
    before = header()
    get(port, "/logout", cookies)
    stream.wait_end()
    assert stream.all_events[-1].type == "stream-end" and loop.fetch(front, headers=before).status == 403
    assert redis.client.keys("sse:session:*") == [] and redis.client.keys("sse:history:sse:*") == []
