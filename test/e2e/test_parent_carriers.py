# SPDX-License-Identifier: ISC
"""The parent with --streams-per-process above 1: carriers are there when
streams come, and responders serve one connection after another."""
import contextlib
import os
import signal
import struct
import time

from fcgi import END_REQUEST, STDIN, Connection, begin, record
from processes import DEADLINE_S, alive, publish_ids, wait_until
from sse import cgi_variables

KILLED = r"was ended by signal 9"


def carried(fcgi_sse):
    """How many streams each carrier has, as it shares that with the parent."""
    for fd in os.listdir("/proc/%d/fd" % fcgi_sse.pid):
        path = "/proc/%d/fd/%s" % (fcgi_sse.pid, fd)
        if os.readlink(path).startswith("/memfd:sse-carriers"):
            with open(path, "rb") as f:
                return [n for n, in struct.iter_unpack("=I", f.read())]
    raise AssertionError("the parent has no carriers' page")


def wait_carried(fcgi_sse, count):
    wait_until(lambda: sum(carried(fcgi_sse)) == count, what=lambda: "%d carried streams, there are %r" % (
        count, [n for n in carried(fcgi_sse) if n]))


def live_and_carried(loop, fcgi_sse):
    """A stream that has moved into a carrier."""
    before = sum(carried(fcgi_sse))
    stream = loop.live(fcgi_sse, "all")
    wait_carried(fcgi_sse, before + 1)
    return stream


def ask(loop, fcgi_sse):
    """A request that is answered without a stream: its status."""
    return loop.fetch(fcgi_sse, "all", method="HEAD", accept=None).status


def wait_carriers(fcgi_sse, count):
    return wait_until(lambda: len(fcgi_sse.carriers()) == count and fcgi_sse.carriers(), what="%d carriers" % count)


def serves(fcgi_sse, pid):
    """Has this process a connection that was accepted?  (Such a socket has the name that the listening one
    was bound to.)"""
    with open("/proc/net/unix", encoding="utf-8") as table:
        accepted = {"socket:[%s]" % fields[6] for fields in map(str.split, table)
                    if len(fields) > 7 and fields[7] == "%s.%d" % (fcgi_sse.address, fcgi_sse.pid)}
    try:
        return any(os.readlink("/proc/%d/fd/%s" % (pid, fd)) in accepted for fd in os.listdir("/proc/%d/fd" % pid))
    except FileNotFoundError:  # it, or a descriptor, is gone: look again
        return True


def one_that_waits(loop, fcgi_sse):
    """The one responder, which has served and waits."""
    assert ask(loop, fcgi_sse) == 200
    return wait_until(lambda: [pid for pid in fcgi_sse.responders() if not serves(fcgi_sse, pid)],
                      what="a responder that waits")[0]


# ---- carriers

def test_carriers_come_with_streams(redis, start_fcgi_sse, loop):
    """Without a stream there is no carrier; with the first there is one; when that is full another."""
    fcgi_sse = start_fcgi_sse(redis, "--streams-per-process=3")
    assert fcgi_sse.carriers() == []
    streams = [live_and_carried(loop, fcgi_sse)]
    first = wait_carriers(fcgi_sse, 1)
    streams += [live_and_carried(loop, fcgi_sse) for _ in range(2)]
    assert fcgi_sse.carriers() == first and carried(fcgi_sse)[:2] == [3, 0]
    streams.append(live_and_carried(loop, fcgi_sse))
    assert first[0] in wait_carriers(fcgi_sse, 2) and carried(fcgi_sse)[:2] == [3, 1]
    publish_ids(redis, "all", "x")
    for stream in streams:
        assert stream.wait_data(1) == ["x"]


def test_no_carriers_by_default(redis, fcgi_sse, loop):
    """With --streams-per-process=1 there is neither a carrier nor a responder that waits."""
    streams = [loop.live(fcgi_sse, "all") for _ in range(3)]
    for _ in range(3):
        assert ask(loop, fcgi_sse) == 200
    fcgi_sse.wait_responders(3)
    assert fcgi_sse.carriers() == [] and len(fcgi_sse.children()) == 4
    for stream in streams:
        stream.close()
    fcgi_sse.wait_responders(0)


def test_killed_carrier_is_replaced(redis, start_fcgi_sse, loop):
    """The log names it, its streams count no more, and the next stream finds another one."""
    fcgi_sse = start_fcgi_sse(redis, "--streams-per-process=8", "--max-streams=3")
    streams = [live_and_carried(loop, fcgi_sse) for _ in range(2)]
    first = wait_carriers(fcgi_sse, 1)[0]
    os.kill(first, signal.SIGKILL)
    fcgi_sse.wait_log(r"error: carrier %d was ended by signal 9 \(Killed\)" % first)
    for stream in streams:
        stream.wait_for(lambda s: s.ended)
    wait_carried(fcgi_sse, 0)
    # perhaps it has lived for less than 0.2 s, and the next one has to wait
    streams = [live_and_carried(loop, fcgi_sse) for _ in range(3)]
    assert wait_carriers(fcgi_sse, 1) != [first]
    publish_ids(redis, "all", "x")
    for stream in streams:
        assert stream.wait_data(1) == ["x"]


