# SPDX-License-Identifier: ISC
"""What Redis refuses is refused whole: the event is in the histories and was heard, or nothing has happened at all."""
import re
import shutil
import threading

import pytest
import redis as redis_client

from processes import TOP, free_port, history, publish_ids, sse_publish, wait_until

with open(TOP + "/lua/publish.lua") as f:
    SCRIPT = f.read()
COMMANDS = sorted({name.lower() for name in re.findall(r"redis\.call\('(\w+)'", SCRIPT)})
SERVER = ["clock", "epoch", "limits", "recorder"]


def keys_of(channels, more=()):
    return ["sse:" + name for name in SERVER + [kind + c for c in channels for kind in ("history:", "meta:")] + list(more)]


class Store:
    """Everything that is in Redis, and all that is heard."""

    def __init__(self, redis):
        self.redis = redis
        self.heard = redis.client.pubsub()
        self.heard.psubscribe("*")
        self.messages()

    def content(self):
        client, found = self.redis.client, {}
        for key in client.keys("*"):
            kind = client.type(key)
            found[key] = {b"string": client.get, b"hash": client.hgetall, b"set": client.smembers,
                          b"list": lambda k: client.lrange(k, 0, -1),
                          b"zset": lambda k: client.zrange(k, 0, -1, withscores=True)}[kind](key)
        return found

    def messages(self):
        """What was published since the last call."""
        self.redis.client.publish("end", "end")
        found = []
        while True:
            message = self.heard.get_message(timeout=5)
            if message["type"] == "pmessage" and message["channel"] == b"end":
                return found
            if message["type"] == "pmessage":
                found.append((message["channel"].decode(), message["data"]))


@pytest.fixture
def store(start_redis):
    redis = start_redis(port=free_port())
    made = Store(redis)
    made.url = "redis://limited:word@127.0.0.1:%d" % redis.port
    made.user = redis_client.Redis(port=redis.port, username="limited", password="word")
    yield made
    made.user.close()
    made.heard.close()


def allow(store, *rules):
    """A user who may do everything, but for these rules."""
    store.redis.client.execute_command("ACL", "SETUSER", "limited", "reset", "on", ">word", "+@all", *rules)
    store.user.connection_pool.disconnect()


def fill(store, channels, is_empty):
    """A store in which the next event of each channel makes others go, by number and by age, and a channel forgotten."""
    store.redis.client.flushall()
    store.redis.client.hset("sse:recorder", mapping={"token": "mine", "seq": 4})
    if is_empty:
        return
    store.redis.client.hset("sse:limits", mapping={"count": 5, "age": 60})
    for channel in channels:
        publish_ids(store.redis, channel, "x")
        record = store.redis.client.lindex("sse:history:" + channel, 0)
        store.redis.client.lpush("sse:history:" + channel, *[re.sub(rb"\d{16}", b"%016d" % n, record) for n in range(9)])
    store.redis.client.zadd("sse:last", {"sse:history:gone": 1})
    store.messages()


def by_program(store, channels):
    done = sse_publish(None, ",".join(channels), "x", env={"FCGI_SSE_REDIS": store.url}, check=False)
    assert done.returncode in (0, 69, 75) and bool(done.stderr) == bool(done.returncode), done
    if done.returncode:
        assert b"not published: " in done.stderr and done.stdout == b""
    return [int(i) for i in done.stdout.split()]


def by_program_once(store, channels):
    done = sse_publish(None, "--key=k", ",".join(channels), "x", env={"FCGI_SSE_REDIS": store.url}, check=False)
    assert done.returncode in (0, 69, 75), done
    return [int(i) for i in done.stdout.split()]


def by_lines(store, channels):
    done = sse_publish(None, "--lines", ",".join(channels), stdin=b"x\n", env={"FCGI_SSE_REDIS": store.url}, check=False)
    assert done.returncode in (0, 69, 75), done
    return [int(i) for i in done.stdout.split()]


def by_eval(store, channels, origin=("p", "", ""), more=()):
    keys = keys_of(channels, more)
    try:
        return [int(i) for i in store.user.eval(SCRIPT, len(keys), *keys, "sse:event:", *origin, "data: x\n\n", *channels)]
    except redis_client.exceptions.RedisError:
        return []


def by_recorder(store, channels):
    return by_eval(store, channels, ("r", "mine", "5"))


def by_eval_once(store, channels):
    return by_eval(store, channels, ("p", "", "7"), ["key:k"])


WAYS = [by_program, by_program_once, by_lines, by_eval, by_eval_once, by_recorder]


def check_whole(store, way, channels):
    """Publish: is it all there, or nothing?  Returns whether it was published."""
    before = store.content()
    ids = way(store, channels)
    messages = store.messages()
    after = store.content()
    if not ids:
        assert (after, messages) == (before, [])
        return False
    assert [c for c, _ in messages] == ["sse:event:" + c for c in channels]
    for channel, id_, (_, message) in zip(channels, ids, messages):
        newest = history(store.redis, channel)[-1]
        assert newest[0] == id_ and message.startswith(b"%d " % id_)
        assert after[b"sse:meta:" + channel.encode()][b"last"] == b"%d" % id_
        assert 0 < store.redis.client.ttl("sse:history:" + channel) and 0 < store.redis.client.ttl("sse:meta:" + channel)
    assert after[b"sse:clock"] == b"%d" % ids[-1]
    assert after[b"sse:epoch"] in (before.get(b"sse:epoch"), b"%d" % ids[0])
    if way is by_recorder:
        assert after[b"sse:recorder"][b"seq"] == b"5"
    return True


