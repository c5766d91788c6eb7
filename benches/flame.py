#!/usr/bin/env python3
"""Where `kubetell run` spends its time, as a flame graph.

`tests/bench flame` runs it: the pipeline benchmark lets `perf` take samples of the last `kubetell run`,
and what they say is drawn to docs/measurements/flame.svg: a row a call, the widest below, as wide as the
share of the samples that went through it; the lowest row are the threads. Pointing at a box tells its
name and share. Needs the right to take samples (`kernel.perf_event_paranoid`), which root has.
`--from FILE` draws a profile that is there.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections import Counter
from html import escape
from pathlib import Path

import growth

OUT = growth.OUT / "flame.svg"
WIDTH, ROW, LEFT, TOP = 1200, 16, 10, 60
# Of all samples; a box below this has no room for a letter.
LEAST_SHARE = 0.002

KINDS = [
    ("kubetell", "#93c5fd", re.compile(r"kubetell::|<kubetell")),
    ("JSON", "#86efac", re.compile(r"serde")),
    ("searches", "#fde68a", re.compile(r"aho_corasick|memchr|regex")),
    ("librdkafka, codecs", "#fdba74", re.compile(r"^rd_|^rdk|LZ4|XXH|ZSTD|rdkafka|_poll_|consumer_serve")),
    ("system", "#d1d5db", re.compile(r"")),
]


def record(events):
    program = growth.build(["pipeline"])["pipeline"]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "perf.data"
        subprocess.run(
            [program, "--events", str(events), "--rounds", "1", "--perf", str(file)], cwd=growth.ROOT, check=True)
        return script(file)


def script(file):
    """perf's own text of a profile: of each sample a line with the thread, and then one a call."""
    return subprocess.run(
        ["perf", "script", "-i", str(file), "--no-inline", "-F", "comm,ip,sym"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, text=True, errors="replace").stdout


def call(line):
    """The name of a call, without its address, its offset and the hash that a compiler adds."""
    _, _, name = line.strip().partition(" ")
    name = re.sub(r"\+0x[0-9a-f]+$", "", name)
    return re.sub(r"::h[0-9a-f]{16}$", "", name) or "[unknown]"


def stacks(text):
    """How often each chain of calls was seen, from the thread on."""
    seen = Counter()
    for sample in text.split("\n\n"):
        lines = [line for line in sample.split("\n") if line.strip()]
        if not lines:
            continue
        # perf names a thread that had none yet when it began by its number.
        thread = re.sub(r"[\d:-]+$", "", lines[0].strip()) or "[no name]"
        calls = [call(line) for line in lines[1:]]
        seen[(thread, *reversed(calls))] += 1
    return seen


def boxes(seen):
    """(depth, first sample, samples, name), chains that begin alike side by side."""
    drawn, begun, at = [], [], 0

    def end(depth):
        while len(begun) > depth:
            first, name = begun.pop()
            drawn.append((len(begun), first, at - first, name))

    before = ()
    for chain in sorted(seen):
        alike = 0
        while alike < min(len(chain), len(before)) and chain[alike] == before[alike]:
            alike += 1
        end(alike)
        begun.extend((at, name) for name in chain[alike:])
        at += seen[chain]
        before = chain
    end(0)
    return drawn, at


def short(name):
    """Without what is between angle brackets, and with two parts of a path at most."""
    plain = name
    while (fewer := re.sub(r"<[^<>]*>", "", plain)) != plain:
        plain = fewer
    plain = "::".join(part for part in plain.split("::") if part) or name
    return "::".join(plain.split("::")[-2:])


def kind(name):
    return next(colour for _, colour, names in KINDS if names.search(name))


def picture(seen):
    drawn, samples = boxes(seen)
    drawn = [box for box in drawn if box[2] >= LEAST_SHARE * samples]
    height = TOP + (max(depth for depth, *_ in drawn) + 1) * ROW + 10
    scale = (WIDTH - 2 * LEFT) / samples
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="11">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="{LEFT}" y="20" font-size="14">kubetell run: {samples:,} samples of processor time, by thread</text>',
    ]
    for number, (name, colour, _) in enumerate(KINDS):
        x = LEFT + 160 * number
        parts.append(
            f'<rect x="{x}" y="30" width="12" height="12" fill="{colour}"/><text x="{x + 17}" y="40">{name}</text>')
    for depth, first, count, name in drawn:
        x, y, width = LEFT + first * scale, height - 10 - (depth + 1) * ROW, count * scale
        letters = int(width / 6.2)
        label = short(name)
        label = label if len(label) <= letters else label[: max(letters - 1, 0)] + "…"
        told = f"{name}: {100 * count / samples:.1f} %"
        text = f'<text x="{x + 2:.1f}" y="{y + 12}">{escape(label)}</text>' if letters > 2 else ""
        parts.append(
            f'<g><title>{escape(told)}</title><rect x="{x:.1f}" y="{y}" width="{max(width - 0.5, 0.5):.1f}" '
            f'height="{ROW - 1}" fill="{kind(name) if depth else "#c4b5fd"}"/>{text}</g>')
    return "\n".join(parts) + "\n</svg>\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=500_000)
    parser.add_argument("--from", dest="profile", help="a profile that `perf record` wrote")
    arguments = parser.parse_args()
    text = script(arguments.profile) if arguments.profile else record(arguments.events)
    seen = stacks(text)
    if not seen:
        sys.exit("error: perf took no samples\n\nhint: it needs root, or `kernel.perf_event_paranoid` at 1 or less")
    OUT.write_text(picture(seen))
    _, samples = boxes(seen)
    through = Counter()
    for chain, count in seen.items():
        for name in set(chain):
            through[name] += count
    print(f"{samples} samples; through each, itself or below it:")
    for name, count in through.most_common(45):
        print(f"{100 * count / samples:5.1f} %  {name}")


if __name__ == "__main__":
    main()
