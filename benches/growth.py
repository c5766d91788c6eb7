#!/usr/bin/env python3
"""What an event costs as things grow: partitions, rules, terms, candidates, event size, workers.

`tests/bench growth` runs it: it builds the benchmarks pipeline, rules and restore, lets them measure
point by point, and writes to docs/measurements, for each sweep, growth-NAME.jsonl (what the benchmark
said), growth-NAME.svg, and growth.md with all tables. `--only NAME,…` measures some sweeps again;
`--draw` measures nothing and makes the pictures and tables of what is there.

Knows no benchmark's insides: a point is arguments in, lines of JSON out.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "docs" / "measurements"
POINT_MAX_SECONDS = 900
EVENTS = 800_000
ROUNDS = 3


class Sweep:
    """One thing that grows. `points` are (benchmark, arguments); each may say several lines."""

    def __init__(self, name, title, axis, x, points, series, columns, about, wanted=lambda line: True):
        self.name, self.title, self.axis, self.x = name, title, axis, x
        self.points, self.series, self.columns, self.about = points, series, columns, about
        self.wanted = wanted


def pipeline(events=EVENTS, **arguments):
    words = ["--events", str(events), "--rounds", str(ROUNDS)]
    for name, value in arguments.items():
        words += ["--" + name.replace("_", "-"), str(value)]
    return ("pipeline", words)


# Seconds a million events are microseconds an event.
PIPELINE_SERIES = [
    ("kubetell, µs of processor an event", lambda line: line["cpu_seconds_a_million"]["kubetell"]),
    ("reader, µs of processor an event", lambda line: line["cpu_seconds_a_million"]["reader"]),
]
PIPELINE_COLUMNS = [
    ("reader, µs of processor an event", lambda line: f'{line["cpu_seconds_a_million"]["reader"]:.2f}'),
    ("kubetell, µs", lambda line: f'{line["cpu_seconds_a_million"]["kubetell"]:.2f}'),
    ("ratio", lambda line: f'{line["cpu_seconds_a_million"]["ratio"]:.1f}'),
    ("ratio of wall time", lambda line: f'{line["handled_seconds"]["ratio"]:.1f}'),
    ("kubetell, thousand events a second",
     lambda line: f'{line["events"] / 1e3 / line["handled_seconds"]["kubetell"]:.0f}'),
    ("MB resident at most", lambda line: f'{line["resident_mb"]["kubetell"]:.0f}'),
]


def written(kind):
    return lambda line: f'{1e6 * line["written"][kind] / line["events"]:,.0f}'


SWEEPS = [
    Sweep(
        "partitions", "An event's cost by partitions of the source", "partitions", lambda line: line["partitions"],
        [pipeline(partitions=count) for count in (1, 12, 96)],
        PIPELINE_SERIES, [("partitions", lambda line: str(line["partitions"]))] + PIPELINE_COLUMNS,
        f"{EVENTS:,} events, 5 in 100 concern the rules.",
    ),
    Sweep(
        "candidates", "An event's cost by the share that concerns the rules", "events in 100 that concern the rules",
        lambda line: line["candidates"],
        [pipeline(candidates=share) for share in (1, 5, 20, 50, 100)],
        PIPELINE_SERIES,
        [("in 100", lambda line: str(line["candidates"]))] + PIPELINE_COLUMNS
        + [("observations a million events", written("observations")), ("records of alerts", written("alerts"))],
        f"{EVENTS:,} events, 12 partitions. Half of what concerns the rules are execs, of which 4 in 100 alert, half "
        "are reads of Secrets, each of which is an observation unless the cache knows that it was sent.",
    ),
    Sweep(
        "size", "An event's cost by its size", "bytes of an event (median)", lambda line: line["event_bytes"],
        [pipeline(events=events, event_bytes=size) for size, events in
         ((700, EVENTS), (1_024, EVENTS), (4_096, 300_000), (16_384, 100_000), (65_536, 30_000))],
        PIPELINE_SERIES,
        [("bytes", lambda line: f'{line["event_bytes"]:,.0f}')] + PIPELINE_COLUMNS
        + [("kubetell, MB a second", lambda line: f'{line["bytes"] / 1e6 / line["handled_seconds"]["kubetell"]:.0f}')],
        "All records are bare events that a request's object fills up to the size. Longer events hold a word of the rules more often (a probe by exec), and are then parsed. Of the longest "
        "there are only 30,000: the start weighs more there.",
    ),
    Sweep(
        "workers", "An event's cost by workers", "workers", lambda line: line["workers"],
        [pipeline(candidates=20, workers=count) for count in (1, 2)],
        PIPELINE_SERIES, [("workers", lambda line: str(line["workers"]))] + PIPELINE_COLUMNS,
        f"{EVENTS:,} events, 20 in 100 concern the rules, 12 partitions.",
    ),
    Sweep(
        "rules", "A record's cost by rules", "rules", lambda line: line["rules"],
        [("rules", ["--events", "50000", "--rounds", "41"])],
        [("µs a record, bare events",
          lambda line: line["ns_a_record"] / 1e3 if line["records_of"] == "bare" else None),
         ("µs a record, all wrappers",
          lambda line: line["ns_a_record"] / 1e3 if line["records_of"] == "all" else None)],
        [("records", lambda line: line["records_of"]), ("rules", lambda line: str(line["rules"])),
         ("µs a record", lambda line: f'{line["ns_a_record"] / 1e3:.2f}'),
         ("to the built-in ones", lambda line: f'{line["ratio"]:.2f}'),
         ("pass the prefilter", lambda line: f'{100 * line["passed"]:.0f} in 100')],
        "The demo's log, one thread, without Kafka; the fastest of 41 rounds in which all sets take turns. The built-in rules "
        "and 1, 10, 50 and 200 generated ones with a query, of the kind that is published for audit logs.",
        wanted=lambda line: str(line["generated_rules"]).isdigit(),
    ),
    Sweep(
        "terms", "A takeover by terms", "terms", lambda line: line["terms"],
        [("restore", ["--terms", str(terms)]) for terms in (10_000, 1_000_000, 5_000_000)],
        [("µs a term, into an empty state",
          lambda line: 1e6 * line["seconds"] / line["terms"] if "empty" in line["what"] else None),
         ("µs of processor a term",
          lambda line: 1e6 * line["cpu_seconds"] / line["terms"] if "empty" in line["what"] else None)],
        [("", lambda line: line["what"]), ("terms", lambda line: f'{line["terms"]:,}'),
         ("s", lambda line: f'{line["seconds"]:.2f}'),
         ("thousand terms a second", lambda line: f'{line["terms"] / 1e3 / line["seconds"]:.0f}'),
         ("s of processor", lambda line: f'{line["cpu_seconds"]:.2f}'),
         ("MB resident at most", lambda line: f'{line["resident_at_most_mb"]:,}'),
         ("MB of state", lambda line: f'{line["disk_mb"]:,.0f}'),
         ("MB of log on the broker", lambda line: f'{line["log_bytes"] / 1e6:,.0f}')],
        "12 partitions, two threads that take over, a process of its own. State and memory beside the log; one record a term.",
    ),
]


def build(names):
    """The executables of benchmarks by their names. Built as a release, so that the folder is the release's."""
    command = ["cargo", "build", "--release", "--locked", "--message-format=json-render-diagnostics"]
    for name in names:
        command += ["--bench", name]
    built = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True)
    executables = {}
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and "bench" in message["target"]["kind"]:
            executables[message["target"]["name"]] = message["executable"]
    return executables


