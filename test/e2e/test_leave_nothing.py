# SPDX-License-Identifier: ISC
"""tools/leave-nothing: what a test runner leaves is ended, whatever becomes of the runner."""
import os
import signal
import subprocess

import pytest

from processes import DEADLINE_S, TOP, alive, wait_until

# A server in a session of its own, which minds no SIGTERM, and is nobody's child.
RUNNER = """
(setsid sh -c 'trap "" TERM INT; echo $$ >"$0.new" && mv "$0.new" "$0"; while :; do sleep 0.1; done' "$1" &)
while [ ! -e "$1" ]; do sleep 0.01; done
%s
"""


@pytest.fixture
def runner(folder, run):
    """runner(what it does at last) -> (its leave-nothing, the server's pid)"""
    def start(last):
        program = run("leave-nothing", [os.path.join(TOP, "tools/leave-nothing"), "sh", "-c", RUNNER % last, "sh",
                                        folder / "pid"], start_new_session=True, env={"GRACE_S": "0.2"})
        wait_until(lambda: os.path.exists(folder / "pid") or not program.running())
        with open(folder / "pid", encoding="ascii") as f:
            return program, int(f.read())
    return start


@pytest.mark.parametrize("last, status", [("exit 0", 1), ("exit 3", 3), ("kill -KILL $$", 128 + 9)])
def test_ends_what_is_left(runner, last, status):
    """It ends when its command has ended, with that one's status, and so does all that was left, which it names."""
    program, pid = runner(last)
    assert program.wait() == status and not alive(pid)
    assert program.stderr().startswith("leave-nothing: ended what was left: sh")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals(runner, number):
    """Ctrl-C reaches both; SIGTERM to it alone is a Ctrl-C for its command.  It outlives it."""
    program, pid = runner("exec sleep 1000")
    (os.killpg if number == signal.SIGINT else os.kill)(program.pid, number)
    assert program.wait() == 128 + signal.SIGINT and not alive(pid)


def test_says_nothing(run):
    """Nothing left: the command's status, and no word."""
    done = subprocess.run([os.path.join(TOP, "tools/leave-nothing"), "sh", "-c", "exit 5"], timeout=DEADLINE_S,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert (done.returncode, done.stdout) == (5, b"")


@pytest.mark.soak
def test_ctrl_c_of_make_check(folder, run, tmp_path):
    """Ctrl-C in the middle of `make check-e2e` with browsers and servers leaves no process."""
    env = {"TMPDIR": str(tmp_path), "TEST_MARK": "not soak"}
    program = run("make", ["make", "-C", TOP, "check-e2e", "E2E=test/e2e/test_browser_leader.py test/e2e/test_serve.py",
                           "PYTEST_ARGS=-p no:cacheprovider"], env=env, start_new_session=True)
    wait_until(lambda: started(program.pid) >= {"chromedriver", "redis-server", "fcgi-sse", "lighttpd"})
    pids = [pid for pid, _ in below(program.pid)]
    assert len(pids) > 10
    os.killpg(program.pid, signal.SIGINT)
    assert program.wait() != 0
    wait_until(lambda: not [pid for pid in pids if alive(pid)], what=lambda: repr([p for p in pids if alive(p)]))


def below(parent):
    """[(pid, name)] of the descendants."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/stat" % name, encoding="utf-8", errors="replace") as f:
                head, _, tail = f.read().rpartition(")")
        except OSError:
            continue
        found.append((int(name), head.partition("(")[2], int(tail.split()[1])))
    tree = {parent}
    while True:
        more = {pid for pid, _, ppid in found if ppid in tree} - tree
        if not more:
            return [(pid, name) for pid, name, _ in found if pid in tree]
        tree |= more


def started(parent):
    return {name for _, name in below(parent)}
