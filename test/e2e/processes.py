# SPDX-License-Identifier: ISC
"""The programs of a test: started in its own folder, waited for by what they
do, ended by pid, and asked afterwards what they had to say on stderr."""
import atexit
import contextlib
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
import urllib.parse

import redis as redis_client

# How long a test waits for what must come.  A slow machine with other work to do
# needs time; how fast something is, a benchmark says.
DEADLINE_S = 30
# What fcgi-sse would find out by itself, at its next check, comes after that: a
# test that waits for an event sees it arrive, or fails.
HEARTBEAT_S = 60

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def _is_open_to_all(path):
    """May every user enter this folder?"""
    while os.stat(path).st_mode & 0o001:
        if path == "/":
            return True
        path = os.path.dirname(path)
    return False


def _tree_for_all():
    """The tree, or a copy: root's tests start web servers that run as other
    users, and those cannot enter a clone under /root or in a private folder."""
    if os.geteuid() != 0 or _is_open_to_all(TREE):
        return TREE
    folder = tempfile.mkdtemp(prefix="sse-e2e-tree-", dir="/tmp")
    os.chmod(folder, 0o755)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    subprocess.run(["cp", "-a", TREE, folder + "/tree"], check=True)
    os.chmod(folder + "/tree", 0o755)
    return folder + "/tree"


TOP = _tree_for_all()


def _program(variable, name):
    path = os.path.abspath(os.environ.get(variable, os.path.join(TOP, name)))
    return TOP + path[len(TREE):] if path.startswith(TREE + "/") else path


FCGI_SSE_BIN = _program("FCGI_SSE_BIN", "fcgi-sse")
SSE_PUBLISH_BIN = _program("SSE_PUBLISH_BIN", "sse-publish")



def lacks_node():
    """Is there no Node 20, or none of npm's packages?  Then their clients cannot be tested."""
    try:
        version = subprocess.run(["node", "--version"], stdout=subprocess.PIPE, check=True).stdout.decode()
    except (OSError, subprocess.CalledProcessError):
        return True
    return int(version.strip("v\n").split(".")[0]) < 20 or not os.path.isdir(
        os.path.join(TOP, "test/e2e/node_modules/eventsource"))


SANITIZER = re.compile(r"(?:Address|Leak|Thread|Memory|UndefinedBehavior)Sanitizer"
                       r"|runtime error:|stack smashing|free\(\): |malloc\(\): |Assertion .*failed")
# What an error or a warning of ours looks like; info and debug may always come.
COMPLAINT = re.compile(r"^fcgi-sse\[\d+\][^:]*: (?:error|warn): ")
USUAL = [
    r"root",  # running as root without --user
    r"\*.*Redis|Redis.*\*",  # --record=* where other clients publish too
]


def wait_until(condition, seconds=DEADLINE_S, what="a condition"):
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(
                "waited %s s without success for %s" % (seconds, what() if callable(what) else what))
        time.sleep(0.005)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def port_listens(port):
    """Is the port open?  From the kernel: a connect would be a client."""
    wanted = ":%04X" % port
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table) as lines:
                for line in lines:
                    fields = line.split()
                    if fields[1].endswith(wanted) and fields[3] == "0A":
                        return True
        except FileNotFoundError:
            pass
    return False


def inode(path):
    """Which socket stands at a path; None where there is none.  A path that
    exists can be connected to: it is renamed into place when it listens."""
    try:
        return os.stat(path).st_ino
    except FileNotFoundError:
        return None


# ---- /proc

def pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _status(pid):
    """(state, ppid) or None when it is gone."""
    try:
        with open("/proc/%d/stat" % pid) as f:
            fields = f.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return fields[0], int(fields[1])


def alive(pid):
    status = _status(pid)
    return status is not None and status[0] not in "ZX"


def children_of(parent, zombies=False):
    """The children that live; with zombies=True also those that wait to be reaped."""
    found = []
    for pid in pids():
        status = _status(pid)
        if status and status[1] == parent and status[0] not in ("X" if zombies else "ZX"):
            found.append(pid)
    return sorted(found)


