#!/usr/bin/python3
"""Adds up which lines and branches of dynalock.h the programs in build/coverage have run.

    tests/coverage.py [--list]    with --list also what is not covered and has its reason

The programs are built by gcc with --coverage and have run before (see the Makefile). A branch is
one way out of one condition, as gcc sees it. What no program reaches has to stand in
tests/coverage.txt with its reason, by function and text of the line; a reason for what is covered
by now is a failure, too. The last line is `N passed, N failed`, of functions.
"""

import collections
import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
DATA = ROOT / "build/coverage"
HEADER = ROOT / "dynalock.h"
REASONS = ROOT / "tests/coverage.txt"

LEAST_LINES = 100.0  # percent, without those that have their reason
LEAST_BRANCHES = 98.0  # percent of all, whatever the reasons

SIZES = re.compile(r"(_\d+)+$")  # in the names of functions: what a program's options are


def read_counts():
    """Yields (line number, function, count, counts of its branches), of each object."""
    for data in sorted(DATA.rglob("*.gcda")):
        command = ["gcov", "--json-format", "--branch-probabilities", "--stdout", data.name]
        run = subprocess.run(command, cwd=data.parent, capture_output=True, text=True, check=True)
        for file in json.loads(run.stdout)["files"]:
            if pathlib.Path(file["file"]).name != HEADER.name:
                continue
            for line in file["lines"]:
                function = SIZES.sub("", line.get("function_name", ""))
                branches = tuple(branch["count"] for branch in line["branches"])
                yield line["line_number"], function, line["count"], branches


class Line:
    """What all programs together have run of it. Its number of branches may differ between them,
    because of options: those of most programs stand for it, if any has branches there."""

    def __init__(self):
        self.function, self.count, self.shapes = "", 0, collections.defaultdict(list)

    def add(self, function, count, branches):
        self.function = function or self.function
        self.count += count
        if branches:
            self.shapes[len(branches)].append(branches)

    def branches(self):
        most = max(self.shapes.values(), key=lambda shape: (len(shape), len(shape[0])), default=[])
        return [sum(counts) for counts in zip(*most)]


def add_up():
    lines = collections.defaultdict(Line)
    for number, *counts in read_counts():
        lines[number].add(*counts)
    return lines


def read_reasons():
    """{(function, text of the line, what is missing): reason}; the file explains itself."""
    reasons, reason = {}, None
    for line in REASONS.read_text().splitlines():
        if line.startswith("#") or not line.strip():
            continue
        if not line.startswith(" "):
            reason = line.strip()
            continue
        place, _, text = line.strip().partition(": ")
        missing, _, function = place.partition(" ")
        reasons[function, text, missing] = reason
    return reasons


def find_gaps(lines):
    """Yields (function, text, how much is missing, line number, what) for each line not covered
    whole."""
    source = HEADER.read_text().splitlines()
    for number, line in sorted(lines.items()):
        branches = line.branches()
        missing = [str(i) for i, count in enumerate(branches) if count == 0]
        if line.count == 0:
            yield line.function, source[number - 1].strip(), "never", number, "never run"
        elif missing:
            what = f"branch {', '.join(missing)} of {len(branches)}"
            yield line.function, source[number - 1].strip(), str(len(missing)), number, what


def percent(part, whole):
    return 100.0 * part / whole


def main():
    if sys.argv[1:] not in ([], ["--list"]):
        sys.exit(__doc__)
    lists = bool(sys.argv[1:])
    lines = add_up()
    if not lines:
        sys.exit("coverage.py: no program has run")
    reasons, gaps = read_reasons(), list(find_gaps(lines))
    used = {tuple(place) for *place, _, _ in gaps}
    failures, bad = 0, set()
    for function, text, missing, number, what in gaps:
        reason = reasons.get((function, text, missing))
        if reason is None or lists:
            print(f"dynalock.h:{number}: {function}: {what}: {text}")
        if reason is None:
            bad.add(function)
        elif lists:
            print(f"    {reason}")
    for function, text, missing in sorted(set(reasons) - used):
        print(f"{REASONS.name}: covered, or gone: {missing} {function}: {text}")
        failures += 1

    run = sum(line.count > 0 for line in lines.values())
    unrun = sum(missing == "never" for _, _, missing, *_ in gaps)
    excused = sum(place[2] == "never" and tuple(place) in reasons for *place, _, _ in gaps)
    counts = [count for line in lines.values() for count in line.branches()]
    branches, taken = len(counts), sum(count > 0 for count in counts)
    failures += percent(run, len(lines) - excused) < LEAST_LINES
    failures += percent(taken, branches) < LEAST_BRANCHES
    print(f"lines {run} of {len(lines)} ({percent(run, len(lines)):.2f} %), {unrun} not run")
    print(f"branches {taken} of {branches} ({percent(taken, branches):.2f} %)")
    functions = {line.function for line in lines.values()}
    failures += len(bad)
    print(f"{len(functions - bad)} passed, {failures} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
