# SPDX-License-Identifier: ISC
"""What is measured: each visit is one candidate, started afresh, and one kind of
measurement at all sizes.  It yields rows: (measure, streams, bytes, value)."""
import json
import os
import subprocess
import time

from peers import base
import measure

# What may not happen, whoever is measured.  (A stream that the server ends and
# that comes back is no fault where nothing is lost, and is told.)
FAULTS = ("lost", "doubled", "swapped", "short_data", "ids_back", "resets", "refused")
AT_A_TIME = 50  # streams on their way at once, when many open
WARM = 10  # streams that are open before memory is looked at


class Plan:
    """How much of everything."""

    sizes = (1, 10, 100, 1000, 4000, 10000)
    latency_s = 1.5
    latency_rate = 20
    # 20 a second to 10,000 streams are more than many can: then it is a queue that
    # is measured.  So these many get events more slowly, too.
    slow_from, slow_rate, slow_s = 4000, 5, 2.0
    saturate_s = 0.6
    bytes_ = (100, 4096)
    memory_sizes = (100, 1000, 3000, 10000)
    minute_sizes = (10000,)
    settle_s = 1.0
    rest_s = 4.0  # before memory is looked at: what served to open them has ended
    idle_at, idle_s = 3000, 15.0  # all that is due once is due in that time
    ttfb_count = 50
    resume_missed = 10000
    storm_streams, storm_missed = 1000, 200
    publish_count = 20000
    repeat = 5


class QuickPlan(Plan):
    """What matters while working, in a minute."""

    sizes = (1, 100, 1000)
    latency_s = 1.2
    saturate_s = 0.6
    bytes_ = (100,)
    memory_sizes = (1000,)
    settle_s = 1.5
    rest_s = 3.0
    idle_at, idle_s = 0, 0.0
    ttfb_count = 20
    storm_streams, storm_missed = 200, 100
    resume_missed = 1000
    publish_count = 2000
    repeat = 2


class SmokePlan(QuickPlan):
    """Does everything run?"""

    sizes = (1, 20)
    latency_s = 0.3
    saturate_s = 0.2
    bytes_ = (100, 4096)
    memory_sizes = (30,)
    settle_s = 0.2
    rest_s = 0.2
    idle_at, idle_s = 30, 0.3
    storm_streams, storm_missed = 10, 20
    resume_missed = 100
    ttfb_count = 3
    publish_count = 100
    repeat = 1


def faults(said):
    """Rows of what may not happen and did."""
    for name in FAULTS + ("ended",):
        if said.get(name):
            yield (name, said["streams"], said.get("bytes", 0), said[name])


def events_at(session, name, n, seconds, rate):
    said = session.command("latency", seconds, rate, 100)
    for which in ("p50", "p99", "max"):
        yield ("%s_%s_ms" % (name, which), n, 100, said["latency_%s_ms" % which])
    yield (name + "_cpu_s_per_million", n, 100, said["cpu_s"] / max(1, said["deliveries"]) * 1e6)
    if said["not_sent"]:
        yield (name + "_not_sent", n, 100, said["not_sent"])
    yield from faults(said)


def latency(session, plan, sizes):
    for n in sizes:
        session.command("open", n, AT_A_TIME)
        session.command("idle", plan.settle_s)
        yield from events_at(session, "latency", n, plan.latency_s, plan.latency_rate)
        if n >= plan.slow_from:
            yield from events_at(session, "slow_latency", n, plan.slow_s, plan.slow_rate)


def saturate(session, plan, sizes):
    for n in sizes:
        session.command("open", n, AT_A_TIME)
        session.command("idle", plan.settle_s)
        for bytes_ in plan.bytes_:
            said = session.command("saturate", plan.saturate_s, bytes_)
            yield ("saturated_per_s", n, bytes_, said["per_second"])
            yield ("cpu_s_per_million", n, bytes_, said["cpu_s"] / max(1, said["deliveries"]) * 1e6)
            # near 1 it is the load generator that was saturated
            yield ("load_generator_busy", n, bytes_, said["load_cpu_s"] / said["seconds"])
            yield from faults(said)


def first_byte(session, plan, name, n):
    said = session.command("ttfb", plan.ttfb_count)
    for which in ("p50", "p99"):
        yield ("%s_%s_ms" % (name, which), n, 0, said["ttfb_%s_ms" % which])


