# SPDX-License-Identifier: ISC
"""What manage.py check says of the settings."""
from django.conf import settings
from django.core.checks import Error, Warning

from . import conf

OURS = "fcgi_sse.middleware.SSESessionMiddleware"
SESSION = "django.contrib.sessions.middleware.SessionMiddleware"


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
    return found