def measure(sweep, executables):
    lines = []
    for number, (name, words) in enumerate(sweep.points, 1):
        print(f"{sweep.name} {number}/{len(sweep.points)}: {name} {' '.join(words)}", file=sys.stderr, flush=True)
        with tempfile.NamedTemporaryFile("r") as said:
            subprocess.run(
                [executables[name], *words, "--json", said.name], cwd=ROOT, check=True,
                stdout=subprocess.DEVNULL, timeout=POINT_MAX_SECONDS)
            lines += [json.loads(line) for line in said]
        # What is measured is kept when a later point fails.
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (OUT / f"growth-{sweep.name}.jsonl").write_text(text)
    wrong = [line for line in lines if line.get("exact") is False]
    if wrong:
        sys.exit(f"error: the alerts of {sweep.name} were not those that the log holds: {wrong}")


def read(sweep):
    file = OUT / f"growth-{sweep.name}.jsonl"
    if not file.exists():
        return []
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    return [line for line in lines if sweep.wanted(line)]


def table(sweep, lines):
    heads = [head for head, _ in sweep.columns]
    rows = [[of(line) for _, of in sweep.columns] for line in lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in [heads, ["---"] * len(heads), *rows])


def step(most):
    """A round distance of grid lines: four to eight of them."""
    rough = most / 5
    power = 10 ** math.floor(math.log10(rough))
    return next(unit * power for unit in (1, 2, 5, 10) if unit * power >= rough)


