# SPDX-License-Identifier: ISC
"""Clients whose network is gone without a word: no FIN, no RST, no ACK.  Server
and client are in network namespaces of their own, with a cable between."""
import contextlib
import ctypes
import os
import re
import subprocess
import time

import pytest

import webservers
from processes import TOP
from proxies import HaproxyFcgi

SERVER, CLIENT = "192.0.2.1", "192.0.2.2"
libc = ctypes.CDLL(None, use_errno=True)


def read(name):
    with open(os.path.join(TOP, name), encoding="utf-8") as f:
        return f.read()


def may_have_namespaces():
    return os.geteuid() == 0 and subprocess.run(["unshare", "-n", "true"], stderr=subprocess.DEVNULL).returncode == 0


pytestmark = pytest.mark.skipif(not may_have_namespaces(), reason="makes network namespaces: needs root")


@contextlib.contextmanager
def namespace_of(pid):
    """What this thread opens and starts meanwhile has the network of that process."""
    with open("/proc/thread-self/ns/net") as own, open("/proc/%d/ns/net" % pid) as other:
        assert libc.setns(other.fileno(), 0) == 0, os.strerror(ctypes.get_errno())
        try:
            yield
        finally:
            assert libc.setns(own.fileno(), 0) == 0, os.strerror(ctypes.get_errno())


class Network:
    """Two namespaces, held by two processes."""

    def __init__(self, run):
        self.pids = []
        for name in ("server", "client"):
            holder = run(name, ["unshare", "-n", "sleep", "infinity"])
            holder.ready(lambda: self.has_left(holder.pid))
            self.pids.append(holder.pid)
        self.ip(0, "link add cable type veth peer name cable netns %d" % self.pids[1])
        for end, address in enumerate((SERVER, CLIENT)):
            self.ip(end, "link set lo up")
            self.ip(end, "addr add %s/30 dev cable" % address)
            self.ip(end, "link set cable up")

    @staticmethod
    def has_left(pid):
        return os.readlink("/proc/%d/ns/net" % pid) != os.readlink("/proc/self/ns/net")

    def at(self, end):
        return namespace_of(self.pids[end])

    def ip(self, end, words):
        with self.at(end):
            subprocess.run(["ip", *words.split()], check=True)

    def server(self):
        return self.at(0)

    def client(self):
        return self.at(1)

    def cut(self):
        """The client's end is gone; the server's says nothing."""
        self.ip(1, "link set cable down")

    def set_retries(self, n):
        with self.server(), open("/proc/sys/net/ipv4/tcp_retries2", "w") as f:
            f.write(str(n))


@pytest.fixture
def network(run):
    return Network(run)


@pytest.fixture
def start_server(folder, stack, network):
    """start_server(kind, fcgi_sse, ...) -> a web server in its namespace."""
    def start(kind, *args):
        with network.server():
            server = KINDS[kind](folder, *args)

        def stop():
            stack.close_streams()
            server.stop()

        stack.callback(stop)
        server.address = (SERVER, server.port)
        return server
    return start


KINDS = {
    "nginx": lambda *args: webservers.NginxExample(*args, {"listen 127.0.0.1": "listen " + SERVER}),
    "lighttpd": lambda *args: webservers.LighttpdExample(*args, {'"127.0.0.1"': '"%s"' % SERVER}),
    "haproxy": lambda *args: HaproxyFcgi(*args[:2], SERVER, *args[2:]),
}
SETTING = r"net\.ipv4\.tcp_retries2 = (\d+)"


def check_gone(network, loop, fcgi_sse, servers, seconds):
    """Streams that run; their network goes; they end within this time, and one heartbeat."""
    with network.client():
        streams = [loop.live(server, "all") for server in servers for _ in range(3)]
    fcgi_sse.wait_streams(len(streams))
    began = time.monotonic()
    network.cut()
    fcgi_sse.wait_streams(0, seconds)
    return time.monotonic() - began


@pytest.mark.soak
def test_few_retries(redis, start_fcgi_sse, loop, network, start_server):
    """With tcp_retries2 = 5 nginx and lighttpd end such streams after 13 to 26 s."""
    network.set_retries(5)
    fcgi_sse = start_fcgi_sse(redis, "--heartbeat=1")
    servers = [start_server(kind, fcgi_sse) for kind in ("nginx", "lighttpd")]
    assert check_gone(network, loop, fcgi_sse, servers, 30) > 12


@pytest.mark.soak
@pytest.mark.seconds(300)
def test_retries_of_the_example(redis, start_fcgi_sse, loop, network, start_server):
    """With the setting that both example files and README name, and the heartbeat of 15 s: within four minutes."""
    names = ("README.md", "nginx.conf.example", "lighttpd.conf.example")
    [retries] = {re.search(SETTING, read(name)).group(1) for name in names}
    network.set_retries(retries)
    fcgi_sse = start_fcgi_sse(redis, "--heartbeat=15")
    servers = [start_server(kind, fcgi_sse) for kind in ("nginx", "lighttpd")]
    print("gone after %.0f s" % check_gone(network, loop, fcgi_sse, servers, 240))


def test_haproxy(redis, start_fcgi_sse, loop, network, start_server):
    """haproxy has a setting of its own, for one port."""
    setting, seconds = re.search(r"`(tcp-ut (\d+)s)`", read("README.md")).groups()
    fcgi_sse = start_fcgi_sse(redis, "--heartbeat=1")
    server = start_server("haproxy", fcgi_sse, setting.replace(seconds, "5"))
    check_gone(network, loop, fcgi_sse, [server], 20)


def test_lifetime_is_the_bound(redis, start_fcgi_sse, loop, network, start_server):
    """Without any setting of the kernel --max-lifetime ends the processes."""
    fcgi_sse = start_fcgi_sse(redis, "--heartbeat=1", "--max-lifetime=3")
    check_gone(network, loop, fcgi_sse, [start_server("nginx", fcgi_sse)], 20)