@pytest.mark.seconds(240)
@pytest.mark.parametrize("way", WAYS, ids=lambda w: w.__name__)
@pytest.mark.parametrize("channels", [["a"], ["a", "b"]], ids=["one", "two"])
@pytest.mark.parametrize("is_empty", [True, False], ids=["empty", "full"])
def test_each_right_taken_away(store, way, channels, is_empty):
    """Each command, key and channel taken away from the user who publishes, one at a time."""
    everything = ["~" + key for key in keys_of(channels, ["last"])] + ["~sse:key:*"]
    heard = ["&sse:event:" + c for c in channels]
    refused = 0

    def check(*rules):
        nonlocal refused
        fill(store, channels, is_empty)
        allow(store, *rules)
        refused += not check_whole(store, way, channels)

    check(*everything, *heard)
    assert refused == 0
    for command in COMMANDS + ["evalsha", "eval"]:
        check(*everything, *heard, "-" + command)
    for i, key in enumerate(everything):
        others = everything[:i] + everything[i + 1:]
        check(*others, *heard)
        check(*others, "%R" + key, *heard)
        check(*others, "%W" + key, *heard)
        for command in ("set", "rpush", "lpop", "lindex", "hset", "expire", "zadd", "zrem"):  # on this key alone
            check(*others, "-" + command, *heard, "(+%s %s)" % (command, " ".join(others)),
                  "(+@all -%s %s)" % (command, key))
    for i in range(len(heard)):
        check(*everything, *heard[:i], *heard[i + 1:])
    assert refused > len(everything) + len(heard)


def is_busy(redis):
    try:
        return not redis.client.ping()
    except redis_client.exceptions.ResponseError as err:
        return "BUSY" in str(err)


@pytest.fixture
def hang(stack):
    """A script that hangs, until the function returned is called."""
    def start(redis):
        redis.client.config_set("busy-reply-threshold", "10")
        client = redis_client.Redis(unix_socket_path=redis.path)

        def run():
            with pytest.raises(redis_client.exceptions.ResponseError):
                client.eval("while true do end", 0)

        def stop():
            if thread.is_alive():
                redis.client.script_kill()
            thread.join()
            client.close()

        thread = threading.Thread(target=run)
        thread.start()
        stack.callback(stop)
        wait_until(lambda: is_busy(redis))
        return stop
    return start


def fail_to_save(redis):
    redis.client.config_set("save", "3600 1000000")
    shutil.rmtree(redis.data)
    redis.client.bgsave()
    wait_until(lambda: redis.client.info("persistence")["rdb_last_bgsave_status"] == "err")


REASONS = {
    "OOM": lambda redis: redis.client.config_set("maxmemory", "1"),
    "NOREPLICAS": lambda redis: redis.client.config_set("min-replicas-to-write", "1"),
    "READONLY": lambda redis: redis.client.execute_command("REPLICAOF", "127.0.0.1", "1"),
    "MISCONF": fail_to_save,
    "BUSY": None,
}


@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.parametrize("is_empty", [True, False], ids=["empty", "full"])
def test_writes_refused(store, hang, reason, is_empty):
    """Redis that takes no writes for now: nothing has happened, and sse-publish says that, and why."""
    fill(store, ["a", "b"], is_empty)
    before = store.content()
    go_on = hang(store.redis) if reason == "BUSY" else REASONS[reason](store.redis)
    for argv, stdin in [(["a,b", "x"], None), (["--key=k", "a,b", "x"], None), (["--lines", "--wait=1", "a,b"], b"x\n")]:
        done = sse_publish(store.redis, *argv, stdin=stdin, check=False)
        assert done.returncode == 75 and done.stdout == b"" and reason in done.stderr.decode(), done
        assert re.search(b"not published|0 lines were published, and none after them", done.stderr)
    if reason == "BUSY":
        go_on()
    assert (store.content(), store.messages()) == (before, [])


@pytest.mark.parametrize("key", keys_of(["a", "b"], ["last", "key:k"]))
@pytest.mark.parametrize("is_empty", [True, False], ids=["empty", "full"])
def test_key_of_another_type(store, key, is_empty):
    """A key of ours that is of another type: all is published, or nothing."""
    allow(store, "~*", "&*")
    for way in WAYS:
        fill(store, ["a", "b"], is_empty)
        store.redis.client.delete(key)
        store.redis.client.sadd(key, "x")
        assert check_whole(store, way, ["a", "b"]) == (
            key == "sse:epoch" or key == "sse:recorder" and way is not by_recorder or
            key == "sse:key:k" and way not in (by_program_once, by_eval_once))
