# SPDX-License-Identifier: ISC
"""Those whom `make bench` measures: each runs, does what it is measured at, and leaves nothing."""
import http.client
import os
import subprocess
import sys
import urllib.parse
import urllib.request

import pytest
import redis as redis_client

from processes import DEADLINE_S, SSE_PUBLISH_BIN, TOP

sys.path.insert(0, os.path.join(TOP, "bench"))
from peers import base, fcgi_sse, floor, nchan, node, tornado_sse  # noqa: E402

CANDIDATES = [kind() for module in (fcgi_sse, floor, nchan, node, tornado_sse) for kind in module.CANDIDATES]
if not fcgi_sse.has_carriers():
    CANDIDATES = [c for c in CANDIDATES if getattr(c, "streams_per_process", 1) == 1]


class Client:
    """A stream, read line by line, from after the cursor."""

    def __init__(self, url, cursor=None):
        parts = urllib.parse.urlparse(url)
        self.connection = http.client.HTTPConnection(parts.netloc, timeout=DEADLINE_S)
        self.connection.request("GET", parts.path + "?" + parts.query,
                                headers={"Accept": "text/event-stream",
                                         **({"Last-Event-ID": cursor} if cursor else {})})
        self.response = self.connection.getresponse()
        assert self.response.status == 200
        assert self.response.headers["Content-Type"].startswith("text/event-stream")

    def id_of_event(self, text):
        """Read up to this event; its id."""
        event_id, is_it = None, False
        while True:
            name, _, value = self.response.readline().decode().rstrip("\n").partition(":")
            if name == "id":
                event_id = value.strip()
            elif name == "data":
                is_it = text in value
            elif name == "" and is_it:
                return event_id

    def close(self):
        self.connection.close()


def publish(running, text):
    kind, to = running.publish
    if kind == "redis-script":
        subprocess.run([SSE_PUBLISH_BIN, "--redis=unix://" + to, "all", text], stdout=subprocess.DEVNULL, check=True)
    elif kind == "redis-publish":
        redis_client.Redis(unix_socket_path=to).publish("all", text)
    else:
        urllib.request.urlopen(to.replace("{channel}", "all"), text.encode(), timeout=DEADLINE_S).close()


def still_there(processes):
    return [pid for pid, start in processes if (base.stat_fields(pid) or [""] * 20)[19] == start]


@pytest.mark.parametrize("candidate", CANDIDATES, ids=lambda c: c.name)
def test_candidate(candidate, folder, stack):
    """It starts, hands on an event, gives what was missed if it says that it can, and all of it ends."""
    if candidate.missing():
        pytest.skip(candidate.missing())
    running = candidate.start(folder.path)
    stack.callback(running.stop)
    client = Client(running.url("all"))
    stack.callback(client.close)
    publish(running, "first")
    cursor = client.id_of_event("first")
    if candidate.has_resume:
        client.close()
        publish(running, "missed")
        client = Client(running.url("all"), cursor)
        stack.callback(client.close)
        assert client.id_of_event("missed")
    processes = base.descendants(running.pids())
    running.stop()
    assert len(processes) > 2 and still_there(processes) == []
