# SPDX-License-Identifier: ISC
"""The parent: where it listens, how it ends, how it is replaced, and how it
reaches Redis."""
import os
import pwd
import re
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time

import pytest

from processes import (FCGI_SSE_BIN, SSE_PUBLISH_BIN, alive, children_of, free_port, history, processes_mentioning,
                       publish_ids, redis_environment, sse_publish, wait_until)


EX_UNAVAILABLE, EX_CANTCREAT = 69, 73


class Fcgi:
    """An fcgi-sse that somebody else started."""

    speaks, name = "fcgi", "fcgi-sse"

    def __init__(self, address):
        self.address = address


def check_serves(redis, loop, where):
    stream = loop.live(where, "all")
    publish_ids(redis, "all", "x")
    assert stream.wait_data(1) == ["x"]
    return stream


# ---- three ways in

def test_unix_socket(redis, start_fcgi_sse, loop, folder):
    """--socket with --socket-mode; 0660 by default."""
    fcgi_sse = start_fcgi_sse(redis, "--socket-mode=0640")
    assert stat.S_IMODE(os.stat(fcgi_sse.address).st_mode) == 0o640
    check_serves(redis, loop, fcgi_sse)
    path = folder / "default.sock"
    plain = start_fcgi_sse(redis, argv=[FCGI_SSE_BIN, "--socket=" + path, "--redis=" + redis.url, "--drain=1"],
                           socket_path=path, recorder=False)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o660
    check_serves(redis, loop, plain)


@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
def test_root_is_given_up(redis, start_fcgi_sse, loop):
    """--socket-owner gives the socket away, --user drops root in parent, recorder and responders."""
    nobody = pwd.getpwnam("nobody")
    fcgi_sse = start_fcgi_sse(redis, "--user=nobody", "--socket-owner=nobody", "--socket-mode=0600")
    assert os.stat(fcgi_sse.address).st_uid == nobody.pw_uid
    check_serves(redis, loop, fcgi_sse)
    for pid in [fcgi_sse.pid] + fcgi_sse.children():
        with open("/proc/%d/status" % pid) as f:
            uids = re.search(r"Uid:\s+(.*)", f.read()).group(1).split()
        assert set(uids) == {str(nobody.pw_uid)}


@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
def test_root_warns(redis, start_fcgi_sse):
    """Root without --user works and warns."""
    fcgi_sse = start_fcgi_sse(redis)
    assert re.search(r"warn.*root", fcgi_sse.stderr())


def test_tcp(redis, start_fcgi_sse, loop):
    """--port listens on 127.0.0.1."""
    check_serves(redis, loop, start_fcgi_sse(redis, port=free_port()))


def test_spawn_fcgi(redis, run, folder, loop):
    """spawn-fcgi hands the listening socket over as descriptor 0."""
    path = folder / "spawned.sock"
    spawned = run("spawn-fcgi", ["spawn-fcgi", "-n", "-s", path, "-M", "0666", "-b", "1024", "--",
                                 FCGI_SSE_BIN, "--redis=" + redis.url, "--drain=1"], check_stderr=True)
    spawned.ready(lambda: children_of(spawned.pid))  # a recorder: it listens; the path alone is there earlier
    stream = check_serves(redis, loop, Fcgi(path))
    redis.publish("all", "plain")
    stream.wait_data(2)


def test_spawn_fcgi_in_the_background(redis, folder, loop):
    """spawn-fcgi as a daemon starter: environment, descriptors 1 and 2 at /dev/null."""
    path, pidfile = folder / "spawned.sock", folder / "pid"
    subprocess.run(["spawn-fcgi", "-s", path, "-P", pidfile, "--", FCGI_SSE_BIN], check=True, timeout=60,
                   stdout=subprocess.DEVNULL, env=dict(os.environ, FCGI_SSE_DRAIN="1", SSE_E2E_FOLDER=folder.path,
                                                       **redis_environment(redis)))
    with open(pidfile) as f:
        pid = int(f.read())
    try:
        check_serves(redis, loop, Fcgi(path))
    finally:
        os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not alive(pid), what="the end")


