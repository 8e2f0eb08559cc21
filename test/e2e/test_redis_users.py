# SPDX-License-Identifier: ISC
"""The users of Redis that README names, as they stand there: with these rights
everything works, and each one of them is needed."""
import fnmatch
import hashlib
import json
import os
import re
import subprocess

import pytest
import redis as redis_py

from processes import SSE_PUBLISH_BIN, TOP, clock, free_port, history, publish_ids, wait_until

COOKIE = "0123456789abcdef"
SESSION = {"SSE_SESSION_COOKIE": "id", "HTTP_COOKIE": "id=" + COOKIE}
SESSION_KEY = "sse:session:" + hashlib.sha256(COOKIE.encode()).hexdigest()

with open(os.path.join(TOP, "README.md"), encoding="utf-8") as file:
    README = file.read()
[LINES] = re.findall(r"<!-- run: redis-users -->\n```text\n(.*?)^```$", README, re.S | re.M)
[OF_APPLICATION] = re.findall(r"records of sessions needs `(.*?)`", README)
RIGHTS = {}
for line in LINES.splitlines():
    _, name, *words = line.split()
    RIGHTS[name] = words


class Site:
    """Redis with these users, one fcgi-sse that records and one that does not."""

    def __init__(self, folder, start_redis, lines):
        self.port = free_port()
        self.redis = start_redis(port=self.port, extra=["--aclfile", folder.write("users.acl", lines)])

    def url(self, name, db=0):
        return "redis://%s:CHANGE@127.0.0.1:%d/%d" % (name, self.port, db)

    def publish(self, *argv, **more):
        return publish_ids(self.redis, *argv, env={"FCGI_SSE_REDIS": self.url("publisher")}, **more)

    def admin(self, *words):
        return self.redis.client.execute_command(*words)

    def denials(self):
        """What Redis has refused: (user, right).  (Of a script that asks first it says nothing here.)"""
        signs = {"command": "+", "key": "~", "channel": "&"}
        return [(e["username"], signs[e["reason"]] + e["object"]) for e in self.redis.client.acl_log()]


@pytest.fixture
def users(folder, start_redis, start_fcgi_sse):
    made = Site(folder, start_redis, LINES)
    made.recording = start_fcgi_sse(made.redis, "--redis=" + made.url("fcgi-sse"), "--record=all,news.*")
    # where streams share a process, that needs more
    made.streaming = start_fcgi_sse(
        made.redis, "--redis=" + made.url("streams"), "--record=none", "--streams-per-process=50")
    return made


def test_everything_works(users, loop):
    """Live, plain, recorded, resume, a session and its end, with either fcgi-sse; nothing is refused."""
    redis = users.redis
    plain = redis_py.Redis.from_url(users.url("publisher"))
    users.admin("ACL", "SETUSER", "application", "on", ">CHANGE", *OF_APPLICATION.split())
    application = redis_py.Redis.from_url(users.url("application"))
    application.set(SESSION_KEY, json.dumps({"channels": ["news.x", "all"]}), ex=100)
    for where in (users.recording, users.streaming):
        stream, session = loop.live(where, "all,news.x"), loop.live(where, params=SESSION)
        ids = users.publish("--key=one-of-%s" % where.address, "all", "one") + users.publish("--lines", "news.x", stdin=b"two\nthree\n")
        plain.publish("all", "four")
        for s in (stream, session):
            assert s.wait_data(4) == ["one", "two", "three", "four"] and s.events[3].id
        again = loop.live(where, "all,news.x", last_event_id=ids[0])
        assert again.wait_data(3) == ["two", "three", "four"] and not again.resets
        assert loop.live(where, query={"channels": "all,news.x", "last": 2}).wait_data(2) == ["three", "four"]
        assert loop.live(where, "all", last_event_id=clock(redis) + 1000000).wait_for(
            lambda s: s.resets).resets[0]["reason"] == "flushed"
    sessions = [loop.live(where, params=SESSION) for where in (users.recording, users.streaming)]
    application.delete(SESSION_KEY)
    application.publish(SESSION_KEY, "")
    for session in sessions:
        session.wait_end()
    assert users.denials() == []


def test_python(users, folder):
    """README's Python publisher, whose redis-py loads the script first."""
    [text] = re.findall(r"<!-- run: python-recorded -->\n```python\n(.*?)^```$", README, re.S | re.M)
    text = text.replace("redis://127.0.0.1:6379/0", users.url("publisher")).replace(
        "/usr/local/share/fcgi-sse", os.path.join(TOP, "lua"))
    subprocess.run(["/usr/bin/python3", folder.write("example.py", text)], check=True, stdout=subprocess.DEVNULL)
    assert len(history(users.redis, "all")) == 2 and users.denials() == []


