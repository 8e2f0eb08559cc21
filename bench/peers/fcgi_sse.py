# SPDX-License-Identifier: ISC
"""fcgi-sse, behind nginx and behind lighttpd."""
import os
import subprocess

from .base import Candidate, DESCRIPTORS, HEARTBEAT_S, HISTORY, STREAMS_MAX, Running, TOP, find, free_port, port_listens

BIN = os.environ.get("FCGI_SSE_BIN", os.path.join(TOP, "fcgi-sse"))

NGINX_LOCATION = """
		location /sse/ {
			fastcgi_param SSE_ALLOW "*";
			include /etc/nginx/fastcgi_params;
			fastcgi_pass unix:%s;
			fastcgi_buffering off;
			fastcgi_read_timeout 1h;
		}
"""

LIGHTTPD = """
server.modules = ( "mod_setenv", "mod_fastcgi" )
server.document-root = "%(folder)s"
server.upload-dirs = ( "%(folder)s" )
server.bind = "127.0.0.1"
server.port = %(port)d
server.max-fds = %(descriptors)d
server.listen-backlog = 16384
server.stream-response-body = 2
server.max-write-idle = 3600
setenv.add-environment = ( "SSE_ALLOW" => "*" )
fastcgi.server = ( "/sse/" => (( "socket" => "%(socket)s", "check-local" => "disable",
	"tcp-fin-propagate" => "enable" )))
"""


def has_carriers():
    """Does fcgi-sse's help name the option?"""
    if not os.path.exists(BIN):
        return False
    help_ = subprocess.run([BIN, "--help"], stdout=subprocess.PIPE, check=True).stdout.decode()
    return "--streams-per-process" in help_


class FcgiSse(Candidate):
    name = "fcgi-sse-1"
    title = "fcgi-sse, a process each"
    has_resume = True
    server = "nginx"
    streams_per_process = 1
    more = ()

    def missing(self):
        if not os.path.exists(BIN):
            return "%s is not built" % BIN
        for program in (self.server, "redis-server"):
            if not find(program):
                return "%s is not here" % program
        if self.streams_per_process > 1 and not has_carriers():
            return "this fcgi-sse has no --streams-per-process"
        return ""

    def start(self, workdir):
        run = Running(workdir)
        redis = run.start_redis()
        path = run.path("sse.sock")
        argv = [BIN, "--socket=" + path, "--socket-mode=666", "--redis=unix://" + redis, "--max-streams=10000",
                "--heartbeat=%d" % HEARTBEAT_S, "--history-count=%d" % HISTORY, "--drain=1", *self.more]
        if self.streams_per_process > 1:
            argv.append("--streams-per-process=%d" % self.streams_per_process)
        run.spawn("fcgi-sse", argv, lambda: os.path.exists(path))
        run.publish = ("redis-script", redis)
        if self.server == "nginx":
            port = run.start_nginx(NGINX_LOCATION % path)
        else:
            port = free_port()
            conf = run.write("lighttpd.conf", LIGHTTPD % {"folder": workdir, "port": port, "socket": path,
                                                           "descriptors": DESCRIPTORS})
            run.spawn("lighttpd", [find("lighttpd"), "-D", "-f", conf], lambda: port_listens(port))
        run.stream_url = "http://127.0.0.1:%d/sse/?channels={channel}" % port
        return run


class FcgiSseCarriers(FcgiSse):
    name = "fcgi-sse-1000"
    title = "fcgi-sse, 1,000 streams a process"
    streams_per_process = 1000


class FcgiSseLighttpd(FcgiSse):
    name = "fcgi-sse-1-lighttpd"
    title = "fcgi-sse, a process each, lighttpd"
    server = "lighttpd"
    # one process, two descriptors a stream, and a third of them is its limit
    max_streams = min(STREAMS_MAX, DESCRIPTORS // 3)

    @property
    def only_if_asked(self):
        """Beside the figures of nginx, and of many streams in a process, it says nothing new."""
        return self.streams_per_process == 1 and has_carriers()


class FcgiSseCarriersLighttpd(FcgiSseLighttpd):
    name = "fcgi-sse-1000-lighttpd"
    title = "fcgi-sse, 1,000 streams a process, lighttpd"
    streams_per_process = 1000


CANDIDATES = [FcgiSse, FcgiSseCarriers, FcgiSseLighttpd, FcgiSseCarriersLighttpd]