def name_of(pid):
    """What a process calls itself; empty when it is gone."""
    try:
        with open("/proc/%d/comm" % pid, encoding="utf-8") as f:
            return f.read().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def descriptors_of(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


def memory_peak_kb(pid):
    with open("/proc/%d/status" % pid) as lines:
        for line in lines:
            if line.startswith("VmHWM"):
                return int(line.split()[1])
    return 0


def under_sanitizer(pid):
    with open("/proc/%d/maps" % pid) as f:
        return "asan" in f.read()


def processes_mentioning(text):
    """Processes whose command line or environment names this folder."""
    found = []
    needle = text.encode()
    for pid in pids():
        if pid == os.getpid():
            continue
        try:
            with open("/proc/%d/cmdline" % pid, "rb") as f:
                cmdline = f.read()
            with open("/proc/%d/environ" % pid, "rb") as f:
                environ = f.read()
        except OSError:
            continue
        if (needle in cmdline or needle in environ) and alive(pid):
            found.append((pid, cmdline.replace(b"\0", b" ").decode("utf-8", "replace")))
    return found


# ---- programs

class Folder:
    """A short temporary folder (socket paths end at 107 bytes) that knows at
    the end whether a process of the test is left."""

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="sse-e2e-", dir="/tmp")
        os.chmod(self.path, 0o755)

    def __truediv__(self, name):
        return os.path.join(self.path, name)

    def write(self, name, text, mode=0o644):
        path = self / name
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w" if isinstance(text, str) else "wb") as f:
            f.write(text)
        os.chmod(path, mode)
        return path

    def remove(self):
        left = []
        try:
            wait_until(lambda: not processes_mentioning(self.path))
        except AssertionError:
            left = processes_mentioning(self.path)
            for pid, _ in left:
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.path, ignore_errors=True)
        assert not left, "processes left behind: %r" % left


# The suite can be run with many streams in one process (make check-carriers).
STREAMS_PER_PROCESS = "FCGI_SSE_STREAMS_PER_PROCESS"
STREAMS_SHARE = os.environ.get(STREAMS_PER_PROCESS, "1") != "1"


class Program:
    """One process of ours, its output in files of the folder."""

    count = 0

    def __init__(self, folder, name, argv, *, env=None, stdin=subprocess.DEVNULL,
                 check_stderr=True, cwd=None, **more):
        Program.count += 1
        self.folder, self.name, self.argv = folder, name, argv
        self.check_stderr = check_stderr
        self.expected_log = list(USUAL)
        self.stdout_path = folder / ("%s.%d.out" % (name, Program.count))
        self.stderr_path = folder / ("%s.%d.err" % (name, Program.count))
        full_env = {k: v for k, v in os.environ.items()
                    if not k.startswith(("FCGI_SSE_", "SSE_")) or k == STREAMS_PER_PROCESS}
        full_env["SSE_E2E_FOLDER"] = folder.path
        full_env.update(env or {})
        with open(self.stdout_path, "wb") as out, open(self.stderr_path, "wb") as err:
            self.process = subprocess.Popen(
                argv, env=full_env, stdin=stdin, stdout=more.pop("stdout", out),
                stderr=more.pop("stderr", err), cwd=cwd or folder.path, **more)
        self.pid = self.process.pid

    def stdout(self):
        with open(self.stdout_path, "rb") as f:
            return f.read()

    def stderr(self):
        with open(self.stderr_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def expect_log(self, *patterns):
        """Complaints that this test provokes."""
        self.expected_log += patterns
        return self

    def wait_log(self, pattern, seconds=DEADLINE_S):
        """Wait for a line on stderr; it is expected from then on."""
        self.expect_log(pattern)
        return wait_until(lambda: re.search(pattern, self.stderr()), seconds,
                          lambda: "%r in the log:\n%s" % (pattern, self.stderr()))

    def running(self):
        return self.process.poll() is None

    def wait(self, seconds=DEADLINE_S):
        wait_until(lambda: not self.running(), seconds, "%s to end" % self.name)
        return self.process.returncode

    def ready(self, condition, seconds=DEADLINE_S):
        wait_until(lambda: condition() or not self.running(), seconds,
                   lambda: "%s to be ready:\n%s" % (self.name, self.stderr()))
        assert self.running(), "%s ended with %s:\n%s" % (
            self.name, self.process.returncode, self.stderr())
        return self

    def signal(self, number):
        if self.running():
            os.kill(self.pid, number)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.process.wait()

    def stop(self, seconds=DEADLINE_S):
        """SIGTERM, and what it had to say."""
        if self.running():
            self.signal(signal.SIGTERM)
            try:
                self.wait(seconds)
            except AssertionError:
                self.kill()
                raise
        self.check_log()

    def check_log(self):
        if not self.check_stderr:
            return
        unexpected = []
        for line in self.stderr().splitlines():
            complaint = SANITIZER.search(line) or COMPLAINT.search(line)
            if complaint and not any(re.search(p, line, re.I) for p in self.expected_log):
                unexpected.append(line)
        assert not unexpected, "%s said on stderr:\n%s" % (self.name, "\n".join(unexpected))


class RedisServer:
    """A private Redis on a Unix socket (and on a port when a test asks)."""

    def __init__(self, folder, *, port=0, appendonly=False, extra=()):
        self.folder, self.port, self.appendonly = folder, port, appendonly
        self.extra = list(extra)
        self.path = folder / "redis.sock"
        self.data = folder / "redis-data"
        os.makedirs(self.data, exist_ok=True)
        self.program = None
        self.password = None
        self._client = None
        self.start()

    @property
    def url(self):
        return "unix://" + self.path

    @property
    def client(self):
        """A redis-py client of the test; no connection is kept over a restart."""
        if self._client is None:
            self._client = redis_client.Redis(unix_socket_path=self.path, password=self.password)
        return self._client

    def start(self):
        argv = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1",
                "--unixsocket", self.path, "--unixsocketperm", "777", "--dir", self.data,
                "--save", "", "--appendonly", "yes" if self.appendonly else "no",
                "--appendfsync", "always", "--daemonize", "no", "--logfile", "",
                "--hz", "50"] + self.extra
        if os.path.exists(self.path):
            os.unlink(self.path)  # a killed Redis leaves it
        self.program = Program(self.folder, "redis", argv, check_stderr=False)
        self.program.ready(self._answers)
        return self

    def _answers(self):
        try:
            redis_client.Redis(unix_socket_path=self.path, socket_timeout=DEADLINE_S,
                               password=self.password).ping()
        except redis_client.exceptions.AuthenticationError:
            return True
        except redis_client.exceptions.ResponseError as err:
            return "NOAUTH" in str(err)
        except (OSError, redis_client.exceptions.RedisError):
            return False
        return True

    def stop(self):
        if self._client is not None:
            self._client.close()
            self._client = None
        self.program.kill()

    def restart(self, *, empty=False):
        self.stop()
        if empty:
            shutil.rmtree(self.data)
            os.makedirs(self.data)
        return self.start()

    # what streams and publishers leave there
    def channel_subscribers(self, channel):
        return self.client.pubsub_numsub(channel)[0][1]

    def clients(self, type_=None):
        return [c for c in self.client.client_list(type_)]

    def cli(self, *argv, stdin=None):
        return subprocess.run(["redis-cli", "-s", self.path, *argv], input=stdin, check=True,
                              stdout=subprocess.PIPE, timeout=60).stdout

    def publish(self, channel, payload):
        return self.client.publish(channel, payload)