def short(value):
    for unit, name in ((1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:.3g}{name}"
    return f"{value:.3g}"


COLOURS = ["#1d4ed8", "#b45309"]


def picture(sweep, lines):
    """Costs from zero on; what grows by its logarithm."""
    width, height, left, right, top, bottom = 720, 340, 60, 30, 56, 50
    drawn = []
    for name, of in sweep.series:
        points = [(sweep.x(line), of(line)) for line in lines]
        drawn.append((name, sorted(point for point in points if point[1] is not None)))
    xs = sorted({x for _, points in drawn for x, _ in points})
    most = max(y for _, points in drawn for _, y in points)
    grid = step(most)
    most = math.ceil(most / grid) * grid
    least_log, span = math.log(xs[0]), math.log(xs[-1] / xs[0]) or 1.0

    def at(x, y):
        across = left + (math.log(x) - least_log) / span * (width - left - right)
        return across, height - bottom - y / most * (height - top - bottom)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="{left}" y="20" font-size="14">{sweep.title}</text>',
    ]
    for number in range(round(most / grid) + 1):
        _, y = at(xs[0], number * grid)
        parts.append(
            f'<line x1="{left}" x2="{width - right}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
            f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{short(number * grid)}</text>')
    for x in xs:
        across, y = at(x, 0)
        parts.append(f'<text x="{across:.1f}" y="{y + 16:.1f}" text-anchor="middle">{short(x)}</text>')
    parts.append(f'<text x="{(left + width - right) / 2}" y="{height - 10}" text-anchor="middle">{sweep.axis}</text>')
    for number, (name, points) in enumerate(drawn):
        colour, places = COLOURS[number], [at(*point) for point in points]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        for (x, y), (_, value) in zip(places, points):
            parts.append(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>'
                f'<text x="{x:.1f}" y="{y - 7:.1f}" text-anchor="middle" fill="{colour}">{short(value)}</text>')
        parts.append(f'<text x="{left + 300 * number}" y="38" fill="{colour}">{name}</text>')
    return "\n".join(parts) + "\n</svg>\n"


def conditions(measured):
    loads = [line["load"] for _, lines in measured for line in lines if "load" in line]
    if not loads:
        return ""
    return f" The load average was {min(loads):.1f} to {max(loads):.1f} while it was measured, the broker's own included."


def write(measured):
    text = [
        "# What an event costs as things grow",
        "",
        "Written by `tests/bench growth`, which measures each point and draws the pictures. What the pipeline benchmark measures "
        "is told in [performance.md](../performance.md): broker, reader and kubetell on one machine, each in turn, medians of "
        f"{ROUNDS} rounds, and an error unless all alerts are exact. The processor time is of the whole process, its start "
        "included; the time of the threads that deliver records is the reader's, too. A ratio is taken round by round, then its "
        f"median. The machine had {os.cpu_count()} cores.{conditions(measured)} Each picture's data lies beside it as `.jsonl`.",
        "",
    ]
    for sweep, lines in measured:
        (OUT / f"growth-{sweep.name}.svg").write_text(picture(sweep, lines))
        text += [
            f"## {sweep.title}", "", sweep.about, "", table(sweep, lines), "",
            f"![{sweep.title}](growth-{sweep.name}.svg)", "",
        ]
    (OUT / "growth.md").write_text("\n".join(text))


def main():
    names = [sweep.name for sweep in SWEEPS]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(names), help="some of " + ", ".join(names))
    parser.add_argument("--draw", action="store_true", help="measure nothing; pictures and tables of what is there")
    arguments = parser.parse_args()
    only = arguments.only.split(",")
    unknown = [name for name in only if name not in names]
    if unknown:
        parser.error(f"there is no sweep {', '.join(unknown)}")
    begun = time.monotonic()
    if not arguments.draw:
        wanted = [sweep for sweep in SWEEPS if sweep.name in only]
        executables = build(sorted({name for sweep in wanted for name, _ in sweep.points}))
        for sweep in wanted:
            measure(sweep, executables)
            print(f"{time.monotonic() - begun:.0f} s so far", file=sys.stderr, flush=True)
    measured = [(sweep, lines) for sweep in SWEEPS if (lines := read(sweep))]
    write(measured)
    for sweep, lines in measured:
        print(f"\n{sweep.title}\n\n{table(sweep, lines)}")


if __name__ == "__main__":
    main()
