# SPDX-License-Identifier: ISC
"""What the kernel says of processes and memory, and the load generator as an
object: a command in, what it measured and what it cost out."""
import json
import os
import shutil
import subprocess
import tempfile

from peers import base

KERNEL_STACK_KB = 16  # of a thread, on 64 bits
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
# what grows with a stream, wherever it is booked: pages of processes, shared
# pages, kernel stacks, page tables, and slabs that cannot be given back
MEMINFO = ("AnonPages", "Shmem", "KernelStack", "PageTables", "SUnreclaim")


def memory_kb():
    """The sum of MEMINFO."""
    total = 0
    with open("/proc/meminfo") as lines:
        for line in lines:
            name, _, rest = line.partition(":")
            if name in MEMINFO:
                total += int(rest.split()[0])
    return total


def read(path):
    try:
        with open(path) as f:
            return f.read()
    except OSError:
        return ""


def run_time_s(pid):
    """Processor time of a process and of its children that have ended.

    Of the living by their threads' schedstat, in ns: /proc/PID/stat cuts each
    process's time down to 10 ms, which a thousand responders do not reach."""
    fields = base.stat_fields(pid)
    if not fields:
        return 0.0
    total = (int(fields[13]) + int(fields[14])) * TICK_S  # cutime, cstime
    try:
        threads = os.listdir("/proc/%d/task" % pid)
    except OSError:
        return total
    for thread in threads:
        text = read("/proc/%d/task/%s/schedstat" % (pid, thread))
        total += int(text.split()[0]) / 1e9 if text else 0
    return total


def name_of(pid):
    return read("/proc/%d/comm" % pid).strip() or "?"


def own_kb(pid):
    """A process's share of pages, its page tables and its kernel stacks: what can be
    told apart from all else that the machine does.  Slabs cannot (sockets, most of all)."""
    total = 0
    for line in read("/proc/%d/smaps_rollup" % pid).splitlines() + read("/proc/%d/status" % pid).splitlines():
        name, _, rest = line.partition(":")
        if name in ("Pss", "VmPTE"):
            total += int(rest.split()[0])
        elif name == "Threads":
            total += int(rest) * KERNEL_STACK_KB
    return total


class Session:
    """A candidate, started afresh, and the load generator at it."""

    def __init__(self, candidate, load, streams_max, publish=None):
        self.candidate = candidate
        self.workdir = tempfile.mkdtemp(prefix="sse-bench-", dir="/tmp")
        os.chmod(self.workdir, 0o777)
        self.load_program = load
        self.load = None
        self.running = None
        try:
            self.running = candidate.start(self.workdir)
            kind, to = (publish, self.running.redis_socket) if publish else self.running.publish
            self.load = subprocess.Popen(
                [load, "--stream=" + self.running.url("bench"), "--kind=" + kind,
                 "--to=" + to.replace("{channel}", "bench"), "--max=%d" % streams_max,
                 "--script=" + os.path.join(base.TOP, "lua/publish.lua")],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self.load:
            self.load.stdin.close()
            self.load.kill()
            self.load.wait()
        if self.running:
            self.running.stop()
        shutil.rmtree(self.workdir, ignore_errors=True)

    def run_times_s(self):
        """Processor time so far, by the name of the program."""
        times = {}
        for pid, _ in base.descendants(self.running.pids()):
            name = name_of(pid)
            times[name] = times.get(name, 0) + run_time_s(pid)
        return times

    def memory_by_program_kb(self):
        """(kB of its own, number of processes) by the name of the program."""
        found = {}
        for pid, _ in base.descendants(self.running.pids()):
            name = name_of(pid)
            kb, n = found.get(name, (0, 0))
            found[name] = (kb + own_kb(pid), n + 1)
        return found

    def command(self, *words):
        """Have the load generator do something.

        -> what it says, with "cpu_s", the processor time of all who took part but
        itself, "cpu_s_by" program, and its own, "load_cpu_s"."""
        before, load_before = self.run_times_s(), run_time_s(self.load.pid)
        text = " ".join(str(word) for word in words)
        self.load.stdin.write(text + "\n")
        self.load.stdin.flush()
        line = self.load.stdout.readline()
        after = self.run_times_s()
        try:
            said = json.loads(line)
        except ValueError:
            said = {"error": "the load generator said %r" % line}
        if "error" in said:
            raise RuntimeError("%s: %s: %s" % (self.candidate.name, text, said["error"]))
        said["load_cpu_s"] = run_time_s(self.load.pid) - load_before
        said["cpu_s_by"] = {name: after[name] - before.get(name, 0) for name in after}
        said["cpu_s"] = sum(said["cpu_s_by"].values())
        return said