def test_all_channels_of_another_database(folder, start_redis, start_fcgi_sse, loop):
    """What README says is different for --record=* and in database 1 is all that is different."""
    assert "For `--record=*` it is `&*`, and `+scan`. In database 1 it is `sse1:` in place" in README
    lines = LINES.replace("sse:", "sse1:").replace("&all &news.*", "&*")
    users = Site(folder, start_redis, lines.replace("\n", " +scan\n", 1))
    fcgi_sse = start_fcgi_sse(users.redis, "--redis=" + users.url("fcgi-sse", 1), recorder=False)
    streaming = start_fcgi_sse(users.redis, "--redis=" + users.url("streams", 1), "--record=none")
    database = redis_py.Redis(port=users.port, db=1)
    wait_until(lambda: database.exists("sse1:recorder"))
    streams = [loop.live(where, "any,all") for where in (fcgi_sse, streaming)]
    publish_ids(users.redis, "any", "one", env={"FCGI_SSE_REDIS": users.url("publisher", 1)})
    users.redis.publish("any", "two")
    for stream in streams:
        assert stream.wait_data(2) == ["one", "two"] and stream.events[1].id
    assert users.denials() == []


def use_streams(loop, users, where):
    """What streams ask of Redis, but for the waiting."""
    now = clock(users.redis)
    loop.open(where, "all,news.x", last_event_id=now - 1)
    loop.open(where, query={"channels": "all,news.x", "last": 2})
    loop.open(where, "all,news.y", last_event_id=now + 1000000)
    loop.open(where, params=SESSION)


def use_recorder(loop, users):
    use_streams(loop, users, users.recording)
    users.redis.client.publish("all", "plain")
    users.redis.client.publish("news.x", "plain")


def use_publisher(loop, users):
    """sse-publish, with a large event too, a client that loads the script first, and a plain PUBLISH."""
    done = subprocess.run([SSE_PUBLISH_BIN, "--lines", "all,news.x"], stderr=subprocess.PIPE,
                          input=b"one\ntwo\n" + b"x" * 70000 + b"\n",
                          stdout=subprocess.DEVNULL, env=dict(os.environ, FCGI_SSE_REDIS=users.url("publisher")))
    if done.returncode:
        users.said = done.stderr.decode()
    with redis_py.Redis.from_url(users.url("publisher")) as client:
        for ask in (lambda: client.publish("all", "x"), lambda: client.publish("news.x", "x"),
                    lambda: client.script_load("return 1")):
            try:
                ask()
            except redis_py.RedisError:
                pass


USES = {
    "fcgi-sse": use_recorder,
    "streams": lambda loop, users: use_streams(loop, users, users.streaming),
    "publisher": use_publisher,
}


def is_refused(users, name, right):
    """Redis has refused what this right allows, or a script has asked for it first."""
    refused = [what for user, what in users.denials() if user == name]
    for command, of in re.findall(r"NOPERM this user may not (\w+) (\S+)",
                                  users.said + users.recording.stderr()[users.begin:]):
        refused += "+" + command.lower(), "~" + of, "&" + of
    return any(fnmatch.fnmatchcase(what, right) for what in refused)


@pytest.mark.parametrize("name", RIGHTS)
def test_each_right_is_needed(users, loop, name):
    """Without any one of its rights Redis refuses something that the programs ask for."""
    for fcgi_sse in (users.recording, users.streaming):
        fcgi_sse.expect_log(".")
    users.redis.client.set(SESSION_KEY, json.dumps({"channels": ["news.x", "all"]}))
    users.publish("--lines", "all,news.x", stdin=b"1\n2\n3\n")
    rights = [r for r in RIGHTS[name] if r[0] in "~&+"]
    assert len(rights) > 15
    superfluous = []
    for right in rights:
        users.admin("ACL", "SETUSER", name, "reset", *[r for r in RIGHTS[name] if r != right])
        users.admin("ACL", "LOG", "RESET")
        users.said, users.begin = "", len(users.recording.stderr())
        users.redis.client.delete("sse:recorder")
        users.admin("CLIENT", "KILL", "USER", name)

        def refused():
            USES[name](loop, users)
            loop.step(0.05)
            return is_refused(users, name, right)

        try:
            wait_until(refused)
        except AssertionError:
            superfluous.append(right)
        users.admin("ACL", "SETUSER", name, "reset", *RIGHTS[name])
        loop.close_streams()
    assert not superfluous
