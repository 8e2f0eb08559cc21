# SPDX-License-Identifier: ISC
"""The floor of a carrier: bench/floor.c behind the same nginx."""
import os
import socket

from .base import Candidate, Running, TOP, find

BIN = os.path.join(os.environ.get("BENCH_BUILD", os.path.join(TOP, "build/bench")), "floor")

LOCATION = """
		location = /sse {
			fastcgi_pass unix:%s;
			fastcgi_pass_request_headers off;
			fastcgi_buffering off;
			fastcgi_read_timeout 1h;
		}
"""


class Floor(Candidate):
    name = "floor"
    title = "floor: a bare C program"
    is_floor = True

    def missing(self):
        if not os.path.exists(BIN):
            return "%s is not built" % BIN
        for program in ("nginx", "redis-server"):
            if not find(program):
                return "%s is not here" % program
        return ""

    def start(self, workdir):
        run = Running(workdir)
        redis = run.start_redis()
        path = run.path("floor.sock")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen(4096)
            run.spawn("floor", [BIN, redis], stdin=listener)
        port = run.start_nginx(LOCATION % path)
        run.stream_url = "http://127.0.0.1:%d/sse?channels={channel}" % port
        run.publish = ("redis-publish", redis)
        return run


CANDIDATES = [Floor]
