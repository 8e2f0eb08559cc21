# SPDX-License-Identifier: ISC
"""sse-serve: one command that starts everything and ends it all."""
import hashlib
import http.client
import http.server
import os
import re
import resource
import shutil
import signal
import socket
import stat
import subprocess
import threading

import pytest

import webservers
from processes import (DEADLINE_S, FCGI_SSE_BIN, SSE_PUBLISH_BIN, TOP, free_port, port_listens, processes_mentioning,
                       publish_ids, wait_until)

SSE_SERVE = os.path.join(TOP, "sse-serve")
FOO = '{"type": "foo", "user": "tug"}'  # what the printed commands publish
EX_USAGE, EX_UNAVAILABLE, EX_SOFTWARE, EX_CANTCREAT = 64, 69, 70, 73


def environment(**more):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("FCGI_SSE_", "SSE_", "TMPDIR"))}
    return {**clean, "FCGI_SSE_BIN": FCGI_SSE_BIN, "SSE_PUBLISH_BIN": SSE_PUBLISH_BIN, **more}


class Served:
    """A running sse-serve with a TMPDIR of its own, and the web server inside."""

    speaks, name, path = "http", "sse-serve", "/sse/"

    def __init__(self, run, folder, *options, argv=(SSE_SERVE,), host="127.0.0.1", wait=True, **env):
        self.port = free_port()
        self.address = (host, self.port)
        self.tmp = folder / ("tmp%d" % self.port)
        os.mkdir(self.tmp)
        self.program = run("sse-serve", [*argv, "--port=%d" % self.port, *options],
                           env=environment(**{"TMPDIR": self.tmp, **env}), start_new_session=True)
        if wait:
            self.wait_ready()

    def wait_ready(self):
        self.program.ready(lambda: "Ctrl-C" in self.said())
        return self

    url = webservers.WebServer.url

    def said(self):
        return self.program.stdout().decode()

    def printed(self, word):
        """The line that begins with this word."""
        [line] = re.findall(r"^%s +(.*)$" % word, self.said(), re.M)
        return line

    def paste(self, word):
        """Run a printed command as another terminal would."""
        env = {k: v for k, v in os.environ.items() if not k.startswith(("FCGI_SSE_", "SSE_"))}
        subprocess.run(["sh", "-euc", self.printed(word)], cwd="/", env=env, check=True, timeout=DEADLINE_S,
                       stdout=subprocess.DEVNULL)

    def place(self, name):
        """A file of the private folder, once that is there."""
        return os.path.join(self.tmp, *os.listdir(self.tmp)[:1], name)

    def wait_place(self, name):
        wait_until(lambda: os.path.exists(self.place(name)) or not self.program.running(), what=name)

    def pid(self, part):
        if part == "keeper":
            [pid] = [pid for pid, command in processes_mentioning(self.tmp) if "--keeper" in command]
            return pid
        with open(self.place(part + ".pid"), encoding="ascii") as f:
            return int(f.read())

    def is_gone(self):
        return not processes_mentioning(self.tmp) and not os.listdir(self.tmp)

    def wait_gone(self):
        wait_until(self.is_gone, what=lambda: "left behind: %r %r\n%s" % (
            processes_mentioning(self.tmp), os.listdir(self.tmp), self.program.stderr()))

    def wait_end(self, status):
        assert self.program.wait() == status, self.program.stderr()
        assert not os.listdir(self.tmp), "the folder goes before sse-serve does"
        self.wait_gone()
        return self.program.stderr()

    def get(self, path, headers=()):
        """(status, headers, body) of a request that is sent as it stands here."""
        connection = http.client.HTTPConnection(*self.address, timeout=DEADLINE_S)
        connection.putrequest("GET", path, skip_host="Host" in dict(headers))
        for item in dict(headers).items():
            connection.putheader(*item)
        connection.endheaders()
        answer = connection.getresponse()
        try:
            return answer.status, answer.headers, answer.read().decode()
        finally:
            connection.close()


@pytest.fixture
def serve(run, folder, stack):
    """serve(*options, ...) -> Served"""
    def start(*options, **more):
        served = Served(run, folder, *options, **more)
        stack.callback(stack.close_streams)  # else they are drained
        return served
    return start


