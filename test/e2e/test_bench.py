# SPDX-License-Identifier: ISC
"""The benchmark: its load generator notices what it is there to notice, and its
driver starts what is here and measures it."""
import csv
import json
import os
import subprocess
import sys

import pytest

from processes import TOP, Program, free_port, port_listens

BUILT = os.environ.get("BENCH_BUILD", os.path.join(TOP, "build/bench"))
LOAD = os.path.join(BUILT, "load")
FAULTS = ("lost", "doubled", "swapped", "short_data", "ids_back", "resets", "ended", "refused")


@pytest.fixture
def load(folder, run):
    """load(fault, commands) -> what the load generator says of a server that makes this fault."""
    def measure(fault, *commands):
        port = free_port()
        run("fake", [sys.executable, os.path.join(TOP, "test/e2e/fake_events.py"), fault, str(port)]).ready(
            lambda: port_listens(port))
        url = "http://127.0.0.1:%d/" % port
        done = subprocess.run([LOAD, "--stream=" + url, "--to=" + url, "--kind=http-post", "--publishers=1",
                               "--window=8", "--max=10"], input="\n".join(commands), stdout=subprocess.PIPE,
                              timeout=60, text=True)
        said = [json.loads(line) for line in done.stdout.splitlines()]
        assert done.returncode == 0, said
        return said
    return measure


STREAMS = 3


@pytest.mark.parametrize("fault, counts", [
    ("none", {}),
    ("dribble", {}),
    ("lose", {"lost": 3}),
    ("double", {"doubled": 3}),
    ("swap", {"swapped": 3}),
    ("shorten", {"short_data": 3}),
    ("id-back", {"ids_back": 3}),
    ("reset", {"resets": 3}),
    ("cut", {"ended": 3}),  # they come back with their last id, and nothing is lost
])
def test_load_notices(load, fault, counts):
    """A lost, doubled, swapped or shortened event is counted once for each stream, and nothing else is."""
    said = load(fault, "open %d 2" % STREAMS, "latency 1 100 200")[-1]
    assert {name: said[name] for name in FAULTS if said[name]} == counts
    sent = 100 - said["not_sent"]  # on a slow machine it is not asked for more than it takes
    assert sent > 40 and said["deliveries"] == STREAMS * sent - counts.get("lost", 0)
    assert 0 < said["latency_p50_ms"] <= said["latency_p99_ms"] <= said["latency_max_ms"] < 60000


def test_load_notices_in_a_flood(load):
    """With events as fast as they are taken, too; a lost one does not hold the others up."""
    said = load("lose", "open %d 2" % STREAMS, "saturate 1 100")[-1]
    assert {name: said[name] for name in FAULTS if said[name]} == {"lost": 3}
    assert said["deliveries"] == STREAMS * (said["published"] - 1) > 100


def test_load_storm(load):
    """Who was cut comes back with its last id and gets each missed event once."""
    said = load("none", "open %d 2" % STREAMS, "storm 50 100")[-1]
    assert {name: said[name] for name in FAULTS if said[name]} == {}
    assert said["deliveries"] == STREAMS * 50 and 0 < said["caught_up_max_ms"] < 60000


@pytest.mark.seconds(170)
def test_smoke(folder):
    """bench --smoke measures all candidates that can run here, and writes tables and CSV."""
    out = folder / "out"
    driver = Program(folder, "bench", [os.path.join(TOP, "bench/bench"), "--smoke", "--only=latency,resume",
                                       "--out=" + out], check_stderr=False)
    try:
        driver.wait(150)
    finally:
        driver.stop()
    said = driver.stdout().decode() + driver.stderr()
    assert driver.process.returncode == 0, said
    with open(os.path.join(out, "results.csv"), newline="") as f:
        rows = list(csv.DictReader(f))
    assert {row["streams"] for row in rows if row["measure"] == "latency_p50_ms"
            and row["candidate"] == "fcgi-sse-1"} == {"1", "20"}, said
    faults = {row["measure"] for row in rows} & {*FAULTS, "failed"}
    assert not faults - {"ended"}, said  # who is ended and comes back has lost nothing
    with open(os.path.join(out, "RESULTS.md"), encoding="utf-8") as f:
        assert "One event to all streams" in f.read()
