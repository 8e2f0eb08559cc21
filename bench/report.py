# SPDX-License-Identifier: ISC
"""Rows of measurements as tables, CSV and plots."""
import collections
import csv
import os
import platform
import shutil
import statistics
import subprocess

Row = collections.namedtuple("Row", "round candidate measure streams bytes value")
Table = collections.namedtuple("Table", "title measure bytes unit")

# bytes: of which events; None where there is only one kind
TABLES = [
    Table("One event to all streams, 20 a second: median", "latency_p50_ms", 100, "ms"),
    Table("One event to all streams, 20 a second: 99th percentile", "latency_p99_ms", 100, "ms"),
    Table("One event to all streams, 20 a second: the slowest", "latency_max_ms", 100, "ms"),
    Table("One event to all streams, 5 a second: median", "slow_latency_p50_ms", 100, "ms"),
    Table("One event to all streams, 5 a second: 99th percentile", "slow_latency_p99_ms", 100, "ms"),
    Table("A minute of 5 events a second to all: median", "minute_p50_ms", 100, "ms"),
    Table("A minute of 5 events a second to all: 99th percentile", "minute_p99_ms", 100, "ms"),
    Table("A minute of 5 events a second to all: the slowest", "minute_max_ms", 100, "ms"),
    Table("Saturated fan-out, events of 100 bytes", "saturated_per_s", 100, "deliveries a second"),
    Table("Saturated fan-out, events of 4 kB", "saturated_per_s", 4096, "deliveries a second"),
    Table("Processor time of a million deliveries, saturated, 100 bytes", "cpu_s_per_million", 100, "s"),
    Table("Processor time of a million deliveries, one event at a time", "latency_cpu_s_per_million", 100, "s"),
    Table("Memory of an idle stream, everything counted", "memory_kb", None, "kB"),
    Table("Memory of an idle stream, without slabs: pages (Pss), page tables, kernel stacks", "memory_own_kb", None, "kB"),
    Table("Streams opened a second, up to so many", "opened_per_s", None, "streams a second"),
    Table("Time to first byte at rest", "ttfb_at_rest_p50_ms", None, "ms"),
    Table("Time to first byte while 1,000 streams are open", "ttfb_among_1000_p50_ms", None, "ms"),
    Table("Processor time of idle streams in a minute", "idle_cpu_s_a_minute", None, "s"),
    Table("Resume: many missed events to one client", "resume_ms", None, "ms"),
    Table("Reconnect storm: until the last client has all that it missed", "storm_ms", None, "ms"),
    Table("Events published a second", "published_per_s", 100, "events a second"),
    Table("Events published a second by sse-publish --lines", "published_by_lines_per_s", 100, "events a second"),
    Table("Plain PUBLISH, made records by the recorder, a second", "published_by_recorder_per_s", 100,
          "events a second"),
]
FAULTS = ("lost", "doubled", "swapped", "short_data", "ids_back", "resets", "refused", "ended",
          "latency_not_sent", "slow_latency_not_sent", "failed")
PLOTS = [
    ("latency", "latency_p50_ms", 100, "median latency of one event to all streams (ms)"),
    ("memory", "memory_kb", None, "memory of an idle stream (kB)"),
    ("processor", "cpu_s_per_million", 100, "processor time of a million deliveries (s)"),
]


def number(x):
    """Three digits are all that is known."""
    if x >= 1e6:
        return "%.3g M" % (x / 1e6)
    if x >= 100:
        return "{:,.0f}".format(x)
    return "%.3g" % x


class Results:
    def __init__(self, rows, titles):
        self.rows = rows
        self.titles = titles  # candidate -> title, in order
        self.by = collections.defaultdict(dict)  # (candidate, measure, streams, bytes) -> round -> value
        for r in rows:
            self.by[r.candidate, r.measure, r.streams, r.bytes][r.round] = r.value

    def values(self, candidate, table, streams):
        found = {}
        for (c, m, s, b), rounds in self.by.items():
            if (c, m, s) == (candidate, table.measure, streams) and table.bytes in (None, b):
                found.update(rounds)
        return found

    def sizes(self, table):
        return sorted({s for (_, m, s, b) in self.by if m == table.measure and table.bytes in (None, b)})

    def candidates(self, table):
        return [c for c in self.titles if any(self.values(c, table, s) for s in self.sizes(table))]

    def value(self, candidate, table, streams):
        found = self.values(candidate, table, streams)
        return number(statistics.median(found.values())) if found else "–"

    def ratio(self, candidate, reference, table, streams):
        """The median of the rounds' ratios, and in brackets the least and the most."""
        a, b = self.values(candidate, table, streams), self.values(reference, table, streams)
        # memory that shrank meanwhile is a neighbour's: no ratio to be had
        ratios = sorted(a[r] / b[r] for r in a if a[r] >= 0 and b.get(r, 0) > 0)
        if not ratios:
            return "–"
        text = number(statistics.median(ratios))
        if len(ratios) > 1:
            text += " (%s–%s)" % (number(ratios[0]), number(ratios[-1]))
        return text

    def faults(self):
        """Lines that name what went wrong; "ended" and "not_sent" are told, too."""
        found = []
        for (c, m, s, _), rounds in self.by.items():
            if m in FAULTS:
                found.append("%s, %s streams: %s: %s" % (c, format(s, ","), m.replace("_", " "),
                                                         ", ".join(number(v) for v in rounds.values())))
        return found


