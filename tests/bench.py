#!/usr/bin/python3
"""Measures what the lock costs on a host; prints a table, writes build/bench.json.

    tests/bench.py             measure, print; fails if a must is missed
    tests/bench.py --update    and put the table into README.md
    tests/bench.py --check     only what is the same on every run: the instructions of a signature
                               and the bytes on the wire; fails if they are too many or 2 % more
                               than README.md says

What a Cortex-M takes is counted by `make firmware`. Here three clients are measured in turns, on the
same server, over plain HTTP: dynalock.h with its POSIX port; a loop that sends the recorded bytes
of the same requests; boto3. What is said of each is its median, and of two the median of their
ratios, turn by turn.
"""

import argparse
import contextlib
import json
import os
import pathlib
import re
import selectors
import socket
import statistics
import subprocess
import sys
import threading

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

# Not measured here: instructions of AWS' SigV4 library for embedded C, of commit 892bcbb (1.3.0 and
# later), with BearSSL's SHA-256, the same request and -O2, counted by callgrind, too. On a Cortex-M3
# with -Os they are 107,440, or 100,720 if its caller sorts the headers.
REFERENCE = 130_499

REGION, TABLE = "eu-central-1", "dynalock"
WIRE = {  # operations of tests/bench/wire.c; the most bytes up and down
    "handshake": None,
    "resumption": (400, 400),
    "acquire": None,
    "renew": (1120, 500),
    "read": None,
    "release": None,
}
ONE_WRITE = ("renew", "read", "release")  # and so one packet


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


class Relay:
    """Carries one connection after another to a port of this host, and counts its bytes."""

    def __init__(self, port):
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.up = self.down = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            near, _ = self._listener.accept()
            with near, socket.create_connection(("127.0.0.1", self._target)) as far:
                self._carry(near, far)

    def _carry(self, near, far):
        with selectors.DefaultSelector() as ready:
            ready.register(near, selectors.EVENT_READ, far)
            ready.register(far, selectors.EVENT_READ, near)
            while True:
                for key, _ in ready.select():
                    data = key.fileobj.recv(65536)
                    if not data:
                        return
                    key.data.sendall(data)
                    if key.fileobj is near:
                        self.up += len(data)
                    else:
                        self.down += len(data)


def boto3_bytes(url):
    """Of one cycle: what a run of a thousand more takes more."""
    totals = []
    for cycles in (100, 1100):
        relay = Relay(int(url.rpartition(":")[2]))
        script = ROOT / "tests/bench/boto3_cycles.py"
        run(harness.SYSTEM_PYTHON, script, f"http://127.0.0.1:{relay.port}", cycles)
        totals.append((relay.up, relay.down))
    (up, down), (more_up, more_down) = totals
    return (more_up - up) // 1000, (more_down - down) // 1000


# ---- over TLS -----------------------------------------------------------------------------------


@contextlib.contextmanager
def wire_server():
    """A server for tests/bench/wire.c, with its table, behind the proxy that checks signatures."""
    with harness.Servers("dynoxide", REGION) as servers:
        port = servers.url["direct"].rpartition(":")[2]
        definition = harness.table_definition(TABLE, {"key": "S"})
        status, answer = harness.call(port, "CreateTable", definition)
        if status != 200:
            sys.exit(f"bench.py: CreateTable: {answer}")
        harness.wait_until_active(port, TABLE)
        yield servers


def wire(servers, data_size=None):
    """By operation: bytes up, bytes down, writes, seconds of CPU."""
    port = servers.url["https"].rpartition(":")[2]
    size = [] if data_size is None else [data_size]
    output = run(PROGRAMS / "wire", port, harness.BUILD / "pki/ca.pem", *size)
    lines = (line.split() for line in output.splitlines())
    return {
        name: (int(up), int(down), int(writes), float(cpu)) for name, up, down, writes, cpu in lines
    }


def measure_wire():
    with wire_server() as servers:
        return wire(servers)


def median_ratio(above, below):
    return statistics.median(a / b for a, b in zip(above, below))


def measure_cycles():
    with harness.Servers("dynoxide") as servers:
        url = servers.url["direct"]
        plain = bytes_on_the_wire(url)
        of_boto3 = boto3_bytes(url)
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
        "bytes": plain,
        "boto3 bytes": of_boto3,
    }


# ---- the table ----------------------------------------------------------------------------------


def rows_of_wire(result):
    for operation, most in WIRE.items():
        up, down, _, _ = result["wire"][operation]
        most_up, most_down = most or ("", "")
        yield [operation, *map(readme.number, (up, most_up, down, most_down))]


