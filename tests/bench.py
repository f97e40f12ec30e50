#!/usr/bin/python3
"""Measures what the lock costs on a host; prints a table, writes build/bench.json.

    tests/bench.py             measure, print; fails if a must is missed
    tests/bench.py --update    and put the table into README.md
    tests/bench.py --check     only what is the same on every run: the instructions of a signature;
                               fails if they are too many or 2 % more than README.md says

Three clients are measured in turns, on the same server, over plain HTTP: dynalock.h with its POSIX
port; a loop that sends the recorded bytes of the same requests; boto3. What is said of each is its
median, and of two the median of their ratios, turn by turn.
"""

import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys

import harness
import readme

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAMS = ROOT / "build/bench"
REQUESTS = PROGRAMS / "requests"  # as recorded
RESULT = ROOT / "build/bench.json"

SIGNATURES = 200
TURNS = 9
CYCLES = 600
SIGNATURE = "instructions of one signature"
MOST_INSTRUCTIONS = 90_000
LEAST_SPEED = 0.80  # of the raw loop's cycles
LEAST_THRIFT = 10  # boto3's CPU over ours
TOLERANCE = 1.02


def run(*command):
    result = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, text=True)
    if result.returncode != 0:
        sys.exit(f"bench.py: failed: {' '.join(map(str, command))}")
    return result.stdout


# ---- a signature --------------------------------------------------------------------------------


def instructions(count):
    """What the whole program takes to sign so often."""
    valgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    command = [*valgrind, PROGRAMS / "sign", str(count)]
    result = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    collected = re.search(r"Collected : (\d+)", result.stderr)
    if result.returncode != 0 or not collected:
        sys.exit(f"bench.py: callgrind failed\n{result.stderr}")
    return int(collected[1])


def signature_instructions():
    return (instructions(2 * SIGNATURES) - instructions(SIGNATURES)) // SIGNATURES


# ---- cycles -------------------------------------------------------------------------------------


class Cycles:
    """Cycles of acquire and release on one server, by client."""

    def __init__(self, url):
        self.url = url
        self.port = url.rpartition(":")[2]
        run(PROGRAMS / "cycles", "record", url, CYCLES, REQUESTS)

    def dynalock(self):
        return run(PROGRAMS / "cycles", "run", self.url, CYCLES)

    def raw(self):
        key = {"key": {"S": "bench/replayed"}}
        status, answer = harness.call(self.port, "DeleteItem", {"TableName": "locks", "Key": key})
        if status != 200:
            sys.exit(f"bench.py: DeleteItem: {answer}")
        return run(PROGRAMS / "replay", self.port, CYCLES, REQUESTS)

    def boto3(self):
        script = ROOT / "tests/bench/boto3_cycles.py"
        return run(harness.SYSTEM_PYTHON, script, self.url, CYCLES)

    def measure(self):
        """By client, turn after turn: cycles per second, and microseconds of CPU per cycle."""
        clients = {"dynalock": self.dynalock, "raw": self.raw, "boto3": self.boto3}
        turns = {name: {"speed": [], "cpu": []} for name in clients}
        for _ in range(TURNS):
            for name, client in clients.items():
                seconds, cpu_seconds = map(float, client().split())
                turns[name]["speed"].append(CYCLES / seconds)
                turns[name]["cpu"].append(cpu_seconds / CYCLES * 1e6)
        return turns


def bytes_on_the_wire(url):
    lines = run(PROGRAMS / "cycles", "bytes", url).splitlines()
    return {name: (int(up), int(down)) for name, up, down in map(str.split, lines)}


def median_ratio(above, below):
    return statistics.median(a / b for a, b in zip(above, below))


def measure_cycles():
    with harness.Servers("dynoxide") as servers:
        url = servers.url["direct"]
        wire = bytes_on_the_wire(url)
        turns = Cycles(url).measure()
    medians = {
        name: {figure: statistics.median(values) for figure, values in figures.items()}
        for name, figures in turns.items()
    }
    return {
        "turns": turns,
        "medians": medians,
        "speed of raw": median_ratio(turns["dynalock"]["speed"], turns["raw"]["speed"]),
        "cpu of boto3": median_ratio(turns["boto3"]["cpu"], turns["dynalock"]["cpu"]),
        "bytes": wire,
    }


# ---- the table ----------------------------------------------------------------------------------


def render(result):
    medians, wire = result["medians"], result["bytes"]
    names = {"dynalock": "dynalock.h", "raw": "a loop that sends recorded bytes", "boto3": "boto3"}
    version = run("gcc", "-dumpfullversion").strip()
    rows = [[SIGNATURE, readme.number(result["signature"]), f"at most {MOST_INSTRUCTIONS:,}"]]
    for name, label in names.items():
        speed = readme.number(round(medians[name]["speed"]))
        rows.append([f"cycles per second, {label}", speed, ""])
    speed, least = f"{result['speed of raw']:.2f}", f"at least {LEAST_SPEED:.2f}"
    rows.append(["cycles per second, dynalock.h over the loop", speed, least])
    for name, label in names.items():
        cpu = readme.number(round(medians[name]["cpu"]))
        rows.append([f"CPU per cycle, {label}", f"{cpu} us", ""])
    thrift = f"{result['cpu of boto3']:.1f}"
    rows.append(["CPU per cycle, boto3 over dynalock.h", thrift, f"at least {LEAST_THRIFT}"])
    for name, (up, down) in wire.items():
        rows.append([f"bytes sent / received, {name}", f"{up:,} / {down:,}", ""])
    caption = (
        f"x86-64, {os.cpu_count()} cores, gcc {version} -O2. A signature: 418-byte body, the "
        "day's key\ncached, no session token, counted by callgrind. A cycle: acquire and release\n"
        f"over plain HTTP to dynoxide on the same machine; medians of {TURNS} turns of\n{CYCLES} "
        "cycles. Bytes: TCP payload, short names, no session token.\n\n"
    )
    return caption + readme.table(["figure", "measured", "must"], rows)


def complaints(result, check):
    signature = result["signature"]
    if signature > MOST_INSTRUCTIONS:
        yield f"{SIGNATURE}: {signature:,}, must be at most {MOST_INSTRUCTIONS:,}"
    if check:
        before = readme.figures("bench").get((SIGNATURE, "measured"))
        if before is None:
            yield f"{SIGNATURE}: not in README.md (make bench UPDATE=1)"
        elif signature > before * TOLERANCE:
            yield f"{SIGNATURE}: {signature:,}, README.md says {before:,}"
        return
    if result["speed of raw"] < LEAST_SPEED:
        yield f"cycles: {result['speed of raw']:.2f} of the raw loop's, must be {LEAST_SPEED}"
    if result["cpu of boto3"] < LEAST_THRIFT:
        yield f"CPU: boto3 takes {result['cpu of boto3']:.1f} times ours, must be {LEAST_THRIFT}"


def main():
    parser = argparse.ArgumentParser(description="Measures what the lock costs on a host.")
    parser.add_argument("--update", action="store_true", help="put the table into README.md")
    parser.add_argument("--check", action="store_true", help="compare the instructions, no more")
    options = parser.parse_args()
    result = {"signature": signature_instructions()}
    if options.check:
        print(f"{SIGNATURE}: {result['signature']:,}")
    else:
        result.update(measure_cycles())
        RESULT.write_text(json.dumps(result, indent=1) + "\n")
        text = render(result)
        print(text)
        if options.update:
            readme.update("bench", text)
    failures = list(complaints(result, options.check))
    for failure in failures:
        print(f"bench: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
