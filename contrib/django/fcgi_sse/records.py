# SPDX-License-Identifier: ISC
"""Records of sessions in Redis: which channels the streams of a session may read.

    sse:session:DIGEST   {"user": …, "channels": […]}, with a TTL.  DIGEST is the
                         SHA-256 of the session cookie's value.  Who changes it
                         publishes on the channel of the same name afterwards.
    sse:over:DIGEST      it ended a moment ago: a request that began before must
                         not write it again
    sse:user:PK          sorted set of the digests of a user, by their expiry
    sse:login:ID         the same for one login with signed cookies, whose value
                         changes at each save; ID stands in the records
    sse:older:DIGEST     the cookie has had another value for a moment: a request
                         that came with this one does not know better
"""
import functools
import hashlib
import json

from . import conf
from .redis_client import client
from .redis_link import link

OVER_S = 60
# An older value of a signed cookie: the streams that were opened with it go on.
# They end within fcgi-sse's --max-lifetime and come back with the newer one.
OLDER_S = 7200

PAYLOAD = "0 0 p\n"  # recorders leave a message alone that begins like a record

# KEYS  1 record  2 mark that it is over  3 an older record that is left to
#       expire (or the record itself: none)  4 the user's set
#       5 the login's set, 6 the record's and 7 the older's mark that there is a
#       newer one; none of the three without a login
# ARGV  1 JSON  2 its milliseconds, or "": those that it has
#       3 digest  4 "1": whatever the mark says
#       5 milliseconds of the older, 6 its digest  7 PAYLOAD  8 of its mark
WRITE = """
if ARGV[4] == '1' then
    redis.call('DEL', KEYS[2])
elseif redis.call('EXISTS', KEYS[2]) == 1 then
    return {'OVER', redis.call('PTTL', KEYS[2])}
end
local old, ms = redis.call('GET', KEYS[1]), tonumber(ARGV[2])
if not ms then
    ms = redis.call('PTTL', KEYS[1])
    if not old or ms < 0 then
        return {'MISSING'}
    elseif old == ARGV[1] or KEYS[6] and redis.call('EXISTS', KEYS[6]) == 1 then
        return {'SAME'}
    end
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function text(n)
    return string.format('%.0f', n)
end
-- the sets first: if one is none, this ends here, without a record that nobody finds
for i = 4, math.min(#KEYS, 5) do
    redis.call('ZADD', KEYS[i], text(now + ms), ARGV[3])
    redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', text(now))
    if redis.call('PTTL', KEYS[i]) < ms then
        redis.call('PEXPIRE', KEYS[i], text(ms))
    end
end
if KEYS[6] then
    redis.call('DEL', KEYS[6])
end
if KEYS[3] ~= KEYS[1] then
    redis.call('SET', KEYS[7], '', 'PX', ARGV[8])
    if redis.call('PTTL', KEYS[3]) > tonumber(ARGV[5]) then
        redis.call('PEXPIRE', KEYS[3], ARGV[5])
        for i = 4, 5 do
            redis.call('ZADD', KEYS[i], 'XX', text(now + ARGV[5]), ARGV[6])
        end
    end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', text(ms))
if old ~= ARGV[1] then
    redis.call('PUBLISH', KEYS[1], ARGV[7])
end
-- the login's other records are those of the same cookie, and change with it
if KEYS[5] and (old or redis.call('GET', KEYS[3])) ~= ARGV[1] then
    local session = string.sub(KEYS[1], 1, -1 - #ARGV[3])
    for _, member in ipairs(redis.call('ZRANGE', KEYS[5], 0, -1)) do
        local key = session .. member
        local left = redis.call('PTTL', key)
        if left > 0 and redis.call('GET', key) ~= ARGV[1] then
            redis.call('SET', key, ARGV[1], 'PX', text(left))
            redis.call('PUBLISH', key, ARGV[7])
        end
    end
end
return {'WRITTEN'}
"""


@functools.lru_cache(maxsize=None)
def _write_script():
    return client().register_script(WRITE)


def digest(cookie):
    return hashlib.sha256(cookie.encode("utf-8", "surrogateescape")).hexdigest()


