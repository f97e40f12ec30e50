#!/usr/bin/python3
"""Counts the requests and the capacity units of what a lock does; prints a table.

    tests/capacity.py             count, print
    tests/capacity.py --update    and put the table into README.md
    tests/capacity.py --check     and fail if README.md has other rows, or a figure 2 % off: what
                                  waiters draw to spread their reads changes with the code

All fail if the manual in dynalock.h, under WHAT IT COSTS, has not the figures of README.md; they
are set there by hand.

tests/bench/capacity.c does each thing, through a relay that asks the server for the consumed
capacity of every request and adds up what it answers. The table is dynoxide's. dynalite must agree,
but for one thing: it does not show the item when it refuses a write, so that a lock takes one
consistent read to see who holds it.

A refused write reports no capacity, yet AWS charges it by the size of the item that stands there
("DynamoDB read and write operations", Capacity unit consumption for write operations): the relay
looks at that item and counts a unit for each KB begun, at least one.
"""

import argparse
import base64
import http.server
import json
import os
import pathlib
import re
import subprocess
import sys
import threading

import harness
import readme

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "build/bench/capacity"
HEADER = ROOT / "dynalock.h"

WRITES = {"UpdateItem", "DeleteItem"}
READS = {"GetItem"}
UNIT = 1024  # bytes of an item in one write unit
TOLERANCE = 0.02
MARKS = ("requests", "writes", "reads", "refused")


def add(sums, *values):
    for name, value in zip(MARKS, values):
        sums[name] += value


def nothing():
    return dict.fromkeys(MARKS, 0)


# ---- the relay ----------------------------------------------------------------------------------