def ends(*options, argv=(SSE_SERVE,), env=None, status=EX_USAGE, **more):
    """Run sse-serve to its end; what it said on stderr."""
    done = subprocess.run([*argv, *options], env=env or environment(), timeout=DEADLINE_S, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)
    assert (done.returncode, done.stdout) == (status, b""), done
    return done.stderr.decode()


def script(folder, name, text):
    return folder.write(name, "#!/bin/sh\n" + text, 0o755)


# ---- what it starts and prints

@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_with_its_own_redis(serve, loop, number):
    """No Redis named: it starts a private one; the page is there; both printed commands work; a signal ends it all."""
    served = serve()
    page = loop.fetch(served, path="/", accept="text/html")
    assert page.status == 200 and "EventSource" in page.text
    assert served.printed("open") == "http://127.0.0.1:%d/" % served.port
    assert served.printed("stream") == served.url("channels=all,foo")
    stream = loop.live(served, "all,foo")
    served.paste("publish")
    assert stream.wait_data(1) == [FOO]
    served.paste("or")
    assert stream.wait_data(2) == [FOO, '{"type": "foo"}']
    os.killpg(served.program.pid, number)  # as a terminal does
    stream.wait_end()
    assert "so everything is stopped" not in served.wait_end(0)
    assert not port_listens(served.port)


@pytest.mark.parametrize("given", ["option", "environment"])
def test_with_a_named_redis(redis, serve, loop, given):
    """A Redis that is named, with a database and a prefix, gets the events, and lives on."""
    url = redis.url + "?db=2"
    prefix = {"FCGI_SSE_PREFIX": "it's:"}
    served = serve("--redis", url, **prefix) if given == "option" else serve(FCGI_SSE_REDIS=url, **prefix)
    stream = loop.live(served, "all")
    redis.publish("all", "plain")
    subprocess.run([SSE_PUBLISH_BIN, "--redis=" + url, "--prefix=it's:", "all", "recorded"], check=True, timeout=DEADLINE_S,
                   stdout=subprocess.DEVNULL)
    assert sorted(stream.wait_data(2)) == ["plain", "recorded"]
    served.paste("publish")
    stream.wait_data(3)
    served.paste("or")
    assert stream.wait_data(4)[2:] == [FOO, '{"type": "foo"}']
    served.program.signal(signal.SIGTERM)
    served.wait_end(0)
    assert redis.client.ping(), "a named Redis is not ours to stop"


@pytest.mark.parametrize("given", ["url", "password", "file"])
def test_the_password_is_not_shown(start_redis, serve, loop, folder, given):
    """A password in the environment stands on no command line and is not printed; the publish command works."""
    port = free_port()
    start_redis(port=port).client.config_set("requirepass", "s3cr'et")
    env = {"FCGI_SSE_REDIS": "redis://127.0.0.1:%d/0" % port}
    if given == "url":
        env["FCGI_SSE_REDIS"] = "redis://:s3cr'et@127.0.0.1:%d/0" % port
    elif given == "password":
        env["FCGI_SSE_REDIS_PASSWORD"] = "s3cr'et"
    else:
        env["FCGI_SSE_REDIS_PASSWORD_FILE"] = os.path.basename(folder.write("password", "s3cr'et\n", 0o600))
    served = serve(**env)
    stream = loop.live(served, "all")
    served.paste("publish")
    assert stream.wait_data(1) == [FOO]
    assert "s3cr" not in served.said() + served.program.stderr()
    assert not [command for _, command in processes_mentioning(served.tmp) if "s3cr" in command]


def test_environment(serve, loop):
    """Settings of fcgi-sse's socket and of another Redis' password do not reach it from the environment; others do."""
    stream = loop.live(serve(FCGI_SSE_REDIS_PASSWORD="x", FCGI_SSE_SOCKET="/x", FCGI_SSE_ADDRESS="x", FCGI_SSE_PORT="1",
                             FCGI_SSE_USER="x", GATEWAY_INTERFACE="CGI/1.1", REQUEST_METHOD="GET", LISTEN_FDS="1",
                             FCGI_SSE_RETRY="1234"))
    assert stream.retry_ms == 1234


