# SPDX-License-Identifier: ISC
"""Node.js with npm's better-sse: one process, one subscription in Redis, behind
nginx."""
import os

from .base import Candidate, HEARTBEAT_S, Running, find

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "node")

UPSTREAM = "upstream streams { server unix:%s; keepalive 64; }"
LOCATION = """
		location = /sse {
			proxy_pass http://streams;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_buffering off;
			proxy_read_timeout 1h;
		}
"""


class Node(Candidate):
    name = "node"
    title = "Node.js, better-sse"

    def missing(self):
        for program in ("nginx", "redis-server", "node"):
            if not find(program):
                return "%s is not here" % program
        if not os.path.isdir(os.path.join(FOLDER, "node_modules/better-sse")):
            return "npm's packages are not in bench/peers/node (tools/npm-packages)"
        return ""

    def start(self, workdir):
        run = Running(workdir)
        redis = run.start_redis()
        path = run.path("node.sock")
        run.spawn("node", [find("node"), os.path.join(FOLDER, "server.mjs"), redis, path, str(HEARTBEAT_S)],
                  lambda: os.path.exists(path), env={"NODE_ENV": "production"})
        port = run.start_nginx(LOCATION, in_http=UPSTREAM % path)
        run.stream_url = "http://127.0.0.1:%d/sse?channels={channel}" % port
        run.publish = ("redis-publish", redis)
        return run


CANDIDATES = [Node]
