#!/usr/bin/python3
"""Measures how the cost grows with locks, with waiters and with the data of a lock.

    tests/growth.py             measure, print; fails if a must is missed
    tests/growth.py --update    and write tests/plots/growth.json and the plots of README.md
    tests/growth.py --check     the musts, in virtual time, and that the plots are those of
                                tests/plots/growth.json

Locks and waiters are those of tests/bench/growth.c, in virtual time: all but the CPU is the same on
every run. The data goes over TLS to dynoxide, by tests/bench/wire.c.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys

import bench
import harness
import plots
import readme

ROOT = pathlib.Path(__file__).resolve().parent.parent
PLOTS = ROOT / "tests/plots"
JSON = PLOTS / "growth.json"

LOCKS = [1, 2, 5, 10, 20, 50, 100, 133, 200, 300, 350, 396, 450, 500, 700, 1000]
WAITERS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]
SIZES = [1, 10, 100, 1000, 10_000, 100_000, 300_000]

CAPTION = """By `make bench`: locks and waiters in virtual time, with a round trip of 50 ms
and the defaults (lease 20 s, poll 1 s); the data over TLS. CPU time:
{machine}.
"""

# of tests/bench/growth.c
LEASE_MS, ROUND_TRIP_MS, POLL_MS = 20_000, 50, 1000
ON_TIME = LEASE_MS // 3 // ROUND_TRIP_MS  # locks renewed when a third of the lease is gone
AT_ALL = LEASE_MS * 99 // 100 // ROUND_TRIP_MS  # renewed once a lease


def virtual(what, count):
    lines = bench.run(bench.PROGRAMS / "growth", what, count).splitlines()
    return {name: float(value) for name, value in map(str.split, lines)}


def measure_sizes():
    """By size, by operation: bytes up, bytes down, writes, seconds of CPU."""
    with bench.wire_server() as servers:
        return {size: bench.wire(servers, size) for size in SIZES}


def machine():
    cpu = re.search(r"^model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    packages = ["libbearssl-dev", "gcc"]
    query = ["dpkg-query", "-W", "-f", "${Package} ${Version}\\n", *packages]
    lines = subprocess.run(query, stdout=subprocess.PIPE, text=True, check=True).stdout
    name = cpu[1] if cpu else "an unknown processor"
    return f"{name}, {os.cpu_count()} cores; {', '.join(lines.splitlines())}, -O2"


def series(name, of, figure, scale=1.0):
    points = [[x, round(of[x][figure] * scale, 3)] for x in of if figure in of[x]]
    return {"name": name, "points": points}


def panel(title, x, *lines, **more):
    return {"title": title, "x": x, "series": list(lines), **more}


def plots_of_locks(locks):
    x = "locks of one client"
    marks = [{"x": ON_TIME, "text": str(ON_TIME)}, {"x": AT_ALL, "text": str(AT_ALL)}]
    return [
        panel("Held after ten leases", x, series("locks", locks, "held"), marks=marks),
        panel(
            "The least that was left of a lease, s",
            x,
            series("seconds", locks, "least_ms", 0.001),
            marks=marks,
        ),
        panel("CPU per renewal, us", x, series("microseconds", locks, "cpu_us")),
    ]


def plots_of_waiters(waiters):
    x = "waiters for one key"
    return [
        panel(
            "Requests of each waiter, per s",
            x,
            series("requests", waiters, "requests_per_second"),
        ),
        panel(
            "Until the next one holds, ms",
            x,
            series("after a release", waiters, "handover_ms"),
            series("after a dead lease", waiters, "takeover_ms"),
        ),
        panel("CPU per request, us", x, series("microseconds", waiters, "cpu_us")),
    ]


def plots_of_sizes(sizes):
    def line(operation, figure, scale=1.0):
        points = [[size, round(of[operation][figure] * scale, 6)] for size, of in sizes.items()]
        return {"name": operation, "points": points}

    x = "bytes of data"
    return [
        panel("Bytes sent", x, line("acquire", 0), line("renew", 0), line("read", 0), log_y=True),
        panel("Bytes received", x, line("read", 1), line("renew", 1), log_y=True),
        panel(
            "CPU, ms",
            x,
            *(line(operation, 3, 1000) for operation in ("acquire", "renew", "read")),
            log_y=True,
        ),
    ]


def measure():
    locks = {count: virtual("locks", count) for count in LOCKS}
    waiters = {count: virtual("waiters", count) for count in WAITERS}
    sizes = measure_sizes()
    drawn = {
        "growth-locks": {
            "title": "How the cost grows with the locks of one client",
            "panels": plots_of_locks(locks),
        },
        "growth-waiters": {
            "title": "How the cost grows with those who wait for one key",
            "panels": plots_of_waiters(waiters),
        },
        "growth-data": {
            "title": "How the cost grows with the data of a lock",
            "panels": plots_of_sizes(sizes),
        },
    }
    return {"machine": machine(), "locks": locks, "waiters": waiters, "plots": drawn}


def complaints(locks, waiters):
    for count, figures in locks.items():
        if count <= ON_TIME and figures["held"] != count:
            yield f"{count} locks of one client: {figures['held']:.0f} are held after ten leases"
    for count, figures in waiters.items():
        if figures["requests_per_second"] > 1000 / POLL_MS:
            yield f"{count} waiters: {figures['requests_per_second']} requests per second of each"
        if figures["refused"] != 0:
            yield f"{count} waiters: {figures['refused']:.0f} writes that could not win"


def check():
    """What is the same on every run."""
    locks = {count: virtual("locks", count) for count in (10, ON_TIME)}
    yield from complaints(locks, {count: virtual("waiters", count) for count in (10, 100)})
    for name, svg in plots.draw_all(json.loads(JSON.read_text())).items():
        path = PLOTS / f"{name}.svg"
        if not path.exists() or path.read_text() != svg:
            yield f"tests/plots/{name}.svg is not what tests/plots/growth.json says (make bench UPDATE=1)"


def main():
    parser = argparse.ArgumentParser(description="Measures how the cost grows.")
    parser.add_argument("--update", action="store_true", help="write tests/plots/")
    parser.add_argument("--check", action="store_true", help="the musts and the plots, no more")
    options = parser.parse_args()
    if options.check:
        failures = list(check())
    else:
        measured = measure()
        for name in ("locks", "waiters"):
            for count, figures in measured[name].items():
                print(f"{count:5} {name}", *(f"{k}={v:g}" for k, v in figures.items()))
        failures = list(complaints(measured["locks"], measured["waiters"]))
        if options.update:
            PLOTS.mkdir(exist_ok=True)
            JSON.write_text(json.dumps(measured, indent=1) + "\n")
            for name, svg in plots.draw_all(measured).items():
                (PLOTS / f"{name}.svg").write_text(svg)
            readme.update("growth", CAPTION.format(**measured))
    for failure in failures:
        print(f"growth: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