def test_carried_streams_count(redis, start_fcgi_sse, loop):
    """--max-streams counts what carriers hold and what responders serve; not who waits."""
    fcgi_sse = start_fcgi_sse(redis, "--streams-per-process=10", "--max-streams=3").expect_log(r"stream")
    for _ in range(10):
        assert ask(loop, fcgi_sse) == 200
    streams = [live_and_carried(loop, fcgi_sse) for _ in range(3)]
    for _ in range(5):
        assert loop.fetch(fcgi_sse, "all", accept=None).status == 503
    fcgi_sse.wait_log(r"all 3 streams are taken \(--max-streams\)")
    # one that leaves its carrier makes room without a signal
    streams[1].close()
    wait_until(lambda: loop.open(fcgi_sse, "all").wait_for(lambda s: s.floor or s.ended).floor, what="a free slot")
    assert not streams[0].ended and not streams[2].ended


def test_streams_that_move_count_once(redis, start_fcgi_sse, loop):
    """One that has just moved leaves the last place to the next one."""
    fcgi_sse = start_fcgi_sse(redis, "--streams-per-process=1000", "--max-streams=2")
    for _ in range(20):
        streams = [live_and_carried(loop, fcgi_sse), loop.live(fcgi_sse, "all")]
        for stream in streams:
            stream.close()
        wait_carried(fcgi_sse, 0)


def test_refusals_while_all_is_taken(redis, start_fcgi_sse, loop):
    """200 at once are all told to come back, by few processes, while carriers have all the streams."""
    fcgi_sse = start_fcgi_sse(redis, "--streams-per-process=10", "--max-streams=2").expect_log(r"stream")
    for _ in range(2):
        live_and_carried(loop, fcgi_sse)
    streams = [loop.open(fcgi_sse, "all", accept=None) for _ in range(200)]
    for stream in streams:
        stream.wait_for(lambda s: s.ended)
        assert stream.status == 503
        assert len(fcgi_sse.responders()) <= 70


def test_sighup_hands_carriers_over(redis, start_fcgi_sse, loop):
    """They live on and count, and take no more: the new image starts its own.  The door of the old ones ends with
    the last responder of before, and they with their last stream."""
    fcgi_sse = start_fcgi_sse(redis, "--streams-per-process=10", "--max-streams=4").expect_log(r"stream")
    streams = [live_and_carried(loop, fcgi_sse) for _ in range(3)]
    first = wait_carriers(fcgi_sse, 1)[0]
    for i in range(3):
        fcgi_sse.signal(signal.SIGHUP)
        wait_until(lambda n=i: fcgi_sse.stderr().count("restarted by SIGHUP") == n + 1, what="the new image")
    later = live_and_carried(loop, fcgi_sse)
    both = wait_carriers(fcgi_sse, 2)
    assert first in both and carried(fcgi_sse)[:2] == [3, 1]
    assert loop.fetch(fcgi_sse, "all", accept=None).status == 503
    publish_ids(redis, "all", "x")
    for stream in streams + [later]:
        assert stream.wait_data(1) == ["x"]
    for stream in streams:
        stream.close()
    wait_until(lambda: not alive(first), what="the end of the first carrier")
    wait_carried(fcgi_sse, 1)
    assert len(fcgi_sse.carriers()) == 1
    publish_ids(redis, "all", "y")
    assert later.wait_data(2) == ["x", "y"]


def test_sigterm_ends_carriers(redis, start_fcgi_sse, loop):
    """SIGTERM ends carriers, and responders that wait, with the streams."""
    fcgi_sse = start_fcgi_sse(redis, "--streams-per-process=10", "--drain=1")
    streams = [live_and_carried(loop, fcgi_sse) for _ in range(3)]
    assert ask(loop, fcgi_sse) == 200
    pids = [fcgi_sse.pid] + fcgi_sse.children()
    fcgi_sse.signal(signal.SIGTERM)
    for stream in streams:
        stream.wait_for(lambda s: s.ended)
        assert stream.ended == "clean"
    assert fcgi_sse.wait() == 0
    wait_until(lambda: not [p for p in pids if alive(p)], what="all processes to end")


