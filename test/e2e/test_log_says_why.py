# SPDX-License-Identifier: ISC
"""The log has Redis' own sentence where there is one, and each cause once."""
import os
import re
import shutil
import socket
import subprocess
import threading

import pytest
import redis as redis_client

from processes import SSE_PUBLISH_BIN, sse_publish, wait_until

FULL = "ERR max number of clients reached"
DENIED = "DENIED Redis is running in protected mode because protected mode is enabled and no password is set"


@pytest.mark.own_process  # a responder that has served may have the one connection that Redis allows
def test_no_clients_any_more(redis, start_fcgi_sse, loop, stack):
    """Redis has as many clients as it takes: stream, recorder and sse-publish say so in its words; an open stream
    waits and goes on."""
    fcgi_sse = start_fcgi_sse(redis, "--heartbeat=1")
    stream = loop.live(fcgi_sse, "all")
    redis.client.config_set("maxclients", 1)
    # whoever is there stays: cut all, and none comes again
    for type_ in ("normal", "pubsub"):
        redis.client.execute_command("CLIENT", "KILL", "TYPE", type_, "SKIPME", "yes")
    fcgi_sse.expect_log(r"closed the connection|subscription|publishing", FULL)
    fcgi_sse.wait_log(r"recorder: error: Redis at .*: %s; plain messages are not recorded; still trying" % FULL)
    answer = loop.fetch(fcgi_sse, "all")
    assert 5000 <= answer.retry_ms <= 15000
    fcgi_sse.wait_log(r"\d\]: error: Redis at .*: %s; the client is told to come back" % FULL)
    for _ in range(20):
        done = sse_publish(redis, "all", "x", check=False)
        assert done.returncode != 0 and FULL.encode() in done.stderr, done
    redis.client.config_set("maxclients", 100)
    fcgi_sse.wait_log(r"there is a subscription again")
    redis.publish("all", "plain")
    assert stream.wait_data(1) == ["plain"]