def rows_of_cycles(result):
    medians = result["medians"]
    names = {"dynalock": "dynalock.h", "raw": "a loop that sends recorded bytes", "boto3": "boto3"}
    for name, label in names.items():
        speed = readme.number(round(medians[name]["speed"]))
        yield [f"cycles per second, {label}", speed, ""]
    speed, least = f"{result['speed of raw']:.2f}", f"at least {LEAST_SPEED:.2f}"
    yield ["cycles per second, dynalock.h over the loop", speed, least]
    for name, label in names.items():
        cpu = readme.number(round(medians[name]["cpu"]))
        yield [f"CPU per cycle, {label}", f"{cpu} us", ""]
    thrift = f"{result['cpu of boto3']:.1f}"
    yield ["CPU per cycle, boto3 over dynalock.h", thrift, f"at least {LEAST_THRIFT}"]
    acquire, release = (result["bytes"][name] for name in ("acquire", "release"))
    ours = [a + b for a, b in zip(acquire, release)]
    for label, (up, down) in {"dynalock.h": ours, "boto3": result["boto3 bytes"]}.items():
        yield [f"bytes sent / received per cycle, {label}", f"{up:,} / {down:,}", ""]
    for name, (up, down) in result["bytes"].items():
        yield [f"bytes sent / received, {name}", f"{up:,} / {down:,}", ""]


def render(result):
    version = run("gcc", "-dumpfullversion").strip()
    rows = [
        [SIGNATURE, readme.number(result["signature"]), f"at most {MOST_INSTRUCTIONS:,}"],
        ["the same by AWS' SigV4 library for embedded C", f"({REFERENCE:,})", ""],
        *rows_of_cycles(result),
    ]
    caption = (
        f"x86-64, {os.cpu_count()} cores, gcc {version} -O2. A signature: 418-byte body, the "
        "day's key\ncached, no session token, counted by callgrind. AWS' library (1.3, commit\n"
        "892bcbb, BearSSL's SHA-256) was measured so once, elsewhere; on a Cortex-M3, -Os,\nit took "
        "107,440 (ours: On boards). A cycle: acquire and release\n"
        f"over plain HTTP to dynoxide on the same machine; medians of {TURNS} turns of\n{CYCLES} "
        "cycles. Bytes: TCP payload, short names, no session token.\n\n"
    )
    return caption + readme.table(["figure", "measured", "must"], rows)


def render_wire(result):
    caption = (
        f"Bytes of TCP payload, TLS records of 1 KB included: region {REGION}, table\n{TABLE}, "
        "key site-leader, a drawn owner, no session token; the server is dynoxide\nbehind a "
        "proxy of ours with a chain of two EC certificates.\n\n"
    )
    header = ["over TLS", "sent", "at most", "received", "no more than"]
    return caption + readme.table(header, rows_of_wire(result))


def judge(result):
    signature = result["signature"]
    if signature > MOST_INSTRUCTIONS:
        yield f"{SIGNATURE}: {signature:,}, must be at most {MOST_INSTRUCTIONS:,}"
    for operation, (up, down, writes, _) in result["wire"].items():
        most_up, most_down = WIRE[operation] or (up, down)
        if up > most_up or down > most_down:
            yield f"{operation}: {up:,} up, {down:,} down; must be {most_up:,} and {most_down:,}"
        if operation in ONE_WRITE and writes != 1:
            yield f"{operation}: leaves in {writes} writes, must be one"
    if "medians" not in result:
        return
    if result["speed of raw"] < LEAST_SPEED:
        yield f"cycles: {result['speed of raw']:.2f} of the raw loop's, must be {LEAST_SPEED}"
    if result["cpu of boto3"] < LEAST_THRIFT:
        yield f"CPU: boto3 takes {result['cpu of boto3']:.1f} times ours, must be {LEAST_THRIFT}"


def compare(result):
    """With README.md: what is the same on every run."""
    now = {(SIGNATURE, "measured"): result["signature"]}
    published = {**readme.figures("bench"), **readme.figures("wire")}
    for operation, (up, down, _, _) in result["wire"].items():
        now.update({(operation, "sent"): up, (operation, "received"): down})
    for figure, number in now.items():
        before = published.get(figure)
        if before is None:
            yield f"{', '.join(figure)}: not in README.md (make bench UPDATE=1)"
        elif number > before * TOLERANCE:
            yield f"{', '.join(figure)}: {number:,}, README.md says {before:,}"


def main():
    parser = argparse.ArgumentParser(description="Measures what the lock costs on a host.")
    parser.add_argument("--update", action="store_true", help="put the table into README.md")
    parser.add_argument("--check", action="store_true", help="what is the same on every run")
    options = parser.parse_args()
    result = {"signature": signature_instructions(), "wire": measure_wire()}
    if options.check:
        print(f"{SIGNATURE}: {result['signature']:,}")
        for operation, (up, down, _, _) in result["wire"].items():
            print(f"{operation}: {up:,} bytes up, {down:,} down")
    else:
        result.update(measure_cycles())
        RESULT.write_text(json.dumps(result, indent=1) + "\n")
        texts = {"bench": render(result), "wire": render_wire(result)}
        print(*texts.values(), sep="\n")
        for name, text in texts.items() if options.update else ():
            readme.update(name, text)
    failures = [*judge(result), *(compare(result) if options.check else ())]
    for failure in failures:
        print(f"bench: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