def test_carrier_that_does_not_end_is_killed(redis, start_fcgi_sse, loop):
    """One that does not hear SIGTERM gets SIGKILL after the drain time."""
    fcgi_sse = start_fcgi_sse(redis, "--streams-per-process=10", "--drain=0").expect_log(KILLED)
    live_and_carried(loop, fcgi_sse)
    carrier = wait_carriers(fcgi_sse, 1)[0]
    os.kill(carrier, signal.SIGSTOP)
    fcgi_sse.signal(signal.SIGTERM)
    assert fcgi_sse.wait() == 0
    assert not alive(carrier)


def test_killed_parent_leaves_carriers(redis, start_fcgi_sse, loop):
    """A killed parent takes no carrier with it, nor do its responders; each ends with its last stream."""
    fcgi_sse = start_fcgi_sse(redis, "--streams-per-process=10")
    stream = live_and_carried(loop, fcgi_sse)
    carrier = wait_carriers(fcgi_sse, 1)[0]
    responders = fcgi_sse.responders()
    fcgi_sse.kill()
    wait_until(lambda: not [pid for pid in responders if alive(pid)], what="the responders to end")
    publish_ids(redis, "all", "x")
    assert stream.wait_data(1) == ["x"]
    stream.close()
    wait_until(lambda: not alive(carrier), what="the end of the carrier")


# ---- responders that serve one connection after another

def test_responders_are_reused(redis, start_fcgi_sse, loop):
    """500 requests that open no stream, one after another, need a few processes."""
    fcgi_sse = start_fcgi_sse(redis, "--streams-per-process=2").expect_log(r"refused|channel")
    seen = set()
    for i in range(500):
        if i % 2:
            assert ask(loop, fcgi_sse) == 200
        else:
            assert loop.fetch(fcgi_sse, "*", accept=None).status == 400
        seen.update(fcgi_sse.responders())
    assert 1 <= len(seen) <= 10, seen


def test_streams_need_few_processes(redis, start_fcgi_sse, loop):
    """100 streams, one after another: their responders are few, for each gives its stream away."""
    fcgi_sse = start_fcgi_sse(redis, "--streams-per-process=1000")
    seen = set()
    streams = []
    for _ in range(100):
        streams.append(live_and_carried(loop, fcgi_sse))
        seen.update(fcgi_sse.responders())
    assert len(seen) <= 20, seen
    publish_ids(redis, "all", "x")
    for stream in streams:
        assert stream.wait_data(1) == ["x"]


def test_many_at_once_leave_few_that_wait(redis, start_fcgi_sse, loop):
    """Beyond the places responders serve once; the streams of all end properly."""
    fcgi_sse = start_fcgi_sse(redis, "--streams-per-process=50")
    streams = [loop.live(fcgi_sse, "all") for _ in range(100)]
    publish_ids(redis, "all", "x")
    for stream in streams:
        assert stream.wait_data(1) == ["x"]
        stream.close()
    fcgi_sse.wait_responders(0)
    asked = [loop.open(fcgi_sse, "all", method="HEAD", accept=None) for _ in range(100)]
    for stream in asked:
        stream.wait_for(lambda s: s.ended)
        assert stream.status == 200
    wait_until(lambda: 1 <= len(fcgi_sse.responders()) <= 64, what="those without a place to end")


def test_idle_responders_end(redis, start_fcgi_sse, loop):
    """After ten seconds without work; then there is no process but the recorder."""
    fcgi_sse = start_fcgi_sse(redis, "--streams-per-process=2")
    one_that_waits(loop, fcgi_sse)
    fcgi_sse.wait_responders(0)
    assert ask(loop, fcgi_sse) == 200


def test_stream_in_a_responder_that_has_served(redis, start_fcgi_sse, loop):
    """A stream behaves there as in a new process: events, resume, the limit of channels, its end."""
    # without a recorder it stays in its responder
    fcgi_sse = start_fcgi_sse(redis, "--streams-per-process=2", "--record=none").expect_log(r"channel")
    pid = one_that_waits(loop, fcgi_sse)
    assert loop.fetch(fcgi_sse, ["c%d" % i for i in range(65)]).status in (400, 413, 414)
    assert one_that_waits(loop, fcgi_sse) == pid

    def live_there():
        stream = loop.live(fcgi_sse, "all")
        if serves(fcgi_sse, pid):
            return stream
        stream.close()  # it did not wait yet
        return None

    stream = wait_until(live_there)
    ids = publish_ids(redis, "all", "x") + publish_ids(redis, "all", "y")
    assert stream.wait_data(2) == ["x", "y"]
    again = loop.live(fcgi_sse, "all", last_event_id=ids[0])
    assert again.wait_data(1) == ["y"]
    os.kill(pid, signal.SIGTERM)
    stream.wait_for(lambda s: s.ended)
    assert stream.ended == "clean" and stream.retry_ms
    wait_until(lambda: not alive(pid), what="its end")


