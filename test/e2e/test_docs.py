# SPDX-License-Identifier: ISC
"""The documents: what README says to type works as it stands, and the manuals
and ARCHITECTURE.md say what the programs do."""
import glob
import json
import hashlib
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import types

import pytest

import webservers
from browser import VENDOR, chromium, need_npm, serve, site  # noqa: F401
from processes import (FCGI_SSE_BIN, SSE_PUBLISH_BIN, TOP, alive, children_of, free_port, history, publish_ids,
                       redis_environment, wait_until)


def read(name):
    with open(os.path.join(TOP, name), encoding="utf-8") as f:
        return f.read()


README = read("README.md")
BLOCK = re.compile(r"(?:<!-- run: (\S+) -->\n)?^```(\w*)\n(.*?)^```$", re.S | re.M)
BLOCKS = {name: text for name, _, text in BLOCK.findall(README) if name}
run_blocks = set()


def runs(name):
    """Marks the test of a block of README."""
    run_blocks.add(name)
    return lambda test: test


def block(name, values=None):
    """A block of README with what is another thing here replaced; each must be there."""
    text = BLOCKS[name]
    for old, new in (values or {}).items():
        assert old in text, "the block %s of README does not say %r" % (name, old)
        text = text.replace(old, new)
    return text


def test_every_block_is_run():
    """No block of README without a test."""
    for name, language, text in BLOCK.findall(README):
        assert name, "this block of README has no test:\n%s" % text
    assert set(BLOCKS) == run_blocks


@pytest.fixture
def shell(folder, redis):
    """A user's shell: our programs in PATH, redis-cli finds the test's Redis."""
    bin_ = folder / "bin"
    os.makedirs(bin_)
    os.symlink(FCGI_SSE_BIN, bin_ + "/fcgi-sse")
    os.symlink(SSE_PUBLISH_BIN, bin_ + "/sse-publish")
    folder.write("bin/redis-cli", '#!/bin/sh\nexec %s -s %s "$@"\n' % (shutil.which("redis-cli"), redis.path), 0o755)
    env = {"PATH": bin_ + ":" + os.environ["PATH"], "FCGI_SSE_DRAIN": "1", "SSE_E2E_FOLDER": folder.path,
           **redis_environment(redis)}

    def start(text, **more):
        done = subprocess.run(["sh", "-euc", text], env={**os.environ, **env}, timeout=60, cwd=folder.path,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, **more)
        assert done.returncode == 0 and done.stderr == b"", done
        return done.stdout.decode()

    return types.SimpleNamespace(run=start, env=env)


def foreground(text):
    """A block whose last command stays in the foreground, for sh -c."""
    *before, last = text.rstrip("\n").split("\n")
    return "\n".join([*before, "exec " + last])


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="changes users: needs root")


# ---- the head: two commands

@runs("demo")
def test_make_demo(run, loop, folder):
    """make demo: the page is there, and what it prints to publish works when pasted."""
    port = free_port()
    demo = run("make", ["sh", "-c", block("demo")], cwd=TOP, start_new_session=True,
               env={"DEMO_ARGS": "--port=%d" % port, "TMPDIR": folder.path,  # where a failed test is cleared away
                    "FCGI_SSE_BIN": FCGI_SSE_BIN, "SSE_PUBLISH_BIN": SSE_PUBLISH_BIN})
    demo.ready(lambda: b"Ctrl-C" in demo.stdout(), 60)
    said = demo.stdout().decode()
    assert "http://127.0.0.1:%d/\n" % port in said
    where = types.SimpleNamespace(speaks="http", name="demo", path="/sse/", address=("127.0.0.1", port))
    page = loop.fetch(where, path="/", accept="text/html")
    assert page.status == 200 and "EventSource" in page.text
    stream = loop.live(where, "all,foo")
    for word in ("publish", "or"):
        [command] = re.findall(r"^%s +(.*)$" % word, said, re.M)
        subprocess.run(["sh", "-euc", command], check=True, timeout=60, stdout=subprocess.DEVNULL)
    stream.wait_data(2)
    assert json.loads(stream.data[0])["type"] == json.loads(stream.data[1])["type"] == "foo"
    stream.close()
    os.killpg(demo.pid, signal.SIGINT)
    demo.wait()
    assert "8888" in subprocess.run([os.path.join(TOP, "sse-serve"), "--help"], stdout=subprocess.PIPE,
                                    check=True).stdout.decode(), "README names the default port"


@runs("check")
def test_make_check():
    """make check runs unit tests and end-to-end tests (without running them again)."""
    done = subprocess.run(["sh", "-euc", block("check", {"make": "make -n"})], cwd=TOP, check=True, timeout=50,
                          stdout=subprocess.PIPE)
    assert b"tools/deps check" in done.stdout and b"run-unit-tests" in done.stdout and b"pytest" in done.stdout