def text_tables(results, reference):
    """For the terminal: absolute medians, and ratios to the reference."""
    out = []
    for table in TABLES:
        for n in results.sizes(table):
            cells = []
            for c in results.candidates(table):
                if not results.values(c, table, n):
                    continue
                cell = "%s %s" % (c, results.value(c, table, n))
                if c != reference and results.values(reference, table, n):
                    cell += " = ×" + results.ratio(c, reference, table, n)
                cells.append(cell)
            out.append("  %6s: %s" % (format(n, ","), "   ".join(cells)))
        if results.sizes(table):
            out.insert(len(out) - len(results.sizes(table)), "%s (%s)" % (table.title, table.unit))
    return "\n".join(out)


def markdown_table(results, table, reference):
    """Ratios to the reference, whose own row has what it measured."""
    sizes = results.sizes(table)
    head = ["× " + results.titles[reference]] + [format(n, ",") for n in sizes]
    lines = [head, ["---"] * len(head)]
    for c in results.candidates(table):
        if c == reference:
            cells = ["**%s**" % results.value(c, table, n) for n in sizes]
            lines.append(["**%s**, %s" % (results.titles[c], table.unit)] + cells)
        else:
            lines.append([results.titles[c]] + [results.ratio(c, reference, table, n) for n in sizes])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def alone_table(results, table):
    """What only we have: no ratios."""
    lines = []
    for c in results.candidates(table):
        for n in results.sizes(table):
            lines.append("%s: %s %s." % (results.titles[c], results.value(c, table, n), table.unit))
    return "\n\n".join(lines)


def processes_table(results, streams):
    """Which program has the memory."""
    by = {}
    for (c, m, s, _), rounds in results.by.items():
        if s == streams and m.startswith("own_kb_of_"):
            by.setdefault(c, []).append((statistics.median(rounds.values()), m[len("own_kb_of_"):]))
    lines = ["| at %s streams | kB of a stream, by program |" % format(streams, ","), "| --- | --- |"]
    for c in results.titles:
        if c in by:
            lines.append("| %s | %s |" % (results.titles[c], ", ".join(
                "%s %s" % (name, number(max(kb, 0))) for kb, name in sorted(by[c], reverse=True) if kb > 0.05)))
    return "\n".join(lines) if len(lines) > 2 else ""


def machine(wake):
    model = "an unknown processor"
    with open("/proc/cpuinfo") as lines:
        for line in lines:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    text = "%s, %d cores, Linux %s." % (model, os.cpu_count(), ".".join(platform.release().split(".")[:2]))
    if wake:
        text += (" To wake one process costs %s µs here, %s µs each where a thousand are woken in turn; a bare forked"
                 " process has %s kB, everything counted." % (
                     number(wake["single_p50_us"]), number(wake["us_each"]), number(wake["kb_per_process"])))
    return text


def versions():
    packages = "nginx libnginx-mod-nchan lighttpd redis-server python3-tornado nodejs".split()
    out = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Version}\n", *packages], check=False,
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.decode()
    return ", ".join(line for line in out.splitlines() if not line.endswith(" "))


def write_csv(results, path):
    with open(path, "w", newline="") as f:
        writer = csv.writer(f, lineterminator="\n")
        writer.writerow(Row._fields)
        for row in results.rows:
            writer.writerow(row._replace(value="%.6g" % row.value))


def write_plot(results, folder, name, measure, bytes_, label):
    table = Table(label, measure, bytes_, "")
    blocks, curves = [], []
    for i, c in enumerate(results.candidates(table)):
        points = []
        for n in results.sizes(table):
            values = results.values(c, table, n).values()
            if values and min(values) > 0:
                points.append("%d %.6g %.6g %.6g" % (n, statistics.median(values), min(values), max(values)))
        if points:
            blocks.append("$c%d << END\n%s\nEND" % (i, "\n".join(points)))
            curves.append("$c%d using 1:2:3:4 with yerrorlines linewidth 1.5 title '%s'" % (
                i, results.titles[c].replace("'", "''")))
    if not curves or not shutil.which("gnuplot"):
        return
    script = """%s
set terminal svg size 760,480 dynamic font 'sans-serif,13' background '#ffffff'
set output '%s'
set logscale xy
set grid
set key outside bottom center horizontal
set xlabel 'streams'
set ylabel '%s'
plot %s
""" % ("\n".join(blocks), os.path.join(folder, name + ".svg"), label, ", \\\n\t".join(curves))
    subprocess.run(["gnuplot"], input=script.encode(), check=True)


def write_markdown(results, path, references, wake, how):
    out = ["# Results of `make bench`",
           how,
           machine(wake), versions() + ".",
           "A number in bold is what was measured; the others are ratios to it, each the median of the rounds' own "
           "ratios, with the lowest and the highest in brackets. Times, memory and processor time: less is better. "
           "Deliveries, streams and events a second: more is better. What was measured stands in "
           "[results.csv](results.csv), how in [README.md](README.md)."]
    faults = results.faults()
    out.append("No event was lost, came twice or out of order." if not faults else
               "What went wrong, or was not asked because a candidate was two seconds behind:\n\n" +
               "\n".join("- " + line for line in faults))
    for name, _, _, label in PLOTS:
        if os.path.exists(os.path.join(os.path.dirname(path), name + ".svg")):
            out.append("![%s](%s.svg)" % (label, name))
    for table in TABLES:
        candidates = results.candidates(table)
        if not candidates:
            continue
        out.append("## " + table.title)
        compared = [r for r in references if r in candidates and len(candidates) > 1]
        out += [markdown_table(results, table, r) for r in compared]
        if not compared:
            out.append(alone_table(results, table))
        if table.measure == "memory_own_kb":
            out.append(processes_table(results, 1000 if 1000 in results.sizes(table) else results.sizes(table)[0]))
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n\n".join(part for part in out if part) + "\n")
