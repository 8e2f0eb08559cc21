# SPDX-License-Identifier: ISC
"""What manage.py check says of the settings."""
import re

from django.conf import settings
from django.core.checks import Error, Warning
from django.core.exceptions import ImproperlyConfigured

from . import conf
from .redis_client import client

OURS = "fcgi_sse.middleware.SSESessionMiddleware"
SESSION = "django.contrib.sessions.middleware.SessionMiddleware"

# base/redis_address.c of fcgi-sse: redis-py alone takes more (?db=1 after a host, rediss://)
REDIS_URL = re.compile(r"redis://(?:[^/?#@]*:[^/?#@]*@)?[^/?#@]*(?:/\d*)?|unix:///[^?#]*(?:\?db=\d+)?")
# base/config.c of fcgi-sse; 64 bytes at most
PREFIX = re.compile(r"[^\x00-\x20\x7f*?\[\],\\\ud800-\udfff]+")


def check_settings(app_configs, **_):
    found = []
    middleware = list(settings.MIDDLEWARE)
    if OURS not in middleware:
        found.append(Warning("MIDDLEWARE lacks '%s': no session gets channels" % OURS,
                             hint="Put it above SessionMiddleware.", id="fcgi_sse.W001"))
    elif SESSION in middleware and middleware.index(OURS) > middleware.index(SESSION):
        found.append(Error("In MIDDLEWARE, '%s' stands below SessionMiddleware: it does not see the cookie that is sent"
                           % OURS, hint="Put it above SessionMiddleware.", id="fcgi_sse.E001"))
    try:
        if not callable(conf.channels_callable()):
            raise ImportError("it is not callable")
    except ImportError as err:
        found.append(Error("FCGI_SSE_CHANNELS: %s" % err, hint="A function, request -> list of channels, or its "
                           "dotted path.", id="fcgi_sse.E002"))
    try:
        conf.prefix()
        client()
        if not REDIS_URL.fullmatch(conf.redis_address()[0]):  # it may hold a password: not repeated
            raise ValueError("fcgi-sse does not take it in this form")
    except (ValueError, ImproperlyConfigured) as err:
        found.append(Error("the address of Redis: %s" % err, hint="FCGI_SSE_REDIS: redis://[user:password@]127.0.0.1:6379/1 or "
                           "unix:///run/redis/redis.sock?db=1", id="fcgi_sse.E003"))
    else:
        prefix = conf.prefix()
        if not isinstance(prefix, str) or not PREFIX.fullmatch(prefix) or len(prefix.encode()) > 64:
            found.append(Error("FCGI_SSE_PREFIX: fcgi-sse does not take %r" % (prefix,),
                               hint="1 to 64 bytes, no blank and none of * ? [ ] , \\", id="fcgi_sse.E004"))
    return found
