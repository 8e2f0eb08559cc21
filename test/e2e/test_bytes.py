# SPDX-License-Identifier: ISC
"""Right to the byte: what was published is what two independent parsers read
back, ours (sse.py) and npm's eventsource-parser."""
import json
import os
import re
import subprocess

import pytest

from processes import lacks_node, publish_ids, sse_publish

HERE = os.path.dirname(os.path.abspath(__file__))


def as_parsed(data):
    """What a parser makes of published bytes: UTF-8 repaired, line ends LF."""
    text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
    return re.sub("\r\n|\r|\n", "\n", text)


TEXTS = {
    "ascii": b"hello",
    "empty": b"",
    "blank": b" ",
    "leading blanks": b"  two",
    "trailing blank": b"x ",
    "colon": b": no comment",
    "looks like fields": b"data: x\nid: 5\nevent: y\nretry: 1\n: c",
    "LF": b"one\ntwo",
    "CR": b"one\rtwo",
    "CRLF": b"one\r\ntwo",
    "LFCR": b"one\n\rtwo",
    "CRCRLFLF": b"one\r\r\n\ntwo",
    "all line ends": b"a\rb\nc\r\nd\n\ne\r\rf",
    "trailing LF": b"one\n",
    "trailing CR": b"one\r",
    "trailing CRLF": b"one\r\n",
    "only LF": b"\n",
    "only CR": b"\r",
    "many LF": b"\n\n\n",
    "NUL": b"a\0b",
    "only NUL": b"\0",
    "U+2028": "a\u2028b\u2029c\x85d".encode(),
    "VT FF": b"a\x0bb\x0cc",
    "BOM": "\ufeffdata".encode(),
    "beyond the BMP": "\U0001f600 größe €".encode(),
    "an attack": b"x\revent: evil\rid: 9\r\rdata: evil",
    "an attack with LF": b"x\n\nevent: evil\nid: 9\ndata: evil\n\n",
    "invalid UTF-8": b"a\xffb\xc3(c\xe2\x82",
    "overlong": b"\xc0\xaf\xe0\x80\xaf",
    "surrogate": b"\xed\xa0\x80",
    "past U+10FFFF": b"\xf4\x90\x80\x80",
    "controls": bytes(range(1, 32)) + b"\x7f",
    "JSON object": b'{"type": "foo", "n": 1.10}',
    "JSON array of three": b'["a","b","c"]',
    "JSON string": b'"text"',
    "half JSON": b'["message", "x"',
    "a record header": b"1763000000000000 0 p\nid: 1763000000000000\ndata: x\n\n",
}
# what shells and argv can carry
ARGUMENTS = {k: v for k, v in TEXTS.items() if b"\0" not in v}


@pytest.mark.parametrize("where", ["direct", "nginx-example"])
def test_sse_publish_from_stdin(redis, fcgi_sse, web, loop, where):
    """sse-publish of any bytes from stdin is read back as published."""
    place = fcgi_sse if where == "direct" else web(where, fcgi_sse)
    stream = loop.live(place, "all")
    # a trailing newline of stdin is echo's; test_publish.py has that
    texts = {k: v for k, v in TEXTS.items() if not v.endswith((b"\n", b"\r"))}
    for text in texts.values():
        sse_publish(redis, "all", stdin=text)
    got = stream.wait_data(len(texts))
    assert dict(zip(texts, got)) == {k: as_parsed(v) for k, v in texts.items()}
    assert {e.type for e in stream.events} == {"message"}


def test_sse_publish_from_an_argument(redis, fcgi_sse, loop):
    """sse-publish of an argument: its bytes, with all line ends."""
    stream = loop.live(fcgi_sse, "all")
    for text in ARGUMENTS.values():
        sse_publish(redis, "all", text)
    got = stream.wait_data(len(ARGUMENTS))
    assert dict(zip(ARGUMENTS, got)) == {k: as_parsed(v) for k, v in ARGUMENTS.items()}


