# SPDX-License-Identifier: ISC
"""Names of channels and events: the rules of fcgi-sse, redis/channel.h and redis/event.h."""
import re

from django.utils.functional import Promise

CHANNEL_BYTES = 128
EVENT_BYTES = 256

_not_in_channels = re.compile(r"[\s\x00-\x1f\x7f-\x9f,*?\[\]{}\\]")
_surrogates = re.compile("[\ud800-\udfff]")


def text(value):
    """The text of what stands for one: bytes (ValueError if they are no UTF-8), a lazy
    translation, a member of an Enum of strings.  Anything else as it is."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).decode()
    if isinstance(value, str):
        return str.__str__(value)  # str() of a member is its name
    return str(value) if isinstance(value, Promise) else value


def utf8(text):
    """The bytes of a text; what is no Unicode becomes U+FFFD."""
    if isinstance(text, (bytes, bytearray, memoryview)):
        text = bytes(text).decode("utf-8", "replace")
    return _surrogates.sub("\ufffd", text).encode()


def channel_error(name, prefix):
    """Why this is no channel's name; None if it is one."""
    if not isinstance(name, str):
        return "is no string"
    if not name:
        return "is empty"
    if _surrogates.search(name):
        return "is no Unicode text"
    if len(name.encode()) > CHANNEL_BYTES:
        return "is longer than %d bytes" % CHANNEL_BYTES
    if _not_in_channels.search(name):
        return "holds white space, a control character or one of , * ? [ ] { } \\"
    if name.startswith("__") or name.startswith(prefix):
        return "begins with '__' or with the prefix of the keys"
    return None


def event_error(name):
    """Why this is no event's name; None if it is one."""
    if not isinstance(name, str):
        return "is no string"
    if _surrogates.search(name):
        return "is no Unicode text"
    if len(name.encode()) > EVENT_BYTES:
        return "is longer than %d bytes" % EVENT_BYTES
    if re.search("[\r\n\0]", name):
        return "holds a line end or NUL"
    if name.startswith("stream-"):
        return "begins with 'stream-': those are fcgi-sse's own"
    return None