class Relay(http.server.ThreadingHTTPServer):
    """Forwards to a server on this machine; sums are of the answers since take()."""

    daemon_threads = True
    failure = None

    def __init__(self, upstream):
        super().__init__(("127.0.0.1", 0), RelayHandler)
        self.upstream = upstream
        self.url = "http://127.0.0.1:%d" % self.server_address[1]
        self._sums = nothing()
        self._lock = threading.Lock()

    def take(self):
        with self._lock:
            sums, self._sums = self._sums, nothing()
        return sums

    def count(self, operation, request, status, answer):
        if status == 200:
            units, refused = consumed(answer), 0
        elif answer.get("__type", "").endswith("#ConditionalCheckFailedException"):
            units, refused = self._refused_units(request), 1
        else:
            raise ValueError(f"{operation}: {status} {answer}")
        writes = units if operation in WRITES else 0
        reads = units if operation in READS else 0
        if writes + reads == 0:
            raise ValueError(f"{operation} costs nothing")
        with self._lock:
            add(self._sums, 1, writes, reads, refused)

    def _refused_units(self, request):
        body = {"TableName": request["TableName"], "Key": request["Key"], "ConsistentRead": True}
        status, answer = harness.call(self.upstream, "GetItem", body)
        if status != 200 or "Item" not in answer:
            raise ValueError(f"GetItem after a refusal: {status} {answer}")
        return max(1, -(-item_size(answer["Item"]) // UNIT))

    def handle_error(self, request, client_address):
        self.failure = self.failure or repr(sys.exc_info()[1])


def consumed(answer):
    return answer["ConsumedCapacity"]["CapacityUnits"]


def item_size(item):
    """In bytes, as DynamoDB counts: names, and what stands in them."""
    sizes = {
        "S": lambda text: len(text.encode()),
        "N": lambda digits: (len(digits) + 1) // 2 + 1,
        "B": lambda text: len(base64.b64decode(text)),
    }
    return sum(
        len(name.encode()) + sizes[kind](value)
        for name, attribute in item.items()
        for kind, value in attribute.items()
    )


class RelayHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer leaves in one piece

    def do_POST(self):
        operation = self.headers["X-Amz-Target"].rpartition(".")[2]
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status, answer = harness.call(
            self.server.upstream, operation, request | {"ReturnConsumedCapacity": "TOTAL"}
        )
        # before it is sent on: the program goes on when it has it
        self.server.count(operation, request, status, answer)
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", self.headers["Content-Type"])
        self.send_header("Content-Length", len(body))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


# ---- counting -----------------------------------------------------------------------------------


def count(server):
    """Returns by name: [times, sums]."""
    rows = {}
    with harness.Servers(server) as servers:
        port = int(servers.url["direct"].rpartition(":")[2])
        with Relay(port) as relay:
            thread = threading.Thread(target=relay.serve_forever)
            thread.start()
            try:
                follow(relay, servers.url["direct"], rows)
            finally:
                relay.shutdown()
                thread.join()
    return rows


def follow(relay, direct, rows):
    """Runs the program; whatever it has done, what was sent for it is added to its row."""
    reader, writer = os.pipe()
    options = {"stdin": reader, "stdout": subprocess.PIPE, "text": True}
    program = harness.Child([PROGRAM, relay.url, direct], **options)
    os.close(reader)
    try:
        for line in program.stdout:
            times, name = line.rstrip("\n").split(" ", 1)
            row = rows.setdefault(name, [0, nothing()])
            row[0] += int(times)
            add(row[1], *relay.take().values())
            os.write(writer, b"\n")
        ended = program.wait(harness.STOP_SECONDS)
    finally:
        os.close(writer)
        status = program.stop()
    if relay.failure:
        raise SystemExit(f"capacity.py: the relay: {relay.failure}")
    if not ended or status != 0:
        raise SystemExit("capacity.py: build/bench/capacity failed")
    rows.pop("-")


def differences(ours, theirs):
    """Where dynalite counts otherwise than dynoxide, the read after each refusal aside."""
    if list(ours) != list(theirs):
        yield "the servers have other rows"
    for name, (times, sums) in ours.items():
        expected = dict(sums)
        add(expected, sums["refused"], 0, sums["refused"], 0)
        if theirs.get(name) != [times, expected]:
            yield f"{name}: dynalite counts {theirs.get(name)}, not {[times, expected]}"


# ---- tables -------------------------------------------------------------------------------------


def average(total, times):
    return f"{total / times:,.1f}".removesuffix(".0")


def cells(rows):
    return [
        [name, *(average(sums[mark], times) for mark in MARKS[:3])]
        for name, (times, sums) in rows.items()
    ]


def render(table):
    caption = (
        "Lease 20 s, poll_ms 1000 (without reads: DYNALOCK_FOREVER), an item of less than\n"
        "1 KB where not said otherwise; dynoxide's ConsumedCapacity. Where chance has a\n"
        "part, averages: of an hour's waiting, of 50 take-overs.\n\n"
    )
    return caption + readme.table(["operation", "requests", "write units", "read units"], table)


def shown_in_readme():
    lines = [line for line in readme.split("capacity")[1].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def shown_in_manual():
    section = re.search(r"^WHAT IT COSTS\n(.*?)^[A-Z]{4,}\b", HEADER.read_text(), re.M | re.S)
    figure = r" +([\d,.]+)"
    rows = re.findall(rf"^(\S.*?){3 * figure}$", section[1] if section else "", re.M)
    return list(map(list, rows))


def numbers(row):
    return [float(cell.replace(",", "")) for cell in row[1:]]


def complaints(table, check):
    shown = shown_in_readme()
    if shown_in_manual() != shown:
        yield "dynalock.h, WHAT IT COSTS, has other figures than README.md"
    if not check:
        return
    if [row[0] for row in shown] != [row[0] for row in table]:
        yield "README.md has other rows (make bench UPDATE=1)"
    for ours, theirs in zip(table, shown):
        if any(abs(a - b) > TOLERANCE * b for a, b in zip(numbers(ours), numbers(theirs))):
            yield f"{' | '.join(ours)}: README.md says {' | '.join(theirs[1:])}"


def main():
    parser = argparse.ArgumentParser(description="Counts requests and capacity units.")
    parser.add_argument("--update", action="store_true", help="put the table into README.md")
    parser.add_argument("--check", action="store_true", help="compare with README.md")
    options = parser.parse_args()
    rows = count("dynoxide")
    failures = list(differences(rows, count("dynalite")))
    table = cells(rows)
    text = render(table)
    print(text)
    if options.update:
        readme.update("capacity", text)
    failures += complaints(table, options.check)
    for failure in failures:
        print(f"capacity: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
