# SPDX-License-Identifier: ISC
"""Tornado: one process with one subscription in Redis, behind nginx as Tornado's
manual has it ("Running and deploying": proxy_pass, the headers), without buffering."""
import os
import subprocess

from .base import Candidate, HEARTBEAT_S, HISTORY, Running, find

PYTHON = os.environ.get("PYTHON", "/usr/bin/python3")
SERVER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tornado/server.py")

UPSTREAM = "upstream streams { server unix:%s; keepalive 64; }"
LOCATION = """
		location = /sse {
			proxy_pass http://streams/;
			proxy_pass_header Server;
			proxy_set_header Host $http_host;
			proxy_set_header X-Real-IP $remote_addr;
			proxy_set_header X-Scheme $scheme;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_buffering off;
			proxy_read_timeout 1h;
		}
"""


class Tornado(Candidate):
    name = "tornado"
    title = "Tornado"
    has_resume = True

    def missing(self):
        for program in ("nginx", "redis-server", "redis-cli"):
            if not find(program):
                return "%s is not here" % program
        # not where a folder might be taken for a module
        done = subprocess.run([PYTHON, "-c", "import tornado, redis.asyncio, hiredis"], cwd="/",
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        return done.stdout.decode().strip().rpartition("\n")[2]

    def start(self, workdir):
        run = Running(workdir)
        redis = run.start_redis()
        # what fcgi-sse --history-count writes there
        subprocess.run([find("redis-cli"), "-s", redis, "HSET", "sse:limits", "count", str(HISTORY)],
                       stdout=subprocess.DEVNULL, check=True)
        path = run.path("tornado.sock")
        run.spawn("tornado", [PYTHON, SERVER, redis, path, str(HEARTBEAT_S)], lambda: os.path.exists(path))
        port = run.start_nginx(LOCATION, in_http=UPSTREAM % path)
        run.stream_url = "http://127.0.0.1:%d/sse?channels={channel}" % port
        run.publish = ("redis-script", redis)
        return run


CANDIDATES = [Tornado]