@runs("install")
def test_make_install(folder):
    """make install puts everything where README and the manuals say it is."""
    subprocess.run(["sh", "-euc", block("install", {"sudo ": ""})], cwd=TOP, check=True, timeout=110,
                   env={**os.environ, "DESTDIR": folder.path}, stdout=subprocess.DEVNULL)
    for name in ["fcgi-sse", "sse-publish", "sse-serve"]:
        assert os.access(folder / ("usr/local/bin/" + name), os.X_OK)
    named = re.findall(r"/usr/local/[\w/.-]+\w", README + read("man/fcgi-sse.8") + read("man/sse-publish.1"))
    assert len(set(named)) >= 4
    for path in set(named):
        assert os.path.exists(folder.path + path), path
    for page in ["man8/fcgi-sse.8", "man1/sse-publish.1"]:
        assert os.path.exists(folder / ("usr/local/share/man/" + page))


# ---- web servers

def start_server(folder, stack, name, argv, port):
    server = webservers.WebServer(folder, name, argv, port)
    server.path = "/sse/"

    def stop():
        stack.close_streams()
        server.stop()

    stack.callback(stop)
    return server


def start_lighttpd(folder, stack, text):
    port = free_port()
    conf = folder.write("lighttpd.conf", 'server.document-root = "%s"\nserver.bind = "127.0.0.1"\n'
                        'server.port = %d\nserver.upload-dirs = ( "%s" )\n%s'
                        % (folder.path, port, folder.path, text))
    return start_server(folder, stack, "lighttpd", ["lighttpd", "-D", "-f", conf], port)


def check_set_up(redis, loop, server, plain_id=True):
    """README's policy holds, and both ways of publishing arrive."""
    stream = loop.live(server, "all,news.x")
    assert stream.headers["x-accel-buffering"] == "no", "a proxy in front must see it"
    publish_ids(redis, "news.x", "recorded")
    stream.wait_data(1)
    redis.publish("all", "plain")
    assert stream.wait_data(2) == ["recorded", "plain"]
    assert (stream.events[1].id is not None) == plain_id
    for channels in ("foo", "all,foo", None):
        assert loop.fetch(server, channels).status == 403
    stream.close()
    wait_until(lambda: redis.channel_subscribers("sse:event:all") == 0, what="the client that left to be noticed")


@runs("nginx")
def test_nginx(redis, fcgi_sse, loop, folder, stack):
    """The five lines for nginx."""
    os.symlink("/etc/nginx/fastcgi_params", folder / "fastcgi_params")
    port = free_port()
    temporary = "".join("%s_temp_path %s;\n" % (kind, folder / kind)
                        for kind in ("client_body", "fastcgi", "proxy", "scgi", "uwsgi"))
    conf = folder.write("nginx.conf", """
daemon off; user root; pid %s/nginx.pid; worker_processes 1;
events { worker_connections 64; }
http { access_log off; %s server { listen 127.0.0.1:%d; %s } }
""" % (folder.path, temporary, port, block("nginx", {"/run/fcgi-sse/sse.sock": fcgi_sse.address})))
    server = start_server(folder, stack, "nginx", ["nginx", "-e", "stderr", "-p", folder.path, "-c", conf], port)
    check_set_up(redis, loop, server)


@runs("lighttpd")
def test_lighttpd(redis, fcgi_sse, loop, folder, stack):
    """The lines for lighttpd with a running fcgi-sse."""
    server = start_lighttpd(folder, stack, block("lighttpd", {"/run/fcgi-sse/sse.sock": fcgi_sse.address}))
    check_set_up(redis, loop, server)


@runs("lighttpd-bin-path")
def test_lighttpd_bin_path(redis, loop, folder, stack):
    """lighttpd starts fcgi-sse."""
    server = start_lighttpd(folder, stack, block("lighttpd-bin-path", {
        "/run/lighttpd/sse.sock": folder / "own.sock", "/usr/local/bin/fcgi-sse": FCGI_SSE_BIN,
        "redis://127.0.0.1:6379/0": redis.url}))
    check_set_up(redis, loop, server)


@runs("lighttpd-cgi")
def test_lighttpd_cgi(redis, loop, folder, stack):
    """Plain CGI: live without an id for a plain PUBLISH."""
    server = start_lighttpd(folder, stack, block("lighttpd-cgi", {
        "/usr/local/bin/fcgi-sse": FCGI_SSE_BIN, "redis://127.0.0.1:6379/0": redis.url}))
    check_set_up(redis, loop, server, plain_id=False)


# ---- running it

def user_of(pid):
    with open("/proc/%d/status" % pid) as f:
        uid = re.search(r"^Uid:\s+(\d+)\s+(\d+)", f.read(), re.M)
    assert uid.group(1) == uid.group(2)
    return pwd.getpwuid(int(uid.group(1))).pw_name


def check_socket(path, loop):
    """It belongs to the web server's user, and a stream comes through it."""
    status = os.stat(path)
    assert pwd.getpwuid(status.st_uid).pw_name == "www-data" and status.st_mode & 0o777 == 0o660
    where = types.SimpleNamespace(speaks="fcgi", name="fcgi-sse", address=path)
    loop.live(where, "all", params={"SSE_ALLOW": "*"}).close()