def test_listen_fds(redis, folder, start_fcgi_sse, loop):
    """systemd's LISTEN_FDS: descriptor 3 is the listening socket."""
    path = folder / "activated.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(100)
    # as systemd does, between fork and exec
    script = ("import os, sys; os.dup2(int(sys.argv[1]), 3); "
              "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1'); os.execv(sys.argv[2], sys.argv[2:])")
    fcgi_sse = start_fcgi_sse(redis, socket_path=path, pass_fds=[listener.fileno()], argv=[
        sys.executable, "-c", script, str(listener.fileno()), FCGI_SSE_BIN, "--redis=" + redis.url, "--drain=1"])
    listener.close()
    check_serves(redis, loop, fcgi_sse)


def test_nothing_to_listen_on(redis, run):
    """Without a socket, a port or an inherited one: a sentence and a non-zero status."""
    program = run("fcgi-sse", [FCGI_SSE_BIN, "--redis=" + redis.url])
    assert program.wait() != 0 and len(program.stderr().split()) > 3


@pytest.mark.parametrize("option", [
    "--nonsense", "--port=x", "--port=0", "--heartbeat=0", "--heartbeat=-1", "--heartbeat=9999999",
    "--redis=http://x", "--redis=redis://", "--socket-mode=999", "extra"])
def test_bad_option(folder, run, option):
    """A start-up mistake ends the program with a sentence and a status of sysexits.h."""
    program = run("fcgi-sse", [FCGI_SSE_BIN, "--socket=" + folder / "x.sock", "--redis=unix:///nonexistent", option])
    if option == "--redis=redis://":  # perhaps a good one: the default host
        wait_until(lambda: not program.running() or os.path.exists(folder / "x.sock"))
        return
    assert 64 <= program.wait() <= 78
    assert program.stderr().count("\n") in (1, 2) and len(program.stderr().split()) > 3


def test_socket_path_too_long(folder, run):
    """A socket path that does not fit is refused, not cut."""
    program = run("fcgi-sse", [FCGI_SSE_BIN, "--socket=" + folder / ("x" * 120)])
    assert program.wait() != 0 and program.stderr()