class Denying:
    """Says no to each connection and closes it, as Redis in protected mode does."""

    def __init__(self, path):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        os.chmod(path, 0o777)
        self.listener.listen(64)
        threading.Thread(target=self._refuse, daemon=True).start()

    def _refuse(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            client.sendall(b"-" + DENIED.encode() + b".\r\n")
            client.close()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def test_denied_before_the_first_word(start_fcgi_sse, folder, loop, stack):
    """Redis says why and closes before anything could be written: the sentence is read all the same."""
    server = Denying(folder / "denying.sock")
    stack.callback(server.close)
    url = "unix://" + folder / "denying.sock"
    fcgi_sse = start_fcgi_sse(None, "--redis=" + url).expect_log(DENIED)
    fcgi_sse.wait_log(r"recorder: error: Redis at .*: %s.*still trying" % DENIED)
    for _ in range(20):
        assert 5000 <= loop.fetch(fcgi_sse, "all").retry_ms <= 15000
        done = sse_publish(None, "--redis=" + url, "all", "x", check=False)
        assert done.returncode != 0 and DENIED.encode() in done.stderr, done
    assert len(re.findall(r"\d\]: error: Redis at .*: %s.*come back" % DENIED, fcgi_sse.stderr())) == 20
    assert fcgi_sse.stderr().count("recorder: error: ") == 1


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("ip"), reason="only root can have a network of its own")
def test_protected_mode(folder):
    """The same with a real Redis that is reached from elsewhere, without a password."""
    done = subprocess.run(["unshare", "-n", "sh", "-c", """
        ip link set lo up && ip addr add 192.0.2.1/32 dev lo || exit 99
        redis-server --bind 192.0.2.1 --port 6379 --save '' --logfile '' --dir . >redis.log &
        until grep -q 'Ready to accept' redis.log; do sleep 0.05; done
        for i in 1 2 3 4 5 6 7 8 9 10; do "$0" --redis=redis://192.0.2.1:6379 all x; done
        kill $!
        wait""", SSE_PUBLISH_BIN], cwd=folder.path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    assert done.stdout.count(DENIED.encode()) == 10 == done.stdout.count(b"not published"), done


@pytest.fixture
def admin(redis):
    """A client whose rights stay."""
    redis.client.execute_command("ACL", "SETUSER", "admin", "on", "nopass", "~*", "&*", "+@all")
    client = redis_client.Redis(unix_socket_path=redis.path, username="admin", password="any")
    yield client
    client.close()


def complaints(fcgi_sse):
    return re.findall(r"recorder: error: (.*)", fcgi_sse.stderr())


def give_back(admin, fcgi_sse, count):
    admin.execute_command("ACL", "SETUSER", "default", "~*", "&*", "+@all")
    wait_until(lambda: admin.llen("sse:history:all") == count, what=lambda: "all messages:\n" + fcgi_sse.stderr())


@pytest.mark.parametrize("right", ["-eval", "-hset", "-rpush", "-time", "-publish", "resetkeys", "-@all"])
def test_a_right_is_taken_away(redis, admin, start_fcgi_sse, loop, right):
    """A hundred messages that may not be recorded are one line in the log, and one when they may again."""
    fcgi_sse = start_fcgi_sse(redis, "--record=all").expect_log(r"recorder")
    stream = loop.live(fcgi_sse, "all")
    admin.publish("all", "before")
    stream.wait_data(1)
    admin.execute_command("ACL", "SETUSER", "default", right)
    for i in range(100):
        admin.publish("all", "%d" % i)
        loop.step(0.02)
    give_back(admin, fcgi_sse, 101)
    assert len(complaints(fcgi_sse)) == 1, fcgi_sse.stderr()
    assert re.search(r"Redis does not record just now \(.*(NOPERM|can't run this command)", complaints(fcgi_sse)[0])
    assert fcgi_sse.stderr().count("info: Redis records again") == 1
    assert stream.wait_data(101) == ["before"] + ["%d" % i for i in range(100)]


def test_another_cause(redis, admin, start_fcgi_sse):
    """A cause that takes another's place is said, each once."""
    fcgi_sse = start_fcgi_sse(redis, "--record=all").expect_log(r"recorder")
    admin.execute_command("ACL", "SETUSER", "default", "-rpush")
    for i in range(10):
        admin.publish("all", "%d" % i)
    fcgi_sse.wait_log(r"does not record just now \(NOPERM.* RPUSH")
    admin.execute_command("ACL", "SETUSER", "default", "-eval")
    for i in range(10):
        admin.publish("all", "%d" % i)
    fcgi_sse.wait_log(r"does not record just now \(NOPERM.*'eval'")
    give_back(admin, fcgi_sse, 20)
    assert len(complaints(fcgi_sse)) == 2, fcgi_sse.stderr()


def test_away_for_another_reason(start_redis, start_fcgi_sse):
    """Redis that went away, and then is there and refuses, is two causes."""
    redis = start_redis()
    fcgi_sse = start_fcgi_sse(redis, "--record=all").expect_log(r"recorder")
    redis.stop()
    fcgi_sse.wait_log(r"error: Redis at .*: (Connection refused|No such file or directory); plain messages")
    redis.extra += ["--requirepass", "secret"]
    redis.password = "secret"
    redis.start()
    fcgi_sse.wait_log(r"error: Redis at .*: NOAUTH Authentication required.*; plain messages")
    said = [c for c in complaints(fcgi_sse) if "plain messages are not recorded; still" in c]
    assert len(said) == len(set(said)) >= 2, fcgi_sse.stderr()


def test_a_message_that_no_try_helps(redis, admin, start_fcgi_sse, loop):
    """Where somebody else's key stands in the place of a history, messages of that channel are dropped: said once, also
    while those of others come between."""
    fcgi_sse = start_fcgi_sse(redis, "--record=*").expect_log(r"recorder|\*")
    admin.set("sse:history:a", "mine")
    admin.set("sse:history:b", "mine")
    for i in range(30):
        for channel in ("a", "all", "b"):
            admin.publish(channel, "%d" % i)
    wait_until(lambda: admin.llen("sse:history:all") == 30)
    assert len(complaints(fcgi_sse)) == 1, fcgi_sse.stderr()
    assert "a message on 'a' could not be recorded: WRONGTYPE" in complaints(fcgi_sse)[0]
    admin.delete("sse:history:a")
    admin.publish("a", "good")
    fcgi_sse.wait_log(r"info: messages on 'a' are recorded again")