@runs("run-socket")
@needs_root
def test_run_socket(redis, run, loop, folder, shell):
    """Started as root it opens the socket and becomes another user."""
    text = block("run-socket", {"/run/fcgi-sse": folder / "run"})
    program = run("fcgi-sse", ["sh", "-euc", foreground(text)], env=shell.env, check_stderr=True)
    path = folder / "run/sse.sock"
    program.ready(lambda: os.path.exists(path) and redis.client.exists("sse:recorder"))
    assert {user_of(pid) for pid in [program.pid, *children_of(program.pid)]} == {"www-data"}
    check_socket(path, loop)


@runs("run-spawn-fcgi")
@needs_root
def test_run_spawn_fcgi(redis, loop, folder, shell, stack):
    """spawn-fcgi opens the socket."""
    path = folder / "sse.sock"
    said = shell.run(block("run-spawn-fcgi", {"/run/fcgi-sse/sse.sock": path, "/usr/local/bin/fcgi-sse": FCGI_SSE_BIN}))
    pid = int(re.search(r"PID: (\d+)", said).group(1))

    def stop():
        stack.close_streams()
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not alive(pid), what="fcgi-sse to end")

    stack.callback(stop)
    assert user_of(pid) == "www-data"
    check_socket(path, loop)


@runs("record")
def test_record(redis, run, folder, shell):
    """--record names the channels whose plain PUBLISH is recorded."""
    text = block("record", {"/run/fcgi-sse": folder.path})
    program = run("fcgi-sse", ["sh", "-euc", foreground(text)], env=shell.env)
    program.ready(lambda: redis.client.exists("sse:recorder"))
    for channel in ("all", "foo", "news.x"):
        redis.publish(channel, "x")
    wait_until(lambda: history(redis, "all") and history(redis, "news.x"))
    assert history(redis, "foo") == []


@runs("limits")
def test_limits(redis, shell):
    """The limits in Redis hold for the next event on."""
    publish_ids(redis, "--lines", "all", stdin=b"x\n" * 250)
    assert len(history(redis, "all")) == 200, "README says how much is kept"
    shell.run(block("limits"))
    publish_ids(redis, "--lines", "all", stdin=b"x\n" * 1000)
    assert len(history(redis, "all")) == 1000
    assert redis.client.ttl("sse:history:all") > 604700


@runs("session-record")
def test_session_record(redis, fcgi_sse, loop):
    """README's record names the channels of a session."""
    key = "sse:session:" + hashlib.sha256(b"0123456789abcdef").hexdigest()
    redis.client.set(key, block("session-record"), ex=100)
    stream = loop.live(fcgi_sse, params={"SSE_SESSION_COOKIE": "sessionid", "HTTP_COOKIE": "sessionid=0123456789abcdef"})
    for channel in ("admin", "other", "all"):
        publish_ids(redis, channel, channel)
    assert stream.wait_data(2) == ["admin", "all"]


@runs("redis-users")
def test_redis_users(start_redis, folder):
    """README's users are an ACL file as it stands; whether their rights are right: test_redis_users.py."""
    redis = start_redis(extra=["--aclfile", folder.write("users.acl", block("redis-users"))])
    assert redis.client.acl_users() == ["default", "fcgi-sse", "publisher", "streams"]


# ---- publishing

@runs("publish-shell")
def test_publish_shell(redis, shell):
    """sse-publish: an argument, two channels, standard input; it prints ids."""
    ids = shell.run(block("publish-shell")).split()
    of_all = history(redis, "all")
    [gold] = history(redis, "gold")
    [silver] = history(redis, "silver")
    assert [int(i) for i in ids] == [of_all[0][0], gold[0], silver[0], of_all[1][0]]
    assert of_all[0][3].endswith(b'\ndata: {"type": "foo", "user": "tug"}\n\n')
    assert gold[3].endswith(b"\nevent: price\ndata: 1234.5\n\n")


@runs("publish-key")
def test_publish_key(redis, shell):
    """sse-publish with a key, twice: one event, one id."""
    ids = {shell.run(block("publish-key")) for _ in range(2)}
    assert [int(i) for i in ids] == [r[0] for r in history(redis, "orders")]


@runs("publish-lines")
def test_publish_lines(redis, run, folder, shell):
    """Each line of a growing file is an event at once."""
    log = folder.write("log", "one\n")
    program = run("sh", ["sh", "-c", block("publish-lines", {"/var/log/syslog": log})], env=shell.env,
                  start_new_session=True)
    wait_until(lambda: len(history(redis, "logs")) == 1)
    with open(log, "a") as f:
        f.write("two\n")
    wait_until(lambda: len(history(redis, "logs")) == 2)
    os.killpg(program.pid, signal.SIGTERM)
    program.wait()


@runs("publish-redis-cli")
def test_publish_redis_cli(redis, fcgi_sse, loop, shell):
    """Plain PUBLISH: a name and data, data passed on as it was written, plain text."""
    stream = loop.live(fcgi_sse, "all")
    shell.run(block("publish-redis-cli"))
    stream.wait_data(3)
    assert [(e.type, e.data) for e in stream.events] == [
        ("message", '{"type": "foo", "user": "tug"}'), ("price", '{"gold": 1234.50}'), ("message", "just text")]
    assert all(e.id for e in stream.events)