def memory(session, plan, sizes):
    """Streams opened a second, time to first byte, memory and processor time of idle streams."""
    session.command("open", WARM, AT_A_TIME)
    yield from first_byte(session, plan, "ttfb_at_rest", WARM)
    session.command("idle", plan.rest_s)
    before, by_before, n_before = measure.memory_kb(), session.memory_by_program_kb(), WARM
    for n in sizes:
        said = session.command("open", n, AT_A_TIME)
        yield ("opened_per_s", n, 0, said["per_second"])
        yield ("opening_ttfb_p99_ms", n, 0, said["ttfb_p99_ms"])
        yield from faults(said)
        session.command("idle", plan.rest_s)
        yield ("memory_kb", n, 0, (measure.memory_kb() - before) / (n - n_before))
        by = session.memory_by_program_kb()
        pages = sum(kb for kb, _ in by.values()) - sum(kb for kb, _ in by_before.values())
        yield ("memory_own_kb", n, 0, pages / (n - n_before))
        for name, (kb, count) in by.items():
            grown = kb - by_before.get(name, (0, 0))[0]
            yield ("own_kb_of_" + name, n, 0, grown / (n - n_before))
            yield ("processes_of_" + name, n, 0, count)
        if n == 1000:
            yield from first_byte(session, plan, "ttfb_among_1000", n)
        if n == plan.idle_at:
            said = session.command("idle", plan.idle_s)
            yield ("idle_cpu_s_a_minute", n, 0, said["cpu_s"] * 60 / said["seconds"])
            yield from faults(said)


def resume(session, plan, sizes):
    """10,000 missed events to one client; and the storm."""
    if not session.candidate.has_resume:
        return
    for measure_name, n, missed in (("resume_ms", 1, plan.resume_missed),
                                    ("storm_ms", plan.storm_streams, plan.storm_missed)):
        session.command("open", n, AT_A_TIME)
        session.command("idle", plan.settle_s)
        said = session.command("storm", missed, 100)
        yield (measure_name, n, missed, said["caught_up_max_ms"])
        yield (measure_name.replace("_ms", "_p50_ms"), n, missed, said["caught_up_p50_ms"])
        yield (measure_name.replace("_ms", "_cpu_s"), n, missed, said["cpu_s"])
        yield from faults(said)


def publish(session, plan, sizes):
    """How fast events are taken, with one stream that listens."""
    session.command("open", 1, 1)
    said = session.command("publish", plan.publish_count, 100)
    yield ("published_per_s", 1, 100, said["per_second"])
    yield from faults(said)
    if session.candidate.name == "fcgi-sse-1":
        yield from publish_lines(session, plan)


def publish_lines(session, plan):
    """sse-publish --lines; and PUBLISH, until the recorder has made records of all."""
    program = os.environ.get("SSE_PUBLISH_BIN", os.path.join(base.TOP, "sse-publish"))
    redis = session.running.redis_socket
    lines = ("x" * 100 + "\n").encode() * plan.publish_count
    start = time.monotonic()
    subprocess.run([program, "--redis=unix://" + redis, "--lines", "lines"], input=lines,
                   stdout=subprocess.DEVNULL, check=True)
    yield ("published_by_lines_per_s", 1, 100, plan.publish_count / (time.monotonic() - start))
    other = measure.Session(session.candidate, session.load_program, 10, publish="redis-publish")
    with other:
        other.command("open", 1, 1)
        said = other.command("saturate", plan.saturate_s, 100)
        yield ("published_by_recorder_per_s", 1, 100, said["per_second"])
        yield from faults(said)


def minute(session, plan, sizes):
    """10,000 streams, each of which gets each event of a minute at 5 a second."""
    for n in sizes:
        session.command("open", n, AT_A_TIME)
        session.command("idle", plan.settle_s)
        yield from events_at(session, "minute", n, 60.0, 5)


# the kind of visit: what it does, and which of the plan's sizes it goes through
KINDS = {
    "latency": (latency, "sizes"),
    "saturate": (saturate, "sizes"),
    "memory": (memory, "memory_sizes"),
    "resume": (resume, None),
    "publish": (publish, None),
    "minute": (minute, "minute_sizes"),
}
ONLY_IF_ASKED = ("minute",)


def sizes_for(kind, plan, candidate):
    name = KINDS[kind][1]
    least = WARM + 1 if name == "memory_sizes" else 1
    return [n for n in (getattr(plan, name) if name else ()) if least <= n <= candidate.max_streams]


def visit(kind, plan, candidate, load):
    """Rows as they come."""
    sizes = sizes_for(kind, plan, candidate)
    streams_max = max(list(sizes) + [plan.storm_streams, WARM])
    with measure.Session(candidate, load, streams_max) as session:
        yield from KINDS[kind][0](session, plan, sizes)


def bare_fork(program, n):
    """What a bare fork costs, and waking one: fork_floor's own words."""
    done = {}
    for words in (["memory", str(n)], ["wake", str(n), "20"]):
        out = subprocess.run([program, *words], stdout=subprocess.PIPE, check=True).stdout
        done.update(json.loads(out))
    return done