def test_killed_one_that_waits_loses_nothing(redis, start_fcgi_sse, loop):
    """However it ended, and whether or not the parent has seen it, the next connection is served."""
    fcgi_sse = start_fcgi_sse(redis, "--streams-per-process=2").expect_log(KILLED)
    pid = one_that_waits(loop, fcgi_sse)
    for number in [signal.SIGKILL, signal.SIGTERM] * 20:
        os.kill(pid, number)
        wait_until(lambda p=pid: not alive(p), what="its end")
        pid = one_that_waits(loop, fcgi_sse)


def test_sigterm_beside_a_flood(redis, start_fcgi_sse, loop):
    """One that is told to end between two connections serves what it was just given."""
    fcgi_sse = start_fcgi_sse(redis, "--streams-per-process=2")
    for _ in range(300):
        asked = [loop.open(fcgi_sse, "all", method="HEAD", accept=None) for _ in range(3)]
        for pid in fcgi_sse.responders():
            with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
                os.kill(pid, signal.SIGTERM)
        for stream in asked:
            stream.wait_for(lambda s: s.ended)
            assert stream.ended == "clean" and stream.status in (200, 503)


def test_sighup_ends_those_that_wait(redis, start_fcgi_sse, loop):
    """The new image uses none of the old ones, and no connection is lost meanwhile."""
    fcgi_sse = start_fcgi_sse(redis, "--streams-per-process=2")
    before = one_that_waits(loop, fcgi_sse)
    for i in range(20):
        asked = [loop.open(fcgi_sse, "all", method="HEAD", accept=None) for _ in range(5)]
        fcgi_sse.signal(signal.SIGHUP)
        for stream in asked:
            stream.wait_for(lambda s: s.ended)
            assert stream.ended == "clean" and stream.status == 200
        wait_until(lambda n=i: fcgi_sse.stderr().count("restarted by SIGHUP") > n, what="the new image")
    assert not alive(before)
    assert one_that_waits(loop, fcgi_sse) != before


def test_killed_parent_ends_those_that_wait(redis, start_fcgi_sse, loop):
    """At once, not after their ten seconds; whatever was started after them lives on."""
    fcgi_sse = start_fcgi_sse(redis, "--streams-per-process=2")
    pid = one_that_waits(loop, fcgi_sse)
    slow = Connection(fcgi_sse.address)
    wait_until(lambda: serves(fcgi_sse, pid), what="it to have work")
    stream = live_and_carried(loop, fcgi_sse)
    carrier = wait_carriers(fcgi_sse, 1)[0]
    slow.request(cgi_variables("HEAD", "channels=all", {}, None))
    assert slow.read_to_end()[-1].type == END_REQUEST
    slow.close()
    wait_until(lambda: not serves(fcgi_sse, pid), what="it to wait again")
    began = time.monotonic()
    fcgi_sse.kill()
    wait_until(lambda: not alive(pid), what="its end")
    assert time.monotonic() - began < 8
    publish_ids(redis, "all", "x")
    assert stream.wait_data(1) == ["x"]
    stream.close()
    wait_until(lambda: not alive(carrier), what="the end of the carrier")


def test_sigterm_is_quick_with_those_that_wait(redis, start_fcgi_sse, loop):
    """They need no drain."""
    fcgi_sse = start_fcgi_sse(redis, "--streams-per-process=2", "--drain=%d" % (2 * DEADLINE_S))
    one_that_waits(loop, fcgi_sse)
    fcgi_sse.signal(signal.SIGTERM)
    assert fcgi_sse.wait() == 0


def test_connection_that_is_to_be_kept(redis, start_fcgi_sse, loop):
    """FCGI_KEEP_CONN: the answer ends with the connection, as from a process that ends, and the responder goes on."""
    fcgi_sse = start_fcgi_sse(redis, "--streams-per-process=2")
    pid = one_that_waits(loop, fcgi_sse)
    for _ in range(5):
        conn = Connection(fcgi_sse.address)
        conn.send(begin(keep=True))
        conn.params(cgi_variables("HEAD", "channels=all", {}, None))
        conn.send(record(STDIN))
        assert conn.read_to_end()[-1].type == END_REQUEST
        conn.close()
        assert one_that_waits(loop, fcgi_sse) == pid


def test_burst_is_carried(redis, start_fcgi_sse, loop):
    """Streams that come all at once, many more than one carrier holds, are all carried in the end."""
    fcgi_sse = start_fcgi_sse(redis, "--streams-per-process=4")
    streams = [loop.open(fcgi_sse, "all") for _ in range(60)]
    for stream in streams:
        stream.wait_open()
    fcgi_sse.wait_carried(60, seconds=60)
    assert len(fcgi_sse.carriers()) >= 15