def run_python(folder, redis, name, values=None):
    path = folder.write("example.py", block(name, {"redis://127.0.0.1:6379/0": redis.url, **(values or {})}))
    done = subprocess.run([sys.executable, "-W", "error::SyntaxWarning", path], timeout=30, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)
    assert done.returncode == 0 and done.stderr == b"", done
    return done.stdout.decode()


@runs("python-plain")
def test_python_plain(redis, fcgi_sse, loop, folder):
    """A plain PUBLISH from redis-py."""
    stream = loop.live(fcgi_sse, "all")
    run_python(folder, redis, "python-plain")
    assert stream.wait_data(1) == ['{"type": "foo", "user": "tug"}'] and stream.events[0].id


@runs("python-recorded")
def test_python_recorded(redis, start_fcgi_sse, loop, folder):
    """publish.lua from redis-py: recorded without a recorder, the id is the answer."""
    stream = loop.live(start_fcgi_sse(redis, "--record=none"), "all")
    ids = run_python(folder, redis, "python-recorded",
                     {"/usr/local/share/fcgi-sse/publish.lua": os.path.join(TOP, "lua/publish.lua")}).split()
    stream.wait_data(2)
    assert [(e.type, e.data, e.id) for e in stream.events] == [
        ("message", '{"type": "foo", "user": "tug"}', ids[0]), ("note", "two\nlines", ids[1])]
    # the same bytes as sse-publish's
    publish_ids(redis, "--event=note", "all", stdin=b"two\nlines")
    first, second = [r[3].split(b"\n", 1)[1] for r in history(redis, "all")[1:]]
    assert first == second


@runs("php")
def test_php(redis, fcgi_sse, loop, folder):
    """A plain PUBLISH from PHP without an extension."""
    stream = loop.live(fcgi_sse, "all")
    path = folder.write("example.php", block("php", {"tcp://127.0.0.1:6379": "unix://" + redis.path}))
    done = subprocess.run(["php", "-d", "display_errors=stderr", path], timeout=30, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)
    assert done.returncode == 0 and done.stdout + done.stderr == b"", done
    assert stream.wait_data(1) == ['{"type":"foo","user":"tug"}'] and stream.events[0].id


# ---- reading

@runs("curl")
def test_curl(redis, fcgi_sse, web, run):
    """The stream from a shell."""
    server = web("nginx-example", fcgi_sse)
    curl = run("curl", ["sh", "-c", "exec " + block("curl", {":8888": ":%d" % server.port})])
    wait_until(lambda: redis.channel_subscribers("sse:event:foo") == 1)
    publish_ids(redis, "foo", "x")
    wait_until(lambda: b"data: x\n" in curl.stdout())
    curl.signal(signal.SIGTERM)
    curl.wait()


@runs("resume")
def test_resume(redis, fcgi_sse, web, run):
    """A stream that resumes is to the byte as README shows it."""
    server = web("nginx-example", fcgi_sse)
    command, _, shown = block("resume").partition("\n")
    missed = publish_ids(redis, "all", "before") + publish_ids(redis, "all", "missed")
    names = sorted(set(re.findall(r"\d{16}", shown)))
    command = command.replace(names[0], str(missed[0])).replace(":8888", ":%d" % server.port)
    assert command.startswith("$ ")
    curl = run("curl", ["sh", "-c", "exec " + command[2:]])
    wait_until(lambda: curl.stdout().count(b"id: ") == 3)
    ids = missed + publish_ids(redis, "all", "live")
    for name, id_ in zip(names, ids, strict=True):
        shown = shown.replace(name, str(id_))
    wait_until(lambda: b"live" in curl.stdout())
    assert curl.stdout().decode() == shown
    curl.signal(signal.SIGTERM)
    curl.wait()


@runs("reset")
def test_reset(redis, start_fcgi_sse, loop):
    """What cannot be given is said as README shows it."""
    fcgi_sse = start_fcgi_sse(redis, "--history-count=1")
    ids = publish_ids(redis, "--lines", "all", stdin=b"1\n2\n3\n")
    stream = loop.live(fcgi_sse, "all", last_event_id=ids[0])
    stream.wait_data(1)
    assert re.sub(r"\d{16}", str(ids[2]), block("reset")) in stream.text


@runs("page")
@pytest.mark.chromium
def test_page(redis, start_fcgi_sse, web, folder):
    """The page in a real browser: events, names, ids, and a reload at a reset."""
    webdriver = pytest.importorskip("selenium.webdriver")
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not browser or not shutil.which("chromedriver"):
        pytest.skip("no Chromium and chromedriver here")
    folder.write("static/page.html", "<!DOCTYPE html>\n<title>page</title>\n" + block("page"))
    fcgi_sse = start_fcgi_sse(redis, "--heartbeat=1")
    server = web("nginx-example", fcgi_sse, {"/usr/share/fcgi-sse/static": folder / "static"})
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                     "--user-data-dir=" + folder / "chromium"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options)
    try:
        driver.get("http://127.0.0.1:%d/static/page.html" % server.port)
        wait_until(lambda: redis.channel_subscribers("sse:event:foo") == 1)
        driver.execute_script("window.isFirst = true")
        said = []

        def has_said(*words):
            said.extend(line["message"] for line in driver.get_log("browser"))
            return any(all(word in line for word in words) for line in said)

        [id_] = publish_ids(redis, "foo", "hello")
        wait_until(lambda: has_said("hello", str(id_)), what=lambda: repr(said))
        publish_ids(redis, "--event=price", "all", "1234.5")
        wait_until(lambda: has_said("price", "1234.5"), what=lambda: repr(said))
        redis.client.flushall()
        publish_ids(redis, "foo", "another store")
        wait_until(lambda: driver.execute_script("return window.isFirst !== true"), what="the page to be loaded again")
    finally:
        driver.quit()


