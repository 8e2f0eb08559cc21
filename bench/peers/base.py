# SPDX-License-Identifier: ISC
"""What every candidate of the benchmark is made of.

A candidate is a subclass of Candidate in a file of this folder, named in the
list CANDIDATES of that file.  Its start() starts all that it needs, in a folder
of its own, and returns a Running.  Whatever is started through Running.spawn
is ended by Running.stop, last first, by pid."""
import os
import resource
import shutil
import signal
import socket
import subprocess
import time

BENCH = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TOP = os.path.dirname(BENCH)

# The same for all who can be told: silence lasts so long, so many events are
# kept, so many streams must fit.
HEARTBEAT_S = 15
HISTORY = 12000
STREAMS_MAX = 10000

# Descriptors of one process: where even root may not have more, that bounds the
# streams of a server with one process.
DESCRIPTORS = min(65536, resource.getrlimit(resource.RLIMIT_NOFILE)[1])

START_S = 15  # a program that is not ready then has failed


def find(program):
    """The path of a program, or None; servers lie in sbin."""
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin")


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


def answers_ping(path):
    """Does Redis answer on this Unix socket?"""
    try:
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(START_S)
            s.connect(path)
            s.sendall(b"PING\r\n")
            return s.recv(64).startswith(b"+PONG")
    except OSError:
        return False


def wait_until(condition, what, process=None):
    """Wait for a condition; fails when `process` ends before it holds."""
    deadline = time.monotonic() + START_S
    while not condition():
        if process is not None and process.poll() is not None:
            raise RuntimeError("%s ended with status %s" % (what, process.returncode))
        if time.monotonic() > deadline:
            raise RuntimeError("%s is not ready after %d s" % (what, START_S))
        time.sleep(0.01)


class Candidate:
    """What is measured.  One instance serves all rounds; start() gives a fresh one each time."""

    name = ""  # as in --candidates: fcgi-sse-1
    title = ""  # as in the tables
    max_streams = STREAMS_MAX
    has_resume = False  # is Last-Event-ID served?
    only_if_asked = False  # left out unless --candidates names it
    is_floor = False  # no server that anybody would use: shows what the machine can do

    def missing(self):
        """What is not here that this candidate needs, as a sentence; "" if all is here."""
        return ""

    def start(self, workdir):
        """-> Running.  workdir is an empty folder, which the driver removes."""
        raise NotImplementedError


class Running:
    """A candidate that runs.

    publish   how the load generator publishes, one of
              ("redis-script", socket path)    EVALSHA of lua/publish.lua
              ("redis-publish", socket path)   PUBLISH channel payload
              ("http-post", URL)               POST of the payload; {channel} in the URL is replaced
    """

    def __init__(self, workdir):
        self.workdir = workdir
        self.processes = []
        self.publish = None
        self.stream_url = ""  # {channel} is replaced
        self.redis_socket = None

    def url(self, channel):
        return self.stream_url.replace("{channel}", channel)

    def pids(self):
        """The roots: with all their descendants they are who takes part."""
        return [process.pid for _, process in self.processes if process.poll() is None]

    def path(self, name):
        return os.path.join(self.workdir, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(text)
        return self.path(name)

    def spawn(self, name, argv, ready=None, env=None, **more):
        """Start a program, its output in NAME.log, and wait until ready() is true."""
        with open(self.path(name + ".log"), "ab") as log:
            process = subprocess.Popen(argv, stdout=log, stderr=log, cwd=self.workdir,
                                       env={**os.environ, **(env or {})},
                                       **{"stdin": subprocess.DEVNULL, **more})
        self.processes.append((name, process))
        try:
            if ready:
                wait_until(ready, name, process)
        except RuntimeError as err:
            text = self.log(name)
            self.stop()
            raise RuntimeError("%s:\n%s" % (err, text)) from None
        return process

    def log(self, name, most=2000):
        with open(self.path(name + ".log"), encoding="utf-8", errors="replace") as f:
            return f.read()[-most:]

    def start_redis(self):
        """A Redis of this candidate's own, on a Unix socket, without persistence.  -> the path"""
        path = self.path("redis.sock")
        # 10,000 streams may be as many connections; to subscribers that are slow
        # for a moment Redis gives the same patience whoever they are.
        self.spawn("redis", ["redis-server", "--port", "0", "--unixsocket", path, "--unixsocketperm", "777",
                             "--dir", self.workdir, "--save", "", "--appendonly", "no",
                             "--maxclients", "20000", "--logfile", "", "--daemonize", "no"],
                   lambda: answers_ping(path))
        self.redis_socket = path
        return path

    def start_nginx(self, location, before_http="", in_http=""):
        """nginx as all candidates have it, with this text in its one server.  -> the port"""
        port = free_port()
        conf = self.write("nginx.conf", NGINX % {
            "folder": self.workdir, "port": port, "location": location, "before_http": before_http,
            "in_http": in_http, "descriptors": DESCRIPTORS})
        self.spawn("nginx", [find("nginx") or "nginx", "-e", "stderr", "-p", self.workdir, "-c", conf],
                   lambda: port_listens(port))
        return port

    def stop(self):
        """End all, last started first: SIGTERM, and SIGKILL where that does not help."""
        for _, process in reversed(self.processes):
            left = descendants([process.pid])
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(5)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            for pid, start in left:
                kill_if_same(pid, start)
        self.processes = []


# The same for all behind nginx.  Two workers on two cores, as Debian's
# nginx.conf and ours have it; a proxied stream takes two connections.
NGINX = """
daemon off; user root; pid %(folder)s/nginx.pid; error_log stderr warn;
worker_processes auto;
worker_rlimit_nofile %(descriptors)d;
%(before_http)s
events { worker_connections %(descriptors)d; }
http {
	access_log off;
	client_body_temp_path %(folder)s/nginx-body; proxy_temp_path %(folder)s/nginx-proxy;
	fastcgi_temp_path %(folder)s/nginx-fcgi; uwsgi_temp_path %(folder)s/nginx-uwsgi;
	scgi_temp_path %(folder)s/nginx-scgi;
	keepalive_requests 100000000;
	gzip off;
	%(in_http)s
	server {
		listen 127.0.0.1:%(port)d backlog=16384;
		%(location)s
	}
}
"""


# ---- /proc

def stat_fields(pid):
    """The fields of /proc/PID/stat behind the name, or None."""
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rpartition(")")[2].split()
    except OSError:
        return None


def descendants(roots):
    """[(pid, start time)] of the roots' processes and all that come from them."""
    children, starts = {}, {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            fields = stat_fields(int(name))
            if fields:
                children.setdefault(int(fields[1]), []).append(int(name))
                starts[int(name)] = fields[19]
    found, todo = [], [pid for pid in roots if pid in starts]
    while todo:
        pid = todo.pop()
        found.append((pid, starts[pid]))
        todo += children.get(pid, [])
    return found


def kill_if_same(pid, start):
    """SIGKILL to a process, unless its number is another's by now."""
    fields = stat_fields(pid)
    if fields and fields[19] == start and fields[0] not in "ZX":
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