def test_help_and_version(folder):
    """--help names every option; --version prints a version; both to stdout, status 0."""
    for binary in (FCGI_SSE_BIN, SSE_PUBLISH_BIN):
        for option in ("--help", "--version"):
            done = subprocess.run([binary, option], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
            assert done.returncode == 0 and done.stderr == b"" and done.stdout.strip()
    text = subprocess.run([FCGI_SSE_BIN, "--help"], stdout=subprocess.PIPE, timeout=60).stdout.decode()
    for option in ("socket socket-mode socket-owner address port user redis redis-password-file prefix record "
                   "history-count history-age history-bytes heartbeat retry max-lifetime request-timeout "
                   "write-timeout drain max-streams streams-per-process max-channels event-bytes debug log version help").split():
        assert re.search(r"--%s\b" % option, text), option
    assert re.search(rb"\d", subprocess.run([FCGI_SSE_BIN, "--version"], stdout=subprocess.PIPE, timeout=60).stdout)


def test_environment_and_command_line(redis, start_fcgi_sse, loop):
    """Defaults < FCGI_SSE_NAME < command line."""
    env = {"FCGI_SSE_RETRY": "1111", "FCGI_SSE_HEARTBEAT": "7"}
    by_env = loop.live(start_fcgi_sse(redis, env=env), "all", query={"heartbeat": "event"})
    by_env.wait_for(lambda s: s.all_events)
    assert by_env.retry_ms == 1111 and by_env.all_events[0].data == "7"
    by_flag = loop.live(start_fcgi_sse(redis, "--retry=2222", env=env), "all")
    assert by_flag.retry_ms == 2222


def test_log_file(redis, start_fcgi_sse, folder, loop):
    """--log=PATH appends to a file."""
    fcgi_sse = start_fcgi_sse(redis, "--log=" + folder / "log", "--debug")
    check_serves(redis, loop, fcgi_sse)
    assert os.path.getsize(folder / "log") > 0


# ---- take-over

def test_stale_socket_is_replaced(redis, start_fcgi_sse, loop):
    """A socket that a killed parent left is taken over; the new one serves there."""
    old = start_fcgi_sse(redis)
    path = old.address
    old.kill()
    new = start_fcgi_sse(redis, socket_path=path)
    check_serves(redis, loop, new)


def test_live_socket_is_not_stolen(redis, start_fcgi_sse, run, loop):
    """A second parent on the same socket or port ends with a sentence; the first serves on."""
    for fcgi_sse in (start_fcgi_sse(redis), start_fcgi_sse(redis, port=free_port())):
        stream = loop.live(fcgi_sse, "all")
        place = "--socket=" + fcgi_sse.address if fcgi_sse.socket_path else "--port=%d" % fcgi_sse.address[1]
        second = run("second", [FCGI_SSE_BIN, place, "--redis=" + redis.url])
        assert second.wait() == EX_UNAVAILABLE
        assert re.search(r"another program (answers|listens) there; end it, or choose another --%s$" % (
            "socket" if fcgi_sse.socket_path else "port"), second.stderr(), re.M)
        publish_ids(redis, "all", "x")
        assert stream.wait_data(1) == ["x"]
        loop.live(fcgi_sse, "all").close()
        fcgi_sse.expect_log(r"peer|request|closed")
        fcgi_sse.wait_streams(1)


def test_a_file_is_not_replaced(folder, run):
    """What is no socket is not overwritten."""
    path = folder.write("precious", "text")
    program = run("fcgi-sse", [FCGI_SSE_BIN, "--socket=" + path])
    assert program.wait() == EX_CANTCREAT
    assert program.stderr().endswith("precious is there already and no socket: remove it, or choose another --socket\n")
    with open(path) as f:
        assert f.read() == "text"


@pytest.mark.parametrize("place, status, sentence", [
    ("--socket=/nonexistent/sse.sock", EX_CANTCREAT, "No such file or directory; its folder must be there before"),
    ("--socket=/proc/sse.sock", EX_CANTCREAT, ""),
    ("--port=PORT --address=192.0.2.1", EX_UNAVAILABLE,
     "Cannot assign requested address; choose an --address that is this machine's"),
])
def test_where_it_cannot_listen(redis, run, place, status, sentence):
    """A place where it cannot listen: why, and what to do."""
    program = run("fcgi-sse", [FCGI_SSE_BIN, "--redis=" + redis.url, *place.replace("PORT", str(free_port())).split()])
    assert program.wait() == status and program.stderr().endswith(sentence + "\n")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("place, sentence", [
    ("--socket=/etc/sse.sock", "Permission denied; choose a --socket in a folder where this user may write"),
    ("--port=999", "Permission denied; choose a --port from 1024 on: those below are root's"),
])
def test_where_a_user_may_not_listen(redis, run, place, sentence):
    """The same where the right to is missing."""
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", encoding="ascii") as f:
        if "port" in place and int(f.read()) <= 999:
            pytest.skip("everybody may listen on port 999 here")
    program = run("fcgi-sse", [FCGI_SSE_BIN, "--redis=" + redis.url, place], user="nobody", group="nogroup",
                  extra_groups=[])
    assert program.wait() in (EX_CANTCREAT, EX_UNAVAILABLE) and program.stderr().endswith(sentence + "\n")


# ---- the end

def test_sigterm_drains(redis, start_fcgi_sse, web, loop):
    """SIGTERM: streams end cleanly with a random retry:, spread over --drain; nothing is left."""
    fcgi_sse = start_fcgi_sse(redis, "--drain=2")
    nginx = web("nginx-example", fcgi_sse)
    streams = [loop.live(nginx if i % 2 else fcgi_sse, "all") for i in range(20)]
    publish_ids(redis, "all", "x")
    for stream in streams:
        stream.wait_data(1)
    pids = [fcgi_sse.pid] + fcgi_sse.children()
    fcgi_sse.signal(signal.SIGTERM)
    ends = []
    for stream in streams:
        stream.wait_for(lambda s: s.ended)
    for stream in streams:
        assert stream.ended == "clean" and not stream.resets
        ends.append(stream.retry_ms)
    assert len(set(ends)) > 5 and all(retry > 0 for retry in ends), ends
    assert fcgi_sse.wait() == 0
    wait_until(lambda: not [p for p in pids if alive(p)], what="all processes to end")


def test_sigterm_without_streams_is_quick(redis, start_fcgi_sse):
    """With no stream SIGTERM needs no drain."""
    fcgi_sse = start_fcgi_sse(redis, "--drain=60")
    fcgi_sse.signal(signal.SIGTERM)
    assert fcgi_sse.wait() == 0


def test_sigterm_spreads_the_ends(redis, start_fcgi_sse, loop):
    """The ends are spread over the drain time."""
    fcgi_sse = start_fcgi_sse(redis, "--drain=3")
    streams = [loop.live(fcgi_sse, "all") for _ in range(30)]
    fcgi_sse.signal(signal.SIGTERM)
    ended_at = {}
    began = time.monotonic()

    def note():
        for i, stream in enumerate(streams):
            if stream.ended:
                ended_at.setdefault(i, time.monotonic() - began)
        return len(ended_at) == len(streams)

    loop.wait_for(note)
    assert max(ended_at.values()) - min(ended_at.values()) > 0.5
    assert fcgi_sse.wait() == 0


def test_recorder_ends_last(redis, start_fcgi_sse, loop):
    """While streams drain, plain PUBLISH is still recorded."""
    fcgi_sse = start_fcgi_sse(redis, "--drain=3")
    streams = [loop.live(fcgi_sse, "all") for _ in range(10)]
    fcgi_sse.signal(signal.SIGTERM)
    loop.wait_for(lambda: any(s.ended for s in streams))
    if not all(s.ended for s in streams):
        redis.publish("all", "late")
        wait_until(lambda: history(redis, "all"))
    loop.wait_for(lambda: all(s.ended for s in streams))


@pytest.mark.own_process
def test_sighup_keeps_streams_and_recorder(redis, start_fcgi_sse, web, loop):
    """SIGHUP: the parent re-executes itself; pid, streams and recorder stay, new ones are served."""
    fcgi_sse = start_fcgi_sse(redis)
    nginx = web("nginx-example", fcgi_sse)
    streams = [loop.live(where, "all") for where in (fcgi_sse, nginx)]
    children = fcgi_sse.children()
    recorder = fcgi_sse.recorder_pid
    for i in range(3):
        fcgi_sse.signal(signal.SIGHUP)
        redis.publish("all", "plain%d" % i)
        publish_ids(redis, "all", "recorded%d" % i)
        for stream in streams:
            stream.wait_data(2 * (i + 1))
        check_serves(redis, loop, nginx).close()
        for stream in streams:
            stream.wait_for(lambda s: s.data[-1] == "x")
            stream.parser.events.pop()
    assert alive(recorder) and set(children) <= set(fcgi_sse.children())
    assert len(history(redis, "all")) == 9
    fcgi_sse.wait_streams(2)
    for stream in streams:
        stream.close()
    fcgi_sse.wait_streams(0)  # the new image reaps the old one's children
    # No zombie stays. One may be there for a moment, after its end and before the parent reaps it.
    wait_until(lambda: children_of(fcgi_sse.pid, zombies=True) == [recorder], what="the last zombie to be reaped")


def test_sighup_counts_the_old_streams(redis, start_fcgi_sse, loop):
    """--max-streams counts the streams of before a SIGHUP."""
    fcgi_sse = start_fcgi_sse(redis, "--max-streams=2").expect_log(r"stream")
    streams = [loop.live(fcgi_sse, "all") for _ in range(2)]
    fcgi_sse.signal(signal.SIGHUP)
    loop.stays(lambda: not streams[0].ended, 0.5)
    assert loop.fetch(fcgi_sse, "all", accept=None).status == 503
    streams[0].close()
    fcgi_sse.wait_streams(1)
    # the parent hears of the end a moment later
    wait_until(lambda: loop.open(fcgi_sse, "all").wait_for(lambda s: s.floor or s.ended).floor, what="a free slot")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_each_trouble_is_told(redis, start_fcgi_sse, loop):
    """No stream is free, and then no descriptor: each is said once when it begins and once when it is over."""
    fcgi_sse = start_fcgi_sse(redis, "--max-streams=1")
    stream = loop.live(fcgi_sse, "all")
    for _ in range(3):
        assert loop.fetch(fcgi_sse, "all").ended
    fcgi_sse.wait_log(r"all 1 streams are taken")
    limits = resource.prlimit(fcgi_sse.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(fcgi_sse.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
    late = loop.open(fcgi_sse, "all")
    fcgi_sse.wait_log(r"cannot accept a connection: Too many open files; still trying")
    loop.stays(lambda: not late.ended and not late.status, 0.5)
    resource.prlimit(fcgi_sse.pid, resource.RLIMIT_NOFILE, limits)
    late.wait_for(lambda s: s.ended)
    stream.close()
    fcgi_sse.wait_streams(0)

    def is_over():
        check_serves(redis, loop, fcgi_sse).close()
        fcgi_sse.wait_streams(0)
        return "connections are accepted again" in fcgi_sse.stderr()

    wait_until(is_over, what="the end of the trouble")
    lines = [line.split(": ", 1)[1] for line in fcgi_sse.stderr().splitlines() if "recorder" not in line]
    assert lines[-4:] == [
        "error: all 1 streams are taken (--max-streams)",
        "error: cannot accept a connection: Too many open files; still trying",
        "info: there is room for streams again",
        "info: connections are accepted again"]


def test_sighup_as_another_user(redis, start_fcgi_sse, folder, loop):
    """With --user and --log=FILE, a SIGHUP can open the log again."""
    os.chmod(folder.path, 0o777)
    log = folder / "fcgi-sse.log"
    fcgi_sse = start_fcgi_sse(redis, "--user=nobody", "--log=" + log)
    stream = loop.live(fcgi_sse, "all")
    fcgi_sse.signal(signal.SIGHUP)
    wait_until(lambda: open(log).read().count("listening") == 2, what="the new image")
    publish_ids(redis, "all", "x")
    assert stream.wait_data(1) == ["x"]
    check_serves(redis, loop, fcgi_sse)


def test_sighup_to_a_replaced_binary(redis, start_fcgi_sse, folder, loop):
    """SIGHUP runs the binary that stands at the path now: an upgrade."""
    path = folder / "fcgi-sse"
    shutil.copy2(FCGI_SSE_BIN, path)
    sock = folder / "up.sock"
    fcgi_sse = start_fcgi_sse(redis, argv=[path, "--socket=" + sock, "--socket-mode=0666", "--drain=1",
                                           "--redis=" + redis.url], socket_path=sock)
    stream = loop.live(fcgi_sse, "all")
    shutil.copy2(FCGI_SSE_BIN, path + ".new")
    os.rename(path + ".new", path)
    inode = os.stat(path).st_ino
    fcgi_sse.signal(signal.SIGHUP)
    wait_until(lambda: os.stat("/proc/%d/exe" % fcgi_sse.pid).st_ino == inode, what="the new image")
    publish_ids(redis, "all", "x")
    assert stream.wait_data(1) == ["x"]
    check_serves(redis, loop, fcgi_sse)


def test_sighup_says_what_changed(start_redis, start_fcgi_sse, folder):
    """After SIGHUP one line says what is new: the program, the password, the log."""
    redis = start_redis(extra=["--requirepass", "first"])
    redis.password = "first"
    password = folder.write("password", "first\n")
    path, sock, log = folder / "fcgi-sse", folder / "up.sock", folder / "fcgi-sse.log"
    shutil.copy2(FCGI_SSE_BIN, path)
    fcgi_sse = start_fcgi_sse(redis, argv=[
        path, "--socket=" + sock, "--socket-mode=0666", "--redis=" + redis.url, "--log=" + log,
        "--redis-password-file=" + password], socket_path=sock)

    def said():
        if not os.path.exists(log):
            return []
        with open(log) as f:
            return re.findall(r"info: restarted by SIGHUP: (.*)\n", f.read())

    def restart(want):
        os.rename(log, log + ".old")  # as logrotate does
        fcgi_sse.signal(signal.SIGHUP)
        assert wait_until(said, what="the new image") == [want]

    version = subprocess.check_output([path, "--version"]).split()[1].decode()
    restart("version %s; the password in %s is the same; the log %s is open anew" % (version, password, log))
    other = "9.8.7.6.5"[:len(version)]
    with open(path, "rb") as f:
        program = f.read()
    with open(path + ".new", "wb") as f:
        f.write(program.replace(version.encode() + b"\0", other.encode() + b"\0"))
    os.chmod(path + ".new", 0o755)
    os.rename(path + ".new", path)
    folder.write("password", "second\n")
    restart("version %s instead of %s; the password in %s has changed; the log %s is open anew" % (
        other, version, password, log))
    folder.write("password", "first\n")
    restart("version %s; the password in %s has changed; the log %s is open anew" % (other, password, log))


def test_killed_parent_leaves_the_streams(redis, start_fcgi_sse, loop):
    """A killed parent takes no stream with it."""
    fcgi_sse = start_fcgi_sse(redis)
    stream = loop.live(fcgi_sse, "all")
    fcgi_sse.kill()
    publish_ids(redis, "all", "x")
    assert stream.wait_data(1) == ["x"]
    stream.close()


def test_signals_that_mean_nothing(redis, fcgi_sse, loop):
    """SIGUSR1, SIGPIPE, SIGCHLD and SIGWINCH to the parent change nothing."""
    stream = loop.live(fcgi_sse, "all")
    for number in (signal.SIGUSR1, signal.SIGPIPE, signal.SIGCHLD, signal.SIGWINCH):
        fcgi_sse.signal(number)
    publish_ids(redis, "all", "x")
    assert stream.wait_data(1) == ["x"]
    check_serves(redis, loop, fcgi_sse)


# ---- Redis: addresses, AUTH, database, prefix

@pytest.fixture
def password_redis(start_redis):
    port = free_port()
    redis = start_redis(port=port, extra=["--requirepass", "s3cret@:/x"])
    redis.password = "s3cret@:/x"
    redis.client.execute_command("ACL", "SETUSER", "web", "on", ">pass word", "~*", "&*", "+@all")
    return redis


ENCODED = "s3cret%40%3A%2Fx"


@pytest.mark.parametrize("url", [
    "redis://:%s@127.0.0.1:PORT" % ENCODED, "redis://:%s@127.0.0.1:PORT/0" % ENCODED,
    "redis://default:%s@127.0.0.1:PORT/" % ENCODED, "redis://web:pass%20word@localhost:PORT/0"])
def test_auth_in_the_url(password_redis, start_fcgi_sse, loop, url):
    """AUTH with and without a user, from the URL, for streams, recorder and publisher."""
    redis = password_redis
    url = url.replace("PORT", str(redis.port))
    fcgi_sse = start_fcgi_sse(redis, "--redis=" + url)
    stream = loop.live(fcgi_sse, "all")
    redis.publish("all", "plain")
    sse_publish(None, "all", "recorded", env={"FCGI_SSE_REDIS": url})
    stream.wait_data(2)
    assert all(e.id for e in stream.events)
    with open("/proc/%d/cmdline" % fcgi_sse.pid, "rb") as f:
        f.read()


@pytest.mark.parametrize("url", ["redis://127.0.0.1:PORT", "unix://PATH"])
@pytest.mark.parametrize("how", ["option", "environment"])
def test_password_file(password_redis, start_fcgi_sse, folder, loop, how, url):
    """The password from a file, named by the option or the environment."""
    redis = password_redis
    path = folder.write("password", redis.password + "\n", 0o600)
    url = url.replace("PORT", str(redis.port)).replace("PATH", redis.path)
    if how == "option":
        fcgi_sse = start_fcgi_sse(redis, "--redis=" + url, "--redis-password-file=" + path)
    else:
        fcgi_sse = start_fcgi_sse(redis, env={"FCGI_SSE_REDIS": url, "FCGI_SSE_REDIS_PASSWORD_FILE": path})
    stream = loop.live(fcgi_sse, "all")
    sse_publish(None, "all", "x", env={"FCGI_SSE_REDIS": url, "FCGI_SSE_REDIS_PASSWORD_FILE": path})
    assert stream.wait_data(1) == ["x"]


def test_tcp_redis(start_redis, start_fcgi_sse, loop):
    """redis://host:port over TCP."""
    redis = start_redis(port=free_port())
    url = "redis://127.0.0.1:%d/0" % redis.port
    stream = loop.live(start_fcgi_sse(redis, "--redis=" + url), "all")
    redis.publish("all", "plain")
    sse_publish(None, "all", "x", env={"FCGI_SSE_REDIS": url})
    stream.wait_data(2)


@pytest.mark.parametrize("url", ["unix://PATH?db=3", "redis://127.0.0.1:PORT/3"])
def test_database(start_redis, start_fcgi_sse, loop, url):
    """In db N all names begin sseN:, and the data is in that db; another db's site hears nothing of it."""
    redis = start_redis(port=free_port())
    url = url.replace("PATH", redis.path).replace("PORT", str(redis.port))
    fcgi_sse = start_fcgi_sse(redis, "--redis=" + url, recorder=False)
    other = start_fcgi_sse(redis, "--record=none")
    stream, elsewhere = loop.live(fcgi_sse, "all"), loop.live(other, "all")
    sse_publish(None, "all", "x", env={"FCGI_SSE_REDIS": url})
    assert stream.wait_data(1) == ["x"]
    assert redis.client.dbsize() == 0
    redis.client.execute_command("SELECT", 3)
    keys = redis.client.keys("*")
    assert b"sse3:history:all" in keys and all(k.startswith(b"sse3:") for k in keys)
    assert elsewhere.data == []


def test_prefix(redis, start_fcgi_sse, loop):
    """--prefix, also a hash tag, stands before all names; the default's are untouched."""
    fcgi_sse = start_fcgi_sse(redis, "--prefix={site}:", recorder=False)
    stream = loop.live(fcgi_sse, "all")
    wait_until(lambda: redis.client.exists("{site}:recorder"))
    sse_publish(redis, "all", "x", env={"FCGI_SSE_PREFIX": "{site}:"})
    redis.publish("all", "plain")
    stream.wait_data(2)
    wait_until(lambda: redis.client.llen("{site}:history:all") == 2)
    assert all(k.startswith(b"{site}:") for k in redis.client.keys("*"))


def test_no_process_is_left(redis, start_fcgi_sse, loop, folder):
    """After a stop nothing of fcgi-sse is left."""
    fcgi_sse = start_fcgi_sse(redis)
    loop.live(fcgi_sse, "all")
    fcgi_sse.stop()
    wait_until(lambda: not [p for p, cmd in processes_mentioning(folder.path) if "fcgi-sse" in cmd])
    assert not children_of(fcgi_sse.pid)