def open_page(chromium, site, serve, fcgi_sse, name):
    """A block for page authors, as a page of nginx' example set-up."""
    site.folder.write("site/%s.html" % name, '<!DOCTYPE html>\n<meta charset="utf-8">\n'
                      '<link rel="icon" href="data:,">\n' + block(name))
    return chromium.open(serve("nginx", fcgi_sse).origin + "/static/%s.html" % name)


@runs("page-attribute")
@pytest.mark.chromium
def test_page_attribute(redis, fcgi_sse, chromium, site, serve):
    """One script tag and one attribute: the page shows what is published."""
    tab = open_page(chromium, site, serve, fcgi_sse, "page-attribute")
    wait_until(lambda: redis.channel_subscribers("sse:event:all") == 1)
    publish_ids(redis, "all", '{"type": "price", "price": 12}')
    tab.wait('document.getElementById("price").textContent === "12"')


@runs("page-jquery")
@pytest.mark.chromium
def test_page_jquery(redis, fcgi_sse, chromium, site, serve):
    """A page of tornado-sse's, with jQuery."""
    need_npm(os.path.join(VENDOR, "jquery.min.js"))
    tab = open_page(chromium, site, serve, fcgi_sse, "page-jquery")
    wait_until(lambda: redis.channel_subscribers("sse:event:all") == 1)
    redis.publish("all", '["message", "{\\"type\\": \\"foo\\", \\"user\\": \\"tug\\"}"]')
    tab.wait('document.querySelector("li") && document.querySelector("li").textContent === "tug"')


@runs("page-api")
@pytest.mark.chromium
def test_page_api(redis, fcgi_sse, chromium, site, serve):
    """Without an element, by SSE.connect."""
    tab = open_page(chromium, site, serve, fcgi_sse, "page-api")
    wait_until(lambda: redis.channel_subscribers("sse:event:all") == 1)
    publish_ids(redis, "all", '{"type": "price", "price": 12}')
    tab.wait('document.title === "12"')


@runs("worker")
@pytest.mark.chromium
def test_worker(redis, start_fcgi_sse, chromium, site, serve, folder):
    """A service worker that leaves the stream alone: a bare EventSource that is cut has what came meanwhile."""
    fcgi_sse = start_fcgi_sse(redis, "--retry=100").expect_log("signal|kill|died|ended")
    folder.write("site/worker.js", block("worker") + """
self.addEventListener("install", function () { self.skipWaiting(); });
self.addEventListener("activate", function (event) { event.waitUntil(self.clients.claim()); });""")
    page = site.page("worker.html", """
<body><script>
navigator.serviceWorker.register("/static/worker.js");
navigator.serviceWorker.addEventListener("controllerchange", function () {
	var source = new EventSource("/sse/?channels=all");
	source.onmessage = function (event) { note("message", event.data); };
	source.addEventListener("stream-position", function (event) { note("position", event.data); });
});
</script></body>""")
    tab = chromium.open(serve("nginx", fcgi_sse).origin + page)
    tab.wait_log(2)
    fcgi_sse.kill_responders()
    wait_until(lambda: redis.channel_subscribers("sse:event:all") == 0)
    publish_ids(redis, "all", "missed")
    tab.wait('log.some(function (e) { return e.data === "missed"; })')
    tab.run("navigator.serviceWorker.getRegistration().then(function (all) { all.unregister(); window.isGone = true; });")
    tab.wait("window.isGone")


# ---- README's tables

def table(text, heading):
    """The rows after a line of a document, each a list of its cells."""
    rows = []
    for line in text[text.index(heading):].split("\n"):
        if line.startswith("|"):
            rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
        elif rows:
            return rows[2:]
    return rows[2:]


def source_files(pattern):
    """Sources at the top and in a folder: their paths in the tree."""
    folders = ["", "lua/", *(folder + "/" for folder in modules_of_makefile() if folder != "top")]
    return sorted(os.path.relpath(path, TOP) for folder in folders for path in glob.glob(TOP + "/" + folder + pattern))


def sources():
    """All of our C, string literals that stand after one another joined."""
    text = "".join(read(path) for path in source_files("*.c"))
    return re.sub(r'"\s*\n\s*"', "", text)


def test_log_lines():
    """The lines of the log that README explains are those of the program."""
    rows = table(README, "Lines in the log")
    assert len(rows) >= 5
    for line, _ in rows:
        assert re.sub(r"\d+", "%llu", line.strip("`")) in sources(), line


