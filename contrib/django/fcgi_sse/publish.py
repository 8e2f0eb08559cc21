# SPDX-License-Identifier: ISC
"""Events into Redis, each in one step of publish.lua: id, history, live."""
import functools
import json
import logging
import pathlib
import re

from asgiref.sync import sync_to_async
from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from django.utils.functional import Promise
from redis.exceptions import RedisError

from . import conf, names
from .redis_client import client
from .redis_link import Away, link

log = logging.getLogger("fcgi_sse")

LINE_END = re.compile(b"\r\n|\r|\n")


@functools.lru_cache(maxsize=None)
def _script():
    text = (pathlib.Path(__file__).parent / "lua" / "publish.lua").read_text(encoding="utf-8")
    return client().register_script(text)


def _text(data):
    if isinstance(data, (bytes, bytearray, memoryview)):
        return data
    if isinstance(data, (str, Promise)):
        return names.text(data)
    return json.dumps(data, cls=DjangoJSONEncoder, ensure_ascii=False, allow_nan=False)


def frame(event, data):
    """text/event-stream without its id (HTML 9.2.5)."""
    event = str(names.text("message" if event is None else event)) or "message"
    error = names.event_error(event)
    if error:
        raise ValueError("the event's name %s: %.60r" % (error, event))
    lines = [] if event == "message" else [b"event: " + event.encode()]
    data = names.utf8(_text(data))
    if len(data) > conf.event_bytes():
        raise ValueError("the event has %d bytes, over FCGI_SSE_EVENT_BYTES = %d" % (len(data), conf.event_bytes()))
    lines += [b"data: " + line for line in LINE_END.split(data)]
    made = b"\n".join(lines) + b"\n\n"
    if len(made) > 2 * conf.event_bytes() + 1024:
        raise ValueError("the event has %d bytes with a field name in front of each line, over twice "
                         "FCGI_SSE_EVENT_BYTES = %d" % (len(made), conf.event_bytes()))
    return made


def _call(event, data, channel, key):
    """The words of a call of publish.lua, and whether it asks for a list."""
    channel = names.text(conf.default_channel() if channel is None else channel)
    is_list = not isinstance(channel, str)
    # publish.lua wants each name once
    channels = list(dict.fromkeys(map(names.text, channel))) if is_list else [channel]
    prefix = conf.prefix()
    keys = [prefix + name for name in ("clock", "epoch", "limits", "recorder")]
    for name in channels:
        error = names.channel_error(name, prefix)
        if error:
            raise ValueError("the channel's name %s: %.60r" % (error, name))
        keys += [prefix + "history:" + name, prefix + "meta:" + name]
    if key is not None and channels:
        key = str(names.text(key))
        if not 1 <= len(key.encode()) <= 128:
            raise ValueError("a key has 1 to 128 bytes: %.60r" % key)
        keys.append(prefix + "key:" + key)
    return keys, [prefix + "event:", "p", "", "", frame(event, data), *channels], is_list


def _send(keys, args, is_list):
    if len(keys) == 4:
        return []
    ids = [int(i) for i in _script()(keys=keys, args=args, client=client())]
    return ids if is_list else ids[0]


def send_event(event, data, channel=None, *, key=None):
    """Publish an event on a channel, or on a list of channels.

    event: its name; "message" is what onmessage of a page hears.
    data: a text, also bytes (UTF-8) or a lazy one; anything else goes out as JSON.
    channel: default is the setting REDIS_SSEQUEUE_CHANEL_NAME, else "sse".
    key: with the same one again, within ten minutes, nothing is published, and
    the first id is returned; so it may be called again after an error.
    Returns its id (int), for a list of channels a list of ids.  Raises
    ValueError for a bad name, redis.exceptions.RedisError if it could not be
    published, or if nobody knows whether it was.
    """
    return _send(*_call(event, data, channel, key))


async def asend_event(event, data, channel=None, *, key=None):
    """The same, awaited.  (A thread waits for Redis: an asyncio client would belong to one loop.)"""
    return await sync_to_async(send_event, thread_sensitive=False)(event, data, channel, key=key)


def send_event_on_commit(event, data, channel=None, using=None, *, key=None):
    """send_event when the transaction is committed, and not at all if it is
    rolled back; at once if there is none.  The event is made, and a mistake
    told, now.  Returns nothing; a Redis that is away is logged, since what was
    committed stays so."""
    call = _call(event, data, channel, key)

    def send():
        try:
            link.attempt(lambda: _send(*call), eagerly=True)  # many events wait for a Redis that hangs only once
        except (Away, RedisError) as err:
            log.error("an event was not published after the commit: %s", err)

    transaction.on_commit(send, using=using)