def test_modes(serve):
    """What it writes is for nobody else; it says so when all parts run as root."""
    served = serve()
    folder = os.path.dirname(served.place("fifo"))
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
    names = os.listdir(folder)
    assert {"redis.sock", "sse.sock", "lighttpd.conf"} <= set(names)
    for name in names:
        assert not os.lstat(os.path.join(folder, name)).st_mode & 0o007, name
    assert ("sse-serve: all parts run as root" in served.program.stderr()) == (os.geteuid() == 0)


def test_debug(serve, redis):
    """--debug logs each request; the other lines are fcgi-sse's."""
    served = serve("--debug", "--redis=" + redis.url)
    assert served.get("/nothing-here")[0] == 404
    wait_until(lambda: "/nothing-here" in served.program.stderr())


@pytest.mark.parametrize("address, host, url, warned", [
    ("[::1]", "::1", "http://[::1]:%d/", False), ("0.0.0.0", "127.0.0.1", "http://127.0.0.1:%d/", True),
])
def test_address(serve, redis, address, host, url, warned):
    """--address, IPv6 too; of one that others reach it warns."""
    try:
        socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError:
        pytest.skip("no IPv6 on this machine")
    served = serve("--address=" + address, "--redis=" + redis.url, host=host)
    assert served.printed("open") == url % served.port
    assert served.get("/")[0] == 200
    assert ("whoever reaches it may read every channel" in served.program.stderr()) == warned


# ---- from where, and under which shell

def test_installed(serve, loop, folder):
    """It works from where make install puts it, with the programs and pages beside it."""
    # all is left as it is: the tests run what is built
    subprocess.run(["make", "-C", TOP, "-o", "all", "install", "DESTDIR=" + folder / "root", "PREFIX=/usr"],
                   check=True, timeout=50, stdout=subprocess.DEVNULL)
    os.symlink(folder / "root/usr/bin/sse-serve", folder.write("bin/x", "")[:-1] + "sse-serve")
    served = serve(argv=[folder / "bin/sse-serve"], FCGI_SSE_BIN="", SSE_PUBLISH_BIN="")
    with open(os.path.join(TOP, "static/sse.js"), encoding="utf-8") as f:
        assert served.get("/static/sse.js")[2] == f.read()
    assert served.printed("publish").startswith(folder / "root/usr/bin/sse-publish ")
    stream = loop.live(served, "all")
    served.paste("publish")
    assert stream.wait_data(1) == [FOO]


def tree(folder, name):
    """What sse-serve needs of the source tree, elsewhere."""
    os.makedirs(folder / name)
    for program, link in [(FCGI_SSE_BIN, "fcgi-sse"), (SSE_PUBLISH_BIN, "sse-publish")]:
        os.symlink(program, os.path.join(folder / name, link))
    shutil.copy(SSE_SERVE, folder / name)
    shutil.copytree(os.path.join(TOP, "static"), os.path.join(folder / name, "static"))
    return os.path.join(folder / name, "sse-serve")


def test_odd_paths(serve, loop, folder):
    """Blanks, quotes and dollars in the paths of the programs, of --root and of TMPDIR."""
    program = tree(folder, "it's \"a $HOME\" tree")
    folder.write("it's \"my $HOME\" {site}/index.html", "my own")
    os.mkdir(folder / "a 'b'")
    served = serve("--root=it's \"my $HOME\" {site}", argv=[program], FCGI_SSE_BIN="", SSE_PUBLISH_BIN="",
                   TMPDIR=folder / "a 'b'")
    assert served.get("/")[2] == "my own" and "EventSource" in served.get("/static/sse.js")[2]
    assert served.printed("publish").startswith("'"), "quoted"
    [private] = re.findall(r"redis-cli -s (/tmp/sse-serve\.\w{6})/redis\.sock ", served.printed("or"))
    stream = loop.live(served, "all")
    served.paste("publish")
    assert stream.wait_data(1) == [FOO]
    served.program.signal(signal.SIGTERM)
    served.wait_end(0)
    assert not os.path.exists(private)


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox"])
def test_shells(serve, loop, folder, shell):
    """Every sh will do, for the keeper, too."""
    os.mkdir(folder / "bin")
    os.symlink(shutil.which(shell), folder / "bin/sh")
    how = {"argv": [folder / "bin/sh", SSE_SERVE], "PATH": folder / "bin:" + os.environ["PATH"]}
    served = serve(**how)
    stream = loop.live(served, "all")
    served.paste("publish")
    assert stream.wait_data(1) == [FOO]
    os.kill(served.pid("redis"), signal.SIGKILL)
    assert "redis was killed by signal 9" in served.wait_end(EX_SOFTWARE)
    served = serve(**how)
    os.killpg(served.program.pid, signal.SIGTERM)
    served.wait_end(0)