def test_policy_variables():
    """README's and the manual's SSE_ variables are those that the program reads."""
    known = set(re.findall(r'variable\(env, "(SSE_\w+)"\)', read("request.c")))
    assert {row[0].strip("`") for row in table(README, "| variable | meaning |")} <= known
    assert set(re.findall(r"^\.It Ev (SSE_\w+)", read("man/fcgi-sse.8"), re.M)) == known


def test_reset_reasons():
    """README, the manual and ARCHITECTURE.md name the reasons of stream-reset."""
    reasons = set(re.findall(r'return "(\w+)";', read("resume.c"))) - {"none"}
    assert {row[0].strip("`") for row in table(README, "| reason | what happened |")} == reasons
    for reason in reasons:
        assert "\n.It Cm %s\n" % reason in read("man/fcgi-sse.8") and "`%s`" % reason in read("ARCHITECTURE.md")


def test_links():
    """The documents' links lead to files of the project."""
    for name in ("README.md", "ARCHITECTURE.md"):
        for target in re.findall(r"\]\(([^):]+)\)", read(name)):
            assert os.path.exists(os.path.join(TOP, target)), target


def test_picture():
    """README's picture is a PNG of under 150 kB."""
    [name] = re.findall(r"!\[[^]]+\]\((\S+)\)", README)
    with open(os.path.join(TOP, name), "rb") as f:
        assert f.read(8) == b"\x89PNG\r\n\x1a\n"
    assert os.path.getsize(os.path.join(TOP, name)) < 150000


# ---- the manuals

def options_of_help(program):
    """(name, argument or "", default or "") of each option that --help prints."""
    text = subprocess.run([program, "--help"], stdout=subprocess.PIPE, check=True, timeout=60).stdout.decode()
    options = re.findall(r"^  --([\w-]+)(?:=(\S+))?\s+(.*)$", text, re.M)
    assert len(options) > 5
    return [(name, argument, (re.search(r"\(default ([^()]*)\)$", rest) or ["", ""])[1])
            for name, argument, rest in options]


def items_of_manual(text):
    """Option -> the raw text of its item, in the order of the page."""
    items = {}
    for item in re.split(r"^\.It ", text, flags=re.M)[1:]:
        head, _, body = item.partition("\n")
        option = re.match(r"Fl -([\w-]+)", head)
        if option:
            items[option[1]] = (head, body.split("\n.El")[0])
    return items


@pytest.mark.parametrize("page, program", [("fcgi-sse.8", FCGI_SSE_BIN), ("sse-publish.1", SSE_PUBLISH_BIN)],
                         ids=["fcgi-sse", "sse-publish"])  # no paths: a copy of the tree has another for each process
def test_options(page, program):
    """The manual has the options of --help, in their order, with their defaults."""
    items = items_of_manual(read("man/" + page))
    options = options_of_help(program)
    assert list(items) == [name for name, _, _ in options]
    for name, argument, default in options:
        head, body = items[name]
        assert ("Ar" in head.split()) == bool(argument), head
        said = re.search(r"^The default is ([^\s,]+?)[.,]?(?:\s|$)", body, re.M)
        # "sse:, in db N sseN:": the first is the default proper
        assert (said[1] if said else "") == default.split(",")[0], (name, said and said[1], default)


@pytest.mark.parametrize("page, bit", [("fcgi-sse.8", "F"), ("sse-publish.1", "P")])
def test_options_without_variable(page, bit):
    """The manual names the options that cannot be set in the environment."""
    rows = re.findall(r'\{ "([\w-]+)", TYPE_\w+,\s+AT\(\w+\),[^"]*?(?:"[^"]*"|NULL),\s+([FP |]+),\s+(true|false),',
                      read("base/config.c"))
    assert {name for name, _, _ in rows} == set(re.findall(r'^\t\{ "([\w-]+)", TYPE_', read("base/config.c"), re.M))
    said = re.search(r"\bbut\n((?:\.Fl -[\w-]+(?: ,)?\n|and\n)*\.Fl -[\w-]+)", read("man/" + page))
    assert re.findall(r"\.Fl -([\w-]+)", said[1]) == [
        name for name, programs, has_variable in rows if bit in programs and has_variable == "false"]


def test_ranges_and_histories():
    """The manual has the ranges of the option table, and what a history is without limits."""
    items = items_of_manual(read("man/fcgi-sse.8"))
    rows = re.findall(r'\{ "([\w-]+)", TYPE_NUMBER, AT\(\w+\), (\d+), ([\w <]+), (?:NULL|"\d*"),\s+F\b', read("base/config.c"))
    assert len(rows) >= 12
    for name, min_, max_ in rows:
        max_ = {"1ULL << 32": str(1 << 32)}.get(max_, max_)
        assert re.search(r"\b%s to %s\b" % (min_, max_), items[name][1].replace("\n", " ")), name
    for default in ("200", "86400", "4194304"):
        assert "else %s." % default in read("man/fcgi-sse.8") and default in read("lua/publish.lua")


