# SPDX-License-Identifier: ISC
"""After each response: does the record of its session say what it should?"""
import collections
import logging
import os
import secrets
import threading
import time

from django.conf import settings
from django.contrib import auth
from django.contrib.sessions.backends import signed_cookies
from django.core.signals import setting_changed
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.utils.functional import Promise

try:
    from django.core.signing import b62_decode
except ImportError:  # Django 3.2
    from django.utils.baseconv import base62
    b62_decode = base62.decode

from . import conf, names, records

log = logging.getLogger("fcgi_sse")

CHECK_S = 60  # how often a request that changes nothing asks Redis
RECENT = 10000  # sessions

# What this process knows to be in Redis: the record's JSON (None: none), until
# when on the monotonic clock (none: until when there must be none), when it was
# looked at, the login of signed cookies.
Known = collections.namedtuple("Known", "json until at login")


class _Recent:
    def __init__(self):
        self.lock = threading.Lock()
        self.of = collections.OrderedDict()

    def get(self, name):
        return self.of.get(name)

    def put(self, name, known):
        with self.lock:
            self.of[name] = known
            self.of.move_to_end(name)
            while len(self.of) > RECENT:
                self.of.popitem(last=False)

    def compare(self, name, json):
        """Redis has this, or None.  If that is something else - Redis lost it,
        or another process gave other channels - the middleware looks anew."""
        known = self.get(name)
        if known and known.json != json:
            self.forget(name)

    def forget(self, name=None):
        with self.lock:
            if name is None:
                self.of.clear()
            else:
                self.of.pop(name, None)


recent = _Recent()
os.register_at_fork(after_in_child=recent.__init__)  # the lock may be held by a thread that is not copied
setting_changed.connect(lambda **_: recent.forget(), weak=False, dispatch_uid="fcgi_sse.recent")

_warned = collections.defaultdict(set)  # by level


def _log_once(level, sentence, *args, **more):
    text, warned = sentence % args, _warned[level]
    if text not in warned and len(warned) < 1000:
        warned.add(text)
        log.log(level, "%s", text, **more)


# --- what it should be

def _user(request, again=False):
    """The session's user, or None.  Not request.user: that may be a token's, and
    loading it this late could rotate the session when the cookie is out already.
    again: whatever this request knows of the user already."""
    session = request.session
    pk, path = session.get(auth.SESSION_KEY), session.get(auth.BACKEND_SESSION_KEY)
    if pk is None or path not in settings.AUTHENTICATION_BACKENDS:
        return None
    user = None if again else getattr(request, "_cached_user", None)  # saves a query where request.user was looked at
    if user is None or user.pk is None or user._meta.pk.value_to_string(user) != pk:
        user = auth.load_backend(path).get_user(auth.get_user_model()._meta.pk.to_python(pk))
        if hasattr(user, "get_session_auth_hash"):
            # the second: of SECRET_KEY_FALLBACKS, since Django 4.1
            hashes = [user.get_session_auth_hash(), *getattr(user, "get_session_auth_fallback_hash", list)()]
            mine = session.get(auth.HASH_SESSION_KEY) or ""
            if not any([constant_time_compare(mine, other) for other in hashes]):
                return None
    return user


def _channels(request):
    prefix = conf.prefix()
    wanted = conf.channels_callable()(request)
    if isinstance(wanted, (str, bytes, Promise)):
        raise TypeError("'%s' is no list of channels" % wanted)
    channels = []
    for name in sorted(wanted) if isinstance(wanted, (set, frozenset)) else wanted:
        name = names.text(name)
        error = names.channel_error(name, prefix)
        if error:
            _log_once(logging.WARNING, "'%s' is no channel for its user: the name %s", name, error)
        elif name not in channels:
            channels.append(name)
    return channels


def wanted_record(request, before=None):
    """(primary key, record) of the session's user.  (None, None): there is none;
    (primary key, None): no channels, at the moment.
    before: the record of this request's first look; this one asks the database."""
    user = _user(request, again=before is not None)
    if user is None:
        return None, None
    if before is not None:  # with what middleware has put there, but none of what Django remembers
        for name, value in vars(getattr(request, "_cached_user", user)).items():
            if not name.endswith("_cache"):
                vars(user).setdefault(name, value)
    has_user, of_page = "user" in vars(request), vars(request).get("user")
    request.user = user
    try:
        channels = _channels(request)
    except Exception as err:
        channels = before["channels"] if before is not None else []
        if before is None:  # what the user may read is not known: nothing
            _log_once(logging.ERROR, "FCGI_SSE_CHANNELS failed; while it does, sessions have no channels: %r", err,
                      exc_info=True)
    finally:
        # middleware above may look at it, and at whether there is one
        if has_user:
            request.user = of_page
        else:
            del request.user
    return user.pk, {"user": user.get_username(), "channels": channels} if channels else None