def path_without(folder, *names):
    """A PATH of one folder with links to all that sse-serve may use but these."""
    programs = ["sh", "cat", "dirname", "id", "kill", "lighttpd", "mkfifo", "mktemp", "readlink", "redis-server", "rm",
                "sed", "setsid", "sleep", "tail"]
    os.mkdir(folder / "path")
    where = os.environ["PATH"] + ":/usr/sbin:/sbin"
    for name in set(programs) - set(names):
        if shutil.which(name, path=where):
            os.symlink(shutil.which(name, path=where), folder / ("path/" + name))
    return folder / "path"


def test_without_setsid(serve, folder):
    """Without setsid(1) the parts are in the terminal's process group, and Ctrl-C still ends in order."""
    served = serve(PATH=path_without(folder, "setsid"))
    os.killpg(served.program.pid, signal.SIGINT)
    assert "so everything is stopped" not in served.wait_end(0)
    served = serve(PATH=folder / "path")
    os.kill(served.pid("redis"), signal.SIGKILL)
    served.wait_end(EX_SOFTWARE)


# ---- what it refuses

@pytest.mark.parametrize("options, sentence", [
    (["--nonsense"], "--nonsense is not an option"),
    (["nonsense"], "nonsense is not an option"),
    (["--debug=1"], "--debug=1 is not an option"),
    (["--port"], "--port needs a value"),
    (["--port="], "--port needs a value"),
    (["--port=0"], "--port needs a number from 1 to 65535"),
    (["--port=65536"], "--port needs a number from 1 to 65535"),
    (["--port=99999999999999999999"], "--port needs a number from 1 to 65535"),
    (["--port", "80a"], "--port needs a number from 1 to 65535"),
    (["--port=0100"], "--port needs a number from 1 to 65535"),
    (["--address=a b"], "'a b' is not an address"),
    (["--address=\"\n"], "is not an address"),
    (["--session-cookie=a;b"], "'a;b' is not the name of a cookie"),
    (["--session-cookie=a\"b"], "is not the name of a cookie"),
    (["--root=/nonexistent"], "there is no folder /nonexistent"),
    (["--root=-"], "there is no folder -"),
    (["--root=" + __file__], "there is no folder " + __file__),
    (["--root=/", "--proxy=http://127.0.0.1:1"], "--root and --proxy exclude each other"),
    (["--proxy=127.0.0.1:8000"], "'127.0.0.1:8000' is not of the form http://host:port"),
    (["--proxy=https://127.0.0.1:8000"], "plain http only"),
    (["--proxy=http://127.0.0.1:8000/app"], "is not of the form http://host:port"),
    (["--proxy=http://127.0.0.1:x"], "is not of the form http://host:port"),
    (["--proxy=http://127.0.0.1:65536"], "is not of the form http://host:port"),
    (["--proxy=http://:8000"], "is not of the form http://host:port"),
    (["--proxy=http://a\"b:8000"], "is not of the form http://host:port"),
], ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_usage(options, sentence):
    """A wrong command line: a sentence and 64."""
    said = ends(*options, env=environment(OLDPWD="/"))
    assert said.startswith("sse-serve: ") and sentence in said


def test_help_and_version():
    """--help names each option; --version is that of fcgi-sse."""
    def out(*argv):
        return subprocess.run(argv, env=environment(), check=True, timeout=DEADLINE_S, stdout=subprocess.PIPE).stdout.decode()
    for option in ["address=", "port=", "redis=", "root=", "proxy=", "session-cookie=", "debug", "version", "help"]:
        assert re.search(r"^  --%s" % option, out(SSE_SERVE, "--help"), re.M)
    assert out(SSE_SERVE, "--version") == out(FCGI_SSE_BIN, "--version").replace("fcgi-sse", "sse-serve")


def test_port_in_use(serve, redis):
    """A port in use: a sentence that names it, 69, nothing left; what uses it goes on."""
    first = serve("--redis=" + redis.url)
    second = serve("--redis=" + redis.url, "--port", str(first.port), wait=False)
    said = second.wait_end(EX_UNAVAILABLE)
    assert said == "sse-serve: port %d of 127.0.0.1 is in use; choose another with --port=PORT\n" % first.port
    assert second.said() == "" and first.get("/")[0] == 200


def test_address_of_another_machine(serve, redis):
    """An address that this machine has not: a sentence that names it."""
    said = serve("--redis=" + redis.url, "--address=192.0.2.1", wait=False).wait_end(EX_UNAVAILABLE)
    assert said == "sse-serve: 192.0.2.1 is not an address of this machine; choose another with --address=ADDRESS\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_port_of_root(folder):
    """A port that only root may take: a sentence that says which ports are free to all."""
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", encoding="ascii") as f:
        if int(f.read()) <= 999:
            pytest.skip("everybody may listen on port 999 here")
    os.chmod(folder.path, 0o777)
    said = ends("--port=999", "--redis=unix:///x", env=environment(TMPDIR=folder.path), status=EX_UNAVAILABLE,
                user="nobody", group="nogroup", extra_groups=[])
    assert said == "sse-serve: only root may take port 999 of 127.0.0.1; choose one from 1024 on with --port=PORT\n"


def test_missing_programs(folder):
    """A program that is missing is named, and nothing is started."""
    programs = path_without(folder, "redis-server", "lighttpd")
    os.mkdir(folder / "tmp")
    env = environment(PATH=programs, TMPDIR=folder / "tmp")
    said = ends(env=env, status=EX_UNAVAILABLE)
    assert "redis-server: not found; install it (for Redis, or name one with --redis=URL)" in said
    # lighttpd is also looked for where it is not in every PATH
    program = tree(folder, "tree")
    with open(program, encoding="utf-8") as f:
        text = f.read()
    assert '"/usr/sbin/$1"' in text
    with open(program, "w", encoding="utf-8") as f:
        f.write(text.replace("sbin/$1", "nowhere/$1"))
    said = ends("--redis=unix:///x", argv=[program], env=env, status=EX_UNAVAILABLE)
    assert said == "sse-serve: lighttpd: not found; install it\n"
    assert "lighttpd and redis-server: not found" in ends(argv=[program], env=env, status=EX_UNAVAILABLE)
    os.unlink(folder / "tree/fcgi-sse")
    env["FCGI_SSE_BIN"] = ""
    assert "fcgi-sse is not in" in ends(argv=[program], env=env, status=EX_UNAVAILABLE)
    folder.write("tree/Makefile", "")
    assert "fcgi-sse is not built: run make in" in ends(argv=[program], env=env, status=EX_UNAVAILABLE)
    assert not os.listdir(folder / "tmp")


def test_no_room(folder):
    """A folder that cannot be made or written: a sentence, 73, nothing left."""
    assert "/nonexistent" in ends(env=environment(TMPDIR="/nonexistent"), status=EX_CANTCREAT)

    def no_room():  # what a full disk does: no byte can be written
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    os.mkdir(folder / "tmp")
    said = ends(env=environment(TMPDIR=folder / "tmp"), status=EX_CANTCREAT, preexec_fn=no_room)
    assert "sse-serve: cannot write into %s/sse-serve." % (folder / "tmp") in said
    assert not os.listdir(folder / "tmp")


def test_lighttpd_without_a_module(serve, folder):
    """What lighttpd has to say is seen, and nothing is left."""
    os.mkdir(folder / "modules")
    script(folder, "bin/lighttpd", 'exec %s -m "%s" "$@"\n' % (
        shutil.which("lighttpd", path=os.environ["PATH"] + ":/usr/sbin"), folder / "modules"))
    served = serve(wait=False, PATH=folder / "bin:" + os.environ["PATH"])
    said = served.wait_end(EX_UNAVAILABLE)
    assert "mod_ssi" in said and said.endswith("sse-serve: lighttpd did not start\n")


def test_fcgi_sse_does_not_start(serve):
    """What fcgi-sse has to say is seen, and nothing is left."""
    said = serve(wait=False, FCGI_SSE_HEARTBEAT="never").wait_end(EX_UNAVAILABLE)
    assert "FCGI_SSE_HEARTBEAT" in said and said.endswith("sse-serve: fcgi-sse did not start\n")


# ---- how it ends

@pytest.mark.parametrize("moment", ["fifo", "lighttpd.starting", "lighttpd.listens", "redis.starting", "redis.sock",
                                    "sse.sock", "started"])
def test_signal_while_starting(serve, moment):
    """A signal at any moment of the start: all ends, with 0 and without a word of a part that died."""
    served = serve(wait=False)
    served.wait_place(moment)
    os.killpg(served.program.pid, signal.SIGTERM)
    said = served.wait_end(0)
    assert "sse-serve: " not in said.replace("sse-serve: all parts run as root", "")


def test_signal_to_all(serve):
    """A service manager ends all processes at once: no part has died, then."""
    served = serve()
    for pid, _ in reversed(sorted(processes_mentioning(served.tmp))):
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            pass
    assert "so everything is stopped" not in served.wait_end(0)


@pytest.mark.parametrize("part", ["lighttpd", "redis", "fcgi-sse", "keeper"])
def test_part_dies(serve, loop, part):
    """The death of any part ends all of them, with 70 and a sentence that names it."""
    served = serve()
    stream = loop.live(served, "all")
    os.kill(served.pid(part), signal.SIGKILL)
    stream.wait_end()
    said = served.wait_end(EX_SOFTWARE)
    assert re.search(r"^sse-serve: (the )?%s was killed.*, so everything is stopped$" % part, said, re.M)


def test_part_dies_while_starting(serve, folder):
    """A part that dies while a later one is about to start: that one does not stay behind."""
    publish = script(folder, "publish", "while [ ! -e %s ]; do sleep 0.05; done\n" % (folder / "go"))
    served = serve(wait=False, SSE_PUBLISH_BIN=publish)
    served.wait_place("redis.sock")
    lighttpd = served.pid("lighttpd")
    os.kill(lighttpd, signal.SIGSTOP)  # so the keeper, which has looked for fcgi-sse before, waits 2 s
    os.kill(served.pid("redis"), signal.SIGKILL)

    def is_told_to_end():
        try:
            with open("/proc/%d/status" % lighttpd, encoding="ascii") as f:
                return int(re.search(r"^ShdPnd:\s+(\w+)", f.read(), re.M).group(1), 16) & 1 << signal.SIGTERM - 1
        except (FileNotFoundError, ProcessLookupError):  # the 2 s are over
            return True

    wait_until(is_told_to_end)
    folder.write("go", "")
    assert "sse-serve: redis did not start" in served.wait_end(EX_UNAVAILABLE)


@pytest.mark.parametrize("whom", ["itself", "its group"])
def test_killed(serve, whom):
    """Even SIGKILL of sse-serve leaves nothing behind."""
    served = serve()
    (os.kill if whom == "itself" else os.killpg)(served.program.pid, signal.SIGKILL)
    served.program.process.wait()
    served.wait_gone()
    assert not port_listens(served.port)


# ---- pages, an application server, sessions

def test_own_pages(serve, redis, folder):
    """--root serves its pages at /, beside /static/, with no-cache; what begins with a dot is not served."""
    for name in ["index.html", "sse-demo.html", "sub/page.html", ".env", ".git/config", "sub/.git/config",
                 ".well-known/security.txt", ".well-known/.git/x", "static/mine.css"]:
        folder.write("site/" + name, "I am " + name)
    served = serve("--root=site", "--redis=" + redis.url)
    for path, name in [("/", "index.html"), ("/sse-demo.html", "sse-demo.html"), ("/sub/page.html?.x", "sub/page.html"),
                       ("/.well-known/security.txt", ".well-known/security.txt")]:
        status, headers, body = served.get(path)
        assert (status, headers["Cache-Control"], body) == (200, "no-cache", "I am " + name)
    assert served.get("/sse-demo.html")[1]["Content-Type"] == "text/html; charset=utf-8"
    assert "EventSource" in served.get("/static/sse.js")[2]
    assert served.get("/static/mine.css")[0] == 404
    for path in ["/.env", "/%2eenv", "/.git/config", "/sub/.git/config", "/sub%2f.git/config", "/sub//.git/config",
                 "/x/../.git/config", "/.well-known/.git/x", "/static/.hidden"]:
        status, _, body = served.get(path)
        assert status in (403, 404) and "I am" not in body, path
    status, headers, _ = served.get("/sse?channels=all")
    assert status == 301 and headers["Location"].endswith("/sse/?channels=all")


class Application(http.server.BaseHTTPRequestHandler):
    """Tells what arrived; takes every upgrade, and echoes five bytes then."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.headers.get("Upgrade"):
            self.send_response(101)
            self.send_header("Connection", "Upgrade")
            self.send_header("Upgrade", self.headers["Upgrade"])
            self.end_headers()
            self.wfile.write(self.rfile.read(5))
            self.close_connection = True
            return
        text = "%s %s" % (self.headers["Host"], self.path)
        self.send_response(203)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def application(stack):
    """The port of an application server."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Application)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    stack.callback(lambda: (server.shutdown(), thread.join(), server.server_close()))
    return server.server_address[1]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_proxy(serve, redis, loop, application, host):
    """--proxy: only /sse/ is ours; all else reaches the application server, Host and URL as they came."""
    served = serve("--proxy=http://%s:%d" % (host, application), "--redis=" + redis.url)
    for path in ["/", "/static/sse.js", "/sse", "/sse?channels=all", "/sse-retry.shtml", "/retry.shtml", "/sse-x/",
                 "/a%2Fb%20c?d=%2F&e=a+b", "/.git/config", "/x.shtml"]:
        status, headers, body = served.get(path, {"Host": "shop.example:99"})
        assert (status, body) == (203, "shop.example:99 " + path)
        assert "Cache-Control" not in headers
    stream = loop.live(served, "all")
    served.paste("publish")
    assert stream.wait_data(1) == [FOO]
    with socket.create_connection(served.address, timeout=DEADLINE_S) as ws:
        ws.sendall(b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        answer = ws.recv(4096)
        assert answer.startswith(b"HTTP/1.1 101 ")
        ws.sendall(b"hello")
        while not answer.endswith(b"\r\n\r\nhello"):
            received = ws.recv(4096)
            assert received, answer
            answer += received


@pytest.mark.parametrize("options", [[], ["--proxy=http://127.0.0.1:9"]], ids=["pages", "proxy"])
def test_while_fcgi_sse_starts(serve, redis, loop, folder, options):
    """Before fcgi-sse is there an EventSource gets a stream that tells it to come back, not an error for good."""
    slow = script(folder, "slow", 'while [ ! -e %s ]; do sleep 0.05; done\nexec %s "$@"\n' % (
        folder / "go", FCGI_SSE_BIN))
    served = serve("--redis=" + redis.url, *options, wait=False, FCGI_SSE_BIN=slow)
    served.wait_place("fcgi-sse.pid")
    early = loop.fetch(served, "all")
    assert early.status == 200 and early.is_event_stream() and early.retry_ms == 1000
    assert early.headers["cache-control"] == "no-store" and early.headers["access-control-allow-origin"] == "*"
    folder.write("go", "")
    served.wait_ready()

    def is_there():  # lighttpd tries again after a second
        return loop.open(served, "all").wait_for(lambda s: s.floor or s.ended).floor

    wait_until(is_there)


def test_session_cookie(serve, redis, loop):
    """--session-cookie: 403 without a session record, with one the channels that it names; an odd name, too."""
    name, value = "$it's`_|~#%", "0123456789abcdef"
    served = serve("--session-cookie", name, "--address=0.0.0.0", "--redis=" + redis.url)
    for headers in [{}, {"Cookie": "%s=%s" % (name, value)}]:
        assert loop.fetch(served, "all", headers=headers).status == 403
    redis.client.set("sse:session:" + hashlib.sha256(value.encode()).hexdigest(),
                     '{"user":"tug","channels":["tug","all"]}', ex=60)
    stream = loop.live(served, headers={"Cookie": "%s=%s" % (name, value)})
    publish_ids(redis, "tug", "for tug")
    assert stream.wait_data(1) == ["for tug"]
    assert loop.fetch(served, "other", headers={"Cookie": "%s=%s" % (name, value)}).status == 403
    assert loop.fetch(served, "all").status == 403
    assert "whoever reaches it" not in served.program.stderr()
    assert b"/sse/ (for who is logged in)\n" in served.program.stdout()