def test_query_parameters():
    """The manual names the parameters that are read."""
    known = set(re.findall(r'is_named\(name, "([\w-]+)"\)', read("request.c")))
    section = read("man/fcgi-sse.8").partition(".Ss Query parameters")[2].partition("\n.Ss ")[0]
    said = set()
    for head in re.findall(r"^\.It Cm (.*)$", section, re.M):
        said.update(head.replace(" ,", "").split())
    assert said == known and len(known) == 8


def test_statuses():
    """The manual names the statuses that are sent."""
    section = read("man/fcgi-sse.8").partition(".Ss HTTP statuses")[2].partition("\n.Ss ")[0]
    said = set(re.findall(r"^\.It (\d+)$", section, re.M))
    sent = set(re.findall(r"HTTP_\w+", sources())) - {"HTTP_ACCEPT", "HTTP_ORIGIN", "HTTP_LAST_EVENT_ID"}
    numbers = dict(re.findall(r"(HTTP_\w+) = (\d+)", read("verdict.h")))
    assert said <= set(numbers.values())
    assert {numbers[name] for name in sent & set(numbers)} == said


@pytest.mark.parametrize("program, code, argv, env", [
    ("fcgi-sse", 0, ["--version"], {}),
    ("fcgi-sse", 64, ["--nonsense"], {}),
    ("fcgi-sse", 64, [], {}),
    ("fcgi-sse", 64, ["--socket=%s/" + "x" * 96], {}),
    ("fcgi-sse", 64, ["--socket=%s/s"], {"FCGI_SSE_HEARTBEAT": "often"}),
    ("fcgi-sse", 64, ["--socket=%s/s"], {"FCGI_SSE_DEBUG": "no"}),
    ("fcgi-sse", 66, ["--socket=%s/s", "--redis-password-file=%s/none"], {}),
    ("fcgi-sse", 67, ["--socket=%s/s", "--socket-owner=nobody-of-this-name"], {}),
    ("fcgi-sse", 68, ["--port=9", "--address=no..address"], {}),
    ("fcgi-sse", 69, ["--socket=%s/redis.sock"], {}),
    ("fcgi-sse", 73, ["--socket=%s/none/s"], {}),
    ("fcgi-sse", 73, ["--socket=%s/s", "--log=%s/none/log"], {}),
    ("fcgi-sse", 77, ["--socket=%s/s", "--user=nobody-of-this-name"], {}),
    ("fcgi-sse", 78, [], {"GATEWAY_INTERFACE": "CGI/1.1", "FCGI_SSE_HEARTBEAT": "often"}),
    ("sse-publish", 0, ["all", "x"], {}),
    ("sse-publish", 64, [], {}),
    ("sse-publish", 64, ["--event=stream-x", "all", "x"], {}),
    ("sse-publish", 65, ["--event-bytes=3", "all", "long"], {}),
    ("sse-publish", 66, ["--redis-password-file=%s/none", "all", "x"], {}),
    ("sse-publish", 69, ["--redis=unix://%s/none", "all", "x"], {}),
    ("sse-publish", 75, ["--prefix=wrong:", "all", "x"], {}),
])
def test_exit_status(redis, folder, program, code, argv, env):
    """The exit codes of the manuals."""
    redis.client.rpush("wrong:clock", "not a string")
    page = read("man/fcgi-sse.8" if program == "fcgi-sse" else "man/sse-publish.1")
    assert "\n.It %d\n" % code in page.partition(".Sh EXIT STATUS")[2]
    binary = FCGI_SSE_BIN if program == "fcgi-sse" else SSE_PUBLISH_BIN
    done = subprocess.run([binary, *[a.replace("%s", folder.path) for a in argv]], timeout=60, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env={"PATH": os.environ["PATH"], **redis_environment(redis), **env,
                               # a program that ends at its start need not free what it has read
                               "ASAN_OPTIONS": "detect_leaks=0"})
    assert done.returncode == code, done
    assert bool(done.stderr) == (code != 0), done


# ---- ARCHITECTURE.md

ARCHITECTURE = read("ARCHITECTURE.md")


def modules_of_makefile():
    """Folder -> the modules that the Makefile's list has in it."""
    text = read("Makefile").replace("\\\n", " ")
    folders = re.search(r"^FOLDERS := (.*)$", text, re.M)[1].split()
    return {folder: re.search(r"^%s := (.*)$" % folder, text, re.M)[1].split() for folder in ["top", *folders]}


def test_module_list():
    """Each source stands in the list of modules, in its folder, and nothing else does."""
    modules = modules_of_makefile()
    listed, pure = set(), set()
    for part in ARCHITECTURE.partition("\n## Modules\n")[2].partition("\n## ")[0].split("\n### ")[1:]:
        folder = re.match(r"(\w+/)?", part)[0]
        rows = table(part, "| file | what it is for |")
        files = [folder + row[0].strip("`") for row in rows]
        assert not listed & set(files)
        listed.update(files)
        pure.update(file for file, row in zip(files, rows) if "(pure)" in row[1])
    sources = set(source_files("*.c")) | {file for file in source_files("*.h") if not os.path.exists(os.path.join(TOP, file[:-1] + "c"))}
    assert listed == sources | set(source_files("*.lua"))
    programs = {os.path.basename(path) + ".c" for path in (FCGI_SSE_BIN, SSE_PUBLISH_BIN)}
    in_makefile = {("" if folder == "top" else folder + "/") + name + ".c"
                   for folder, names in modules.items() for name in names}
    assert {file for file in sources if file.endswith(".c")} == in_makefile | programs
    names = " ".join(re.findall(r"^pure: (.*)$", read("test/modules"), re.M)).split()
    assert sorted(names) == sorted(os.path.basename(file)[:-2] for file in pure)