@pytest.mark.parametrize("recorded", [True, False])
def test_plain_publish(redis, start_fcgi_sse, loop, recorded):
    """Plain PUBLISH of any bytes, recorded and live, is the data of a message."""
    stream = loop.live(start_fcgi_sse(redis, *[] if recorded else ["--record=none"]), "all")
    texts = {k: v for k, v in TEXTS.items() if k != "a record header"}
    for text in texts.values():
        redis.publish("all", text)
    got = stream.wait_data(len(texts))
    assert dict(zip(texts, got)) == {k: as_parsed(v) for k, v in texts.items()}
    assert {e.type for e in stream.events} == {"message"}
    assert {e.id is None for e in stream.events} == {not recorded}


PAIRS = [  # payload of a plain PUBLISH, (event name, data)
    (b'["message","x"]', ("message", "x")),
    (b'["","x"]', ("message", "x")),
    (b' [ "n" , "x" ] ', ("n", "x")),
    (b'["n",""]', ("n", "")),
    (b'["n","a\\nb\\rc\\r\\nd"]', ("n", "a\nb\nc\nd")),
    (b'["n","x\\revent: evil\\rid: 9"]', ("n", "x\nevent: evil\nid: 9")),
    (b'["n","\\u00e4\\ud83d\\ude00\\u2028"]', ("n", "\u00e4\U0001f600\u2028")),
    (b'["n",12345678901234567890]', ("n", "12345678901234567890")),
    (b'["n",1.10]', ("n", "1.10")),
    (b'["n",1E400]', ("n", "1E400")),
    (b'["n",null]', ("n", "null")),
    (b'["n",true]', ("n", "true")),
    (b'["n",  {"b": 1.10,\n "a":[ 1 ]}  ]', ("n", '{"b": 1.10,\n "a":[ 1 ]}')),
    (b'["n",[]]', ("n", "[]")),
    ('["gr\u00f6\u00dfe","x"]'.encode(), ("gr\u00f6\u00dfe", "x")),
    (b'["message","{\\"type\\":\\"foo\\"}"]', ("message", '{"type":"foo"}')),
]
AS_IT_STANDS = [  # looks like a pair and is none
    b'["a\\nb","x"]', b'["a\\rb","x"]', b'["a\\u0000b","x"]', b'["n","a\\u0000b"]',
    b'["stream-reset","{}"]', b'["stream-end","x"]', b'["stream-x","x"]', b'["n","x"] y', b'["n"]', b'["n","x","y"]',
    b'[1,"x"]', b'[null,"x"]', b'{"0":"n","1":"x"}', b'["n","x",]', b'["n" "x"]', b'[["n"],"x"]',
    b'["n",01]', b"['n','x']", b'["n",NaN]', b'["n","x"]\0', b'["n",{"a":"\\u0000"}]',
]


@pytest.mark.parametrize("recorded", [True, False])
def test_plain_publish_of_a_pair(redis, start_fcgi_sse, loop, recorded):
    """A JSON pair [name, data]: strings decoded, other data as the very bytes that came."""
    stream = loop.live(start_fcgi_sse(redis, *[] if recorded else ["--record=none"]), "all")
    for payload, _ in PAIRS:
        redis.publish("all", payload)
    stream.wait_data(len(PAIRS))
    assert [(e.type, e.data) for e in stream.events] == [want for _, want in PAIRS]


@pytest.mark.parametrize("recorded", [True, False])
def test_plain_publish_of_no_pair(redis, start_fcgi_sse, loop, recorded):
    """Names with CR, LF, NUL or "stream-", and all other shapes, are the data of a message."""
    stream = loop.live(start_fcgi_sse(redis, *[] if recorded else ["--record=none"]), "all")
    for payload in AS_IT_STANDS:
        redis.publish("all", payload)
    got = stream.wait_data(len(AS_IT_STANDS))
    assert got == [as_parsed(p) for p in AS_IT_STANDS]
    assert {e.type for e in stream.events} == {"message"}


@pytest.mark.parametrize("name", ["a\nb", "a\rb", "stream-reset", "stream-", "x" * 257, b"\xff"])
def test_event_name_is_refused(redis, name):
    """sse-publish refuses a name with CR or LF, a reserved, an over-long and an ill-formed one."""
    name = name if isinstance(name, bytes) else name.encode()
    done = sse_publish(redis, b"--event=" + name, "all", "x", check=False)
    assert done.returncode != 0 and done.stderr.strip() and done.stdout == b""
    assert not redis.client.exists("sse:history:all")


