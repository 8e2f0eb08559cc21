# SPDX-License-Identifier: ISC
"""The settings, read when they are needed."""
from urllib.parse import quote, urlsplit, parse_qs

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

DEFAULT_REDIS = "redis://127.0.0.1:6379/0"  # fcgi-sse's, too


def redis_address():
    """(URL without password, password or None); a URL of FCGI_SSE_REDIS as it stands."""
    url = getattr(settings, "FCGI_SSE_REDIS", None)
    if url:
        return url, None
    old = getattr(settings, "REDIS_SSEQUEUE_CONNECTION_SETTINGS", None)  # django_sse's
    if not old:
        return DEFAULT_REDIS, None
    location, db = str(old.get("location", "localhost:6379")), int(old.get("db", 0))
    if location.startswith("unix:"):
        path = "/" + location[len("unix:"):].lstrip("/")
        return "unix://%s?db=%d" % (quote(path), db), old.get("password")
    if location.startswith("/"):
        return "unix://%s?db=%d" % (quote(location), db), old.get("password")
    return "redis://%s/%d" % (location, db), old.get("password")


def redis_db():
    url = urlsplit(redis_address()[0])
    db = parse_qs(url.query).get("db", [url.path.strip("/") if url.scheme != "unix" else ""])[0]
    try:
        return int(db or 0)
    except ValueError:
        raise ImproperlyConfigured("FCGI_SSE_REDIS: '%s' is not the number of a database" % db)


def prefix():
    """What all keys begin with: pub/sub knows no databases, so another one has another prefix."""
    given = getattr(settings, "FCGI_SSE_PREFIX", None)
    return given or ("sse%d:" % redis_db() if redis_db() else "sse:")


def default_channel():
    return getattr(settings, "REDIS_SSEQUEUE_CHANEL_NAME", "sse")  # django_sse's spelling


def event_bytes():
    return getattr(settings, "FCGI_SSE_EVENT_BYTES", 1 << 20)  # fcgi-sse --event-bytes


def stream_url():
    return getattr(settings, "FCGI_SSE_URL", "/sse/")


def channels_callable():
    """FCGI_SSE_CHANNELS, request -> list of channels; tornado-sse's rule if it is not set."""
    given = getattr(settings, "FCGI_SSE_CHANNELS", None)
    if given is None:
        return lambda request: [request.user.get_username(), "all"]
    return import_string(given) if isinstance(given, str) else given
