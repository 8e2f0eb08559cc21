# SPDX-License-Identifier: ISC
"""{% load sse %} <body {% sse_body_attrs %}>"""
from django import template
from django.conf import settings
from django.utils.html import format_html
from django.utils.safestring import mark_safe

from .. import conf, records, sessions

register = template.Library()


@register.simple_tag(takes_context=True)
def sse_body_attrs(context, url=None, last_event_id=None):
    """The attributes that sse.js reads: where the stream is, and where the page
    stands, so that nothing is lost between rendering and opening.

    url: default is the setting FCGI_SSE_URL, else /sse/.  last_event_id: what
    current_id() said before the page's data was read; default is now.
    """
    request = context.get("request")
    cookie = request.COOKIES.get(settings.SESSION_COOKIE_NAME) if request is not None else None
    name = records.digest(cookie) if cookie else None
    now, record = records.position(name)
    if name and now is not None:
        sessions.recent.compare(name, record)
    if last_event_id is None:
        last_event_id = now
    where = format_html('sse-data="{}"', url or conf.stream_url())
    if last_event_id is None:  # Redis is away
        return where
    return mark_safe(where + format_html(' data-last-event-id="{}"', last_event_id))