def test_event_name_in_utf8(redis, fcgi_sse, loop):
    """An event's name may be any UTF-8."""
    stream = loop.live(fcgi_sse, "all")
    sse_publish(redis, "--event=größe 1: x", "all", "x")
    sse_publish(redis, "--event=message", "all", "y")
    stream.wait_data(2)
    assert [e.type for e in stream.events] == ["größe 1: x", "message"]
    assert b"event: message" not in stream.raw


MIB = 1 << 20


@pytest.mark.parametrize("where", ["direct", "nginx-example", "lighttpd-example"])
def test_one_mebibyte(redis, fcgi_sse, web, loop, where):
    """1 MiB of data arrives whole, by sse-publish, by plain PUBLISH, and replayed."""
    place = fcgi_sse if where == "direct" else web(where, fcgi_sse)
    one_line = (b"0123456789abcdef" * (MIB // 16))[:MIB]
    stream = loop.live(place, "all")
    start = stream.last_id
    sse_publish(redis, "all", stdin=one_line)
    redis.publish("all", one_line)
    stream.wait_data(2)
    assert [d == one_line.decode() for d in stream.data] == [True, True]
    again = loop.live(place, "all", last_event_id=start)
    again.wait_data(2)
    assert bytes(stream.raw).endswith(b"\n\n") and again.data == stream.data


def test_many_short_lines(redis, start_fcgi_sse, loop):
    """Data that is only line ends grows sevenfold in the frame and still arrives."""
    stream = loop.live(start_fcgi_sse(redis), "all")
    text = b"\n" * 100000
    redis.publish("all", text)
    assert stream.wait_data(1) == [text.decode()]


def test_too_large_is_dropped(redis, start_fcgi_sse, loop):
    """Plain PUBLISH over --event-bytes is dropped and logged with its channel; sse-publish refuses."""
    fcgi_sse = start_fcgi_sse(redis, "--event-bytes=1000")
    stream = loop.live(fcgi_sse, "largechannel")
    redis.publish("largechannel", b"x" * 1001)
    redis.publish("largechannel", b"y")
    assert stream.wait_data(1) == ["y"]
    fcgi_sse.wait_log(r"largechannel")
    done = sse_publish(redis, "largechannel", stdin=b"x" * (MIB + 1), check=False)
    assert done.returncode != 0 and done.stderr.strip()
    redis.publish("largechannel", b"z")
    assert stream.wait_data(2) == ["y", "z"]


def node_parse(raw):
    """The events of npm's eventsource-parser, fed in pieces of several sizes."""
    done = subprocess.run(["node", os.path.join(HERE, "clients", "parse.mjs")], input=raw,
                          stdout=subprocess.PIPE, check=True, timeout=50)
    return [(e.get("event", "message"), e["data"], e.get("id"))
            for e in json.loads(done.stdout)]


@pytest.mark.skipif(lacks_node(), reason="no Node 20, or no npm packages")
@pytest.mark.parametrize("where", ["direct", "lighttpd-example"])
def test_npm_parser_reads_the_same(redis, fcgi_sse, web, loop, where):
    """npm's eventsource-parser reads every payload back as it was published."""
    place = fcgi_sse if where == "direct" else web(where, fcgi_sse)
    stream = loop.live(place, "all")
    for text in TEXTS.values():
        redis.publish("all", text)
    published = [v for k, v in TEXTS.items() if k != "a record header"]
    for payload, _ in PAIRS:
        redis.publish("all", payload)
    big = b"more than a field name\r\n" * (MIB // 24)
    redis.publish("all", big)
    # between the two ways of publishing there is no order
    stream.wait_data(len(published) + len(PAIRS) + 1)
    for text in ARGUMENTS.values():
        publish_ids(redis, "--event=n", "all", text)
    want = [("message", as_parsed(t)) for t in published] + [w for _, w in PAIRS]
    want += [("message", as_parsed(big))] + [("n", as_parsed(t)) for t in ARGUMENTS.values()]
    stream.wait_data(len(want))
    parsed = [e for e in node_parse(bytes(stream.raw)) if not e[0].startswith("stream-")]
    assert [(t, d) for t, d, _ in parsed] == want
    assert [i for _, _, i in parsed] == [e.id for e in stream.events]