def key(kind, name):
    return "%s%s:%s" % (conf.prefix(), kind, name)


# --- writing

def write(name, record, *, user, seconds=None, force=False, older=None):
    """Write the record (a dict) of a digest.

    user: primary key.  seconds: until it expires; None: it keeps its expiry.
    force: also if it was ended a moment ago.  older: digest of the cookie's
    former value, if that goes on.
    Returns ("WRITTEN", 0), ("SAME", 0), ("OVER", for how many seconds yet),
    ("MISSING", 0): there is none whose expiry could be kept, or (None, 0): Redis
    is away, or refuses.
    """
    keys = [key("session", name), key("over", name), key("session", older or name), key("user", user)]
    if "login" in record:
        keys += [key("login", record["login"]), key("older", name), key("older", older or name)]
    args = [dumps(record), "" if seconds is None else int(seconds * 1000), name, "1" if force else "",
            OLDER_S * 1000, older or name, PAYLOAD, OVER_S * 1000]
    done, answer = link.call(lambda: _write_script()(keys=keys, args=args, client=client()))
    if not done:
        return None, 0
    return answer[0].decode(), answer[1] / 1000 if len(answer) > 1 else 0


def dumps(record):
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"))


def read(name):
    """The record of a digest as a dict, or None."""
    return _loads(link.call(lambda: client().get(key("session", name)))[1])


def _loads(text):
    try:
        record = json.loads(text)
    except (TypeError, ValueError):
        return None
    return record if isinstance(record, dict) else None


# --- ending

def _end(names, *, is_over=True):
    if not names:
        return
    if is_over:
        # Redis that is full refuses to write, and everything within MULTI;
        # deleting alone it does: so the marks apart, and no transaction
        marks = client().pipeline(transaction=False)
        for name in names:
            marks.set(key("over", name), "", ex=OVER_S)
        marks.execute(raise_on_error=False)
    pipe = client().pipeline(transaction=False)
    for name in names:
        pipe.delete(key("session", name))
    for name in names:
        pipe.publish(key("session", name), PAYLOAD)
    pipe.execute()


def _members(set_):
    return [name.decode() for name in client().zrange(set_, 0, -1)]


def _end_with_its_login(name, is_over):
    record = _loads(client().get(key("session", name))) or {}
    others = _members(key("login", record["login"])) if "login" in record else []
    _end(list(dict.fromkeys([name, *others])), is_over=is_over)


def _end_of_user(pk, is_over):
    _end(_members(key("user", pk)), is_over=is_over)


def end(name, is_sure=True, *, is_over=True):
    """The streams of the session of this digest end at once, on every host.
    is_sure: somebody was logged in.  is_over: the session is over, too; if it
    is not, its next request may write the record again."""
    link.owe(lambda: _end_with_its_login(name, is_over), is_sure)


def end_if_there(name, *, is_over=True):
    """The same for one that probably has no record.  Returns False while Redis is away."""
    done, found = link.call(lambda: client().exists(key("session", name)))
    if found:
        end(name, is_over=is_over)
    return done


def end_session(session_key):
    """End the streams of a session that was deleted behind its owner's back
    (Session.objects.filter(…).delete())."""
    end(digest(session_key))


def end_streams(user, *, is_over=True):
    """End all streams of a user (or primary key), on every host.  The sessions
    are not touched: for a minute no stream opens in them, then the next
    request gives those that are still good their channels back."""
    pk = getattr(user, "pk", user)
    link.owe(lambda: _end_of_user(pk, is_over))


def position(name):
    """(the newest event's id, the JSON of this digest's record or None), or (None, None) while Redis is away
    or its clock cannot be read."""
    keys = [conf.prefix() + "clock"] + ([key("session", name)] if name else [])
    done, found = link.call(lambda: client().mget(keys))
    try:
        now = int(found[0] or 0) if done else None
    except ValueError:  # somebody else's, under this name
        now = None
    if now is None:
        return None, None
    return now, found[1].decode("utf-8", "replace") if name and found[1] else None


def current_id():
    """The id of the newest event, 0 if there is none, None while Redis is away
    or has something else in its place: where a page stands that reads its data
    from now on."""
    return position(None)[0]