def test_unit_tests():
    """Each unit test is of a module of its name; another one would not be run."""
    names = [name for folder in modules_of_makefile().values() for name in folder]
    for path in glob.glob(TOP + "/test/unit/*.c"):
        assert os.path.basename(path).removesuffix("_test.c") in names, path


def test_redis_format(redis, fcgi_sse):
    """The names, types and times to live in Redis are those of the table."""
    redis.client.hset("sse:limits", mapping={"age": 1000})
    publish_ids(redis, "CH", "published")
    redis.publish("CH", "plain")
    redis.client.set("sse:session:DIGEST", "{}")
    wait_until(lambda: len(history(redis, "CH")) == 2)
    [third] = publish_ids(redis, "--key=KEY", "CH", "x")
    assert redis.client.hgetall("sse:key:KEY") == {b"seq": b"1", b"1": b"%d" % third}
    redis.client.rpop("sse:history:CH")
    rows = table(ARCHITECTURE, "| name | type | content |")
    keys = {name.strip("`"): kind for name, kind, _ in rows if kind != "pub/sub channel"}
    assert {k.decode(): redis.client.type(k).decode() for k in redis.client.keys()} == keys
    assert 990 < redis.client.ttl("sse:history:CH") <= 1000
    assert 30 * 86400 - 10 < redis.client.ttl("sse:meta:CH") <= 30 * 86400
    assert {redis.client.ttl("sse:" + k) for k in ("clock", "epoch", "last", "limits", "recorder")} == {-1}
    said = next(content for name, kind, content in rows if name == "`sse:recorder`" and kind == "hash")
    assert {f.decode() for f in redis.client.hkeys("sse:recorder")} <= set(re.findall(r"`(\w+)`", said))
    assert {f.decode() for f in redis.client.hkeys("sse:meta:CH")} == {"last", "bytes"}
    # the records: header, PREV, origin
    (first, prev, origin, _), (second, prev_second, origin_second, frame) = history(redis, "CH")
    assert (prev, origin, prev_second, origin_second) == (0, "p", first, "r")
    assert frame == b"id: %d\ndata: plain\n\n" % second
    assert redis.client.get("sse:clock") == b"%d" % third and redis.client.get("sse:epoch") == b"%d" % first
    token = redis.client.hget("sse:recorder", "token").decode()
    subscribed = {c.decode().replace(token, "TOKEN") for c in redis.client.pubsub_channels()}
    channels = {name.strip("`") for name, kind, _ in rows if kind == "pub/sub channel"}
    assert subscribed <= channels


def test_publish_lua(redis):
    """KEYS, ARGV and answers of publish.lua, as ARCHITECTURE.md has them: two channels, and the recorder's refusals."""
    script = redis.client.register_script(read("lua/publish.lua"))
    keys = ["sse:clock", "sse:epoch", "sse:limits", "sse:recorder"]
    for channel in "ab":
        keys += ["sse:history:" + channel, "sse:meta:" + channel]
    ids = script(keys=keys, args=["sse:event:", "p", "", "", "data: x\n\n", "a", "b"])
    assert [int(i) for i in ids] == [history(redis, "a")[0][0], history(redis, "b")[0][0]]

    def record(token, seq):
        return script(keys=keys[:6], args=["sse:event:", "r", token, seq, "data: x\n\n", "a"])

    assert record("mine", 1) == b"LOST"
    redis.client.hset("sse:recorder", mapping={"token": "mine", "seq": 4})
    assert [record("mine", 4), record("mine", 6), record("other", 5)] == [b"SEEN", b"GAP", b"LOST"]
    assert len(record("mine", 5)) == 1 and redis.client.hget("sse:recorder", "seq") == b"5"

    def once(number, data="x"):
        return script(keys=keys[:6] + ["sse:key:k"], args=["sse:event:", "p", "", number, "data: %s\n\n" % data, "a"])

    # a key takes any number first, then the next one, and knows the last 512
    ids = [once(7), once(8)]
    assert [once(7, "other"), once(8, "other")] == ids and ids[0] < ids[1]
    assert once(10) == b"GAP" and redis.client.hget("sse:key:k", "seq") == b"8"
    for number in range(9, 8 + 512):
        once(number)
    assert [once(8), once(8 + 512)[0] > ids[1][0], once(8), once(9)[0] > ids[1][0]] == [ids[1], True, b"SEEN", True]
    assert redis.client.hlen("sse:key:k") == 513 and 590 < redis.client.ttl("sse:key:k") <= 600
    redis.client.delete("sse:key:k")
    assert once("") == once(1) == once("")
    for word in ("LOST", "SEEN", "GAP"):
        assert "`%s`" % word in ARCHITECTURE