def redis_pipe(commands):
    """The commands (sequences of str or bytes) as `redis-cli --pipe` reads them."""
    out = []
    for command in commands:
        out.append(b"*%d\r\n" % len(command))
        for arg in command:
            arg = arg if isinstance(arg, bytes) else arg.encode()
            out.append(b"$%d\r\n%s\r\n" % (len(arg), arg))
    return b"".join(out)


class FcgiSse(Program):
    """The responder's parent."""

    speaks = "fcgi"

    def __init__(self, folder, redis, options=(), *, env=None, socket_path=None, port=None,
                 argv=None, recorder=True, wait=True, **more):
        count = Program.count
        options = [*options]
        given = {o.split("=")[0] for o in options}
        self.socket_path = None if port else socket_path or folder / ("sse%d.sock" % count)
        self.address = ("127.0.0.1", port) if port else self.socket_path
        self.records = recorder and not any(o == "--record=none" for o in options)
        self.redis = redis
        if argv is None:
            place = ["--port=%d" % port] if port else [
                "--socket=" + self.socket_path, "--socket-mode=0666"]
            argv = [FCGI_SSE_BIN] + place
            if redis is not None and "--redis" not in given and "FCGI_SSE_REDIS" not in (env or {}):
                argv.append("--redis=" + redis.url)
            if "--drain" not in given:
                argv.append("--drain=1")
            if "--heartbeat" not in given and "FCGI_SSE_HEARTBEAT" not in (env or {}):
                argv.append("--heartbeat=%d" % HEARTBEAT_S)
            argv += options
        self.old_inode = inode(self.socket_path) if self.socket_path else None
        super().__init__(folder, "fcgi-sse", argv, env=env, **more)
        self.recorder_pid = None
        if wait:
            self.wait_ready()

    def wait_ready(self):
        if self.socket_path:
            inherited = self.argv[0] != FCGI_SSE_BIN
            self.ready(lambda: inode(self.socket_path) is not None and (
                inherited or inode(self.socket_path) != self.old_inode))
        else:
            self.ready(lambda: port_listens(self.address[1]))
        if self.records and self.redis is not None:
            self.ready(lambda: children_of(self.pid))
            self.recorder_pid = children_of(self.pid)[0]
            self.ready(lambda: self.redis.client.exists("sse:recorder"))
        return self

    def children(self):
        return children_of(self.pid)

    def carriers(self):
        """The children that hold the live streams of many."""
        return [pid for pid in self.children() if name_of(pid) == "sse-carrier"]

    def carried(self):
        """How many streams its carriers hold, as they tell the parent."""
        for fd in os.listdir("/proc/%d/fd" % self.pid):
            path = "/proc/%d/fd/%s" % (self.pid, fd)
            if os.readlink(path).startswith("/memfd:sse-carriers"):
                with open(path, "rb") as f:
                    page = f.read()
                return sum(struct.unpack("=%dI" % (len(page) // 4), page))
        return 0

    def wait_carried(self, count, seconds=DEADLINE_S):
        return wait_until(lambda: self.carried() == count, seconds,
                          lambda: "%d carried streams, there are %d" % (count, self.carried()))

    def responders(self):
        """The children that serve a client, or wait for one."""
        return [pid for pid in self.children() if pid != self.recorder_pid and name_of(pid) != "sse-carrier"]

    def wait_responders(self, count, seconds=DEADLINE_S):
        return wait_until(lambda: len(self.responders()) == count or None, seconds,
                          lambda: "%d responders, there are %r" % (count, self.responders()))

    def serves(self, pid):
        """Has this responder a connection that was accepted?  (Such a socket has the name that the listening one
        was bound to.)  Of one that has a port it is not known."""
        if self.socket_path is None:
            return True
        with open("/proc/net/unix", encoding="utf-8") as table:
            accepted = {"socket:[%s]" % fields[6] for fields in map(str.split, table)
                        if len(fields) > 7 and fields[7].startswith(self.socket_path)}
        try:
            return any(os.readlink("/proc/%d/fd/%s" % (pid, fd)) in accepted for fd in os.listdir("/proc/%d/fd" % pid))
        except FileNotFoundError:  # it, or a descriptor, is gone: look again
            return True

    def streams(self):
        """How many there are, in processes of their own or not; one that moves may count twice.  A process of its
        own ends with its stream; where streams share one, a responder waits for another."""
        if not STREAMS_SHARE:
            return len(self.responders())
        return sum(map(self.serves, self.responders())) + self.carried()

    def wait_streams(self, count, seconds=DEADLINE_S):
        return wait_until(lambda: self.streams() == count or None, seconds,
                          lambda: "%d streams, there are %d" % (count, self.streams()))

    def kill_responders(self, number=signal.SIGKILL):
        """All that hold a stream, or may come to; returns who they were."""
        pids = self.responders() + self.carriers()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
                os.kill(pid, number)
        return pids


def redis_environment(redis):
    return {"FCGI_SSE_REDIS": redis.url}


def sse_publish(redis, *argv, stdin=None, env=None, check=True, timeout=60):
    """Run sse-publish; return the completed process (bytes)."""
    full_env = {k: v for k, v in os.environ.items() if not k.startswith(("FCGI_SSE_", "SSE_"))}
    if redis is not None:
        full_env.update(redis_environment(redis))
    full_env.update(env or {})
    done = subprocess.run([SSE_PUBLISH_BIN, *argv], input=stdin, env=full_env, timeout=timeout,
                          stdin=subprocess.DEVNULL if stdin is None else None,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert not SANITIZER.search(done.stderr.decode("utf-8", "replace")), done.stderr.decode()
    if check:
        assert done.returncode == 0 and done.stderr == b"", done
    return done


def publish_ids(redis, *argv, **more):
    """Run sse-publish and return the ids that it printed."""
    return [int(i) for i in re.findall(rb"\d{15,}", sse_publish(redis, *argv, **more).stdout)]


def history(redis, channel, prefix="sse:"):
    """The records kept of a channel: a list of (id, prev, origin, frame)."""
    records = []
    for raw in redis.client.lrange(prefix + "history:" + channel, 0, -1):
        head, _, frame = raw.partition(b"\n")
        id_, prev, origin = head.split(b" ")
        assert frame.startswith(b"id: " + id_ + b"\n") and frame.endswith(b"\n\n"), raw
        records.append((int(id_), int(prev), origin.decode(), frame))
    return records


def clock(redis, prefix="sse:"):
    return int(redis.client.get(prefix + "clock") or 0)


def quote(text):
    return urllib.parse.quote(text, safe="")