def _seconds_left(session, cookie):
    """Of a session that this response has not saved."""
    model = getattr(session, "model", None)
    if model is not None:  # db, cached_db
        date = model.objects.filter(session_key=cookie).values_list("expire_date", flat=True).first()
        return 0 if date is None else (date - timezone.now()).total_seconds()
    if isinstance(session, signed_cookies.SessionStore):
        age = min(session.get_expiry_age(), settings.SESSION_COOKIE_AGE)
        return b62_decode(cookie.rsplit(":", 2)[1]) + age - time.time()
    return session.get_expiry_age()  # at most: cache and file do not tell


# --- what it is

def _go_on(old, record):
    """The cookie of a login changed its value: that login, if it was the same user's."""
    before = records.read(old)
    return before.get("login") if before and before.get("user") == record["user"] else None


def _cookies(request, response):
    """(the session cookie that came, the one that the browser has from now on, was it sent?)"""
    name = settings.SESSION_COOKIE_NAME
    old, sent = request.COOKIES.get(name) or None, response.cookies.get(name)
    if sent is None:
        return old, old, False
    is_deleted = sent["max-age"] != "" and int(sent["max-age"]) <= 0
    return old, None if is_deleted else sent.value or None, True


def _end_old(request, old):
    """The browser has another cookie now, or none: what the one that came led to is over."""
    name = records.digest(old)
    known, user = recent.get(name), getattr(request, "_cached_user", None)
    recent.forget(name)
    if request.session.modified or isinstance(request.session, signed_cookies.SessionStore):
        records.end(name, bool(known and known.json or user and user.is_authenticated))
    else:  # nothing was flushed: Django knows no such session, and anybody can make up a cookie
        records.end_if_there(name)


def follow(request, response, started):
    """started: when the request came, on the monotonic clock."""
    try:
        _follow(request, response, started)
    except Exception:  # the database, say: a page that works without one is not taken away
        log.exception("a session could not be read; its record stays as it is")


def _follow(request, response, started):
    session = getattr(request, "session", None)
    if session is None:
        return
    old, new, was_sent = _cookies(request, response)
    if not was_sent and session.modified:
        # it could not be saved (a page that failed); what it ended is over
        if old and not isinstance(session, signed_cookies.SessionStore) and session.session_key != old:
            _end_old(request, old)
        return
    name = records.digest(new) if new else None
    known, now = recent.get(name), time.monotonic()
    is_due = known is None or now - known.at >= CHECK_S
    if old == new and (new is None or not (is_due or was_sent or session.accessed)):
        return
    try:
        pk, record = wanted_record(request) if new else (None, None)
    except Exception:
        if old != new and old:  # whatever is in its place, this one is over
            _end_old(request, old)
        raise
    is_signed = isinstance(session, signed_cookies.SessionStore)
    older = None
    if old != new and old:
        login = _go_on(records.digest(old), record) if is_signed and record else None
        if login:
            recent.forget(records.digest(old))
            older, record["login"] = records.digest(old), login
        else:
            _end_old(request, old)
    if new is None:
        return
    if record is None:
        if (is_due or known.json is not None) and records.end_if_there(name, is_over=pk is None):
            recent.put(name, Known(None, 0, now, None))
        return
    if old == new and known and known.json is None and now < known.until:
        return  # it has ended
    if is_signed and "login" not in record:
        record["login"] = known.login if known and old == new else None
        if record["login"] is None:
            there = old == new and records.read(name) or {}
            record["login"] = there.get("login") or secrets.token_hex(8)
            if there == record:  # it says all that a write would
                recent.put(name, Known(records.dumps(record), now, now, record["login"]))
                return
    if _write(session, name, new, pk, record, older, known, now, is_due, was_sent, old != new, started) == "WRITTEN":
        # Who was deactivated, or lost a right, after this request's look at the user
        # had no record yet that could be found: so one more look, after the record.
        pk, anew = wanted_record(request, before=record)
        if anew is None or anew["user"] != record["user"] or {*anew["channels"]} != {*record["channels"]}:
            recent.forget(name)
            records.end(name, is_over=pk is None)


def _write(session, name, cookie, pk, record, older, known, now, is_due, was_sent, is_new, started):
    """What records.write() said, or None."""
    text, seconds = records.dumps(record), session.get_expiry_age() if was_sent else None
    if known and not is_due and known.json == text and (
            not was_sent or -1 < now + seconds - known.until < min(CHECK_S, seconds / 10)):
        return None
    if not is_new and now - started > records.OVER_S / 2:
        return None  # the session may have ended meanwhile; a later request looks
    status, over_s = records.write(name, record, user=pk, seconds=seconds, force=is_new, older=older)
    if status == "MISSING":
        seconds = _seconds_left(session, cookie)
        if seconds > 0:
            status, over_s = records.write(name, record, user=pk, seconds=seconds, older=older)
    if status == "OVER":
        recent.put(name, Known(None, now + over_s, now, None))
    if status in ("WRITTEN", "SAME"):
        until = known.until if seconds is None and known else now + (seconds or 0)
        recent.put(name, Known(text, until, now, record.get("login")))
    return status
