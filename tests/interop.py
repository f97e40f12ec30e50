#!/usr/bin/python3
"""One table, many languages: this library and others contend for the same locks, for real.

    tests/interop.py [NAME...]

Each check prints a line; the last line is `N passed, N failed`. NAMEs choose scenarios. The
packages of the others come by `tests/setup.sh interop`; the programs that use them are in
tests/interop/. The scenarios mostly wait (for leases), so several run at once, each in a process
with a server of its own.
"""

import argparse
import os
import pathlib
import re
import select
import subprocess
import sys
import tempfile
import time

TESTS = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(TESTS), str(TESTS / "interop")]

import harness  # noqa: E402
from rows import free_rows, rows  # noqa: E402
from witness import Plan, Witness  # noqa: E402

BUILD = TESTS.parent / "build"
DEVICE = [BUILD / "interop/device"]
JAVA = ["java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp"]
JAVA += [f"{BUILD}/interop/java/*:{BUILD}/interop/classes", "JavaSide"]
PYTHON = BUILD / "interop/python/bin/python"
GO = BUILD / "interop/go/bin"  # there after `tests/setup.sh interop-go`
DYNALOCK_PY = [PYTHON, TESTS / "interop/dynalock_py.py"]
PLAYED_GO = [PYTHON, TESTS / "interop/dynalock_go.py"]  # it can be slow
DYNALOCK_GO = [GO / "dynalock"] if GO.exists() else PLAYED_GO
DYNAMOLOCK = [GO / "dynamolock"] if GO.exists() else [PYTHON, TESTS / "interop/dynamolock.py"]
DLM = [PYTHON, TESTS / "interop/dlm.py"]

LAYOUTS = ["standard", "dynamolock", "dynalock_py", "dynamo_dlm", "chainsaws", "dynalock_go"]

HANDOVERS = 200
KILLS = 4
LEASE_MS = 2000
AT_ONCE = 3
ANSWER_SECONDS = 30
EARLY_SECONDS = 0.15  # between the request that took the lock and the word to the witness


class Checks:
    """Counts and tells."""

    def __init__(self):
        self.passed = self.failed = 0

    def check(self, what, is_so, seen=""):
        if is_so:
            self.passed += 1
        else:
            self.failed += 1
        mark = "ok  " if is_so else "FAIL"
        print(f"{mark} {what}{f' [{seen}]' if seen != '' else ''}", flush=True)


class Scenario:
    """A pair of programs with the values they share, on a running server."""

    def __init__(self, checks, servers, name, table="locks", **values):
        self.checks = checks
        self.name = name
        self.environment = {**os.environ, **servers.environment()}
        self.environment["AWS_REGION"] = self.environment["AWS_DEFAULT_REGION"] = "us-east-1"
        self.environment["AWS_ENDPOINT_URL"] = servers.url["direct"]
        self.values = {
            "endpoint": servers.url["direct"],
            "table": table,
            "key": name,
            "lease": LEASE_MS,
            **values,
        }

    def check(self, what, is_so, seen=""):
        self.checks.check(f"{self.name}: {what}", is_so, seen)

    def start(self, program, mode, stdin=subprocess.DEVNULL, **values):
        words = [f"{name}={value}" for name, value in {**self.values, **values}.items()]
        return harness.Child(
            [*program, mode, *words],
            env=self.environment,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, program, mode, **values):
        """Returns what it printed."""
        child = self.start(program, mode, **values)
        try:
            child.wait(ANSWER_SECONDS)
            return child.stdout.read().strip() if child.wait(0) else "no end"
        finally:
            child.stop()


def read_line(child):
    if not select.select([child.stdout], [], [], ANSWER_SECONDS)[0]:
        return "no line"
    return child.stdout.readline().strip()


class Holder:
    """A program in mode `hold`, for a `with` statement; .line is what it said when it held."""

    def __init__(self, scenario, program, **values):
        reader, self.input = os.pipe()
        self.child = scenario.start(program, "hold", stdin=reader, **values)
        os.close(reader)
        self.line = read_line(self.child)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.stop()
        os.close(self.input)

    def release(self):
        """Returns what it then says."""
        os.write(self.input, b"\n")
        return read_line(self.child)


# ---- contention ----


def contend(scenario, sides, plan):
    """Both sides want the lock, until the plan is fulfilled. `sides`: program and values by the
    name that it gives the witness."""
    witness = Witness(plan, list(sides))
    children = {}
    deadline = time.monotonic() + plan.seconds
    faults = []
    try:
        while not witness.stopping and time.monotonic() < deadline and len(faults) < 3:
            for side, (program, values) in sides.items():
                if side in children and children[side].wait(0):
                    faults += collect(children.pop(side), side)
                if side not in children:
                    children[side] = scenario.start(program, "work", witness=witness.port, **values)
            time.sleep(0.02)
        for side, child in children.items():
            if child.wait(ANSWER_SECONDS):
                faults += collect(child, side)
            else:
                faults.append(f"{side} did not stop")
    finally:
        for child in children.values():
            child.stop()
        witness.close()
    check_contention(scenario, witness, plan, faults)
    return witness


def collect(child, side):
    """What a process that has ended has to say for itself: SIGKILL is the witness's."""
    words = child.stdout.read().strip()
    status = child.stop()
    faults = [f"{side}: {words}"] if words else []
    if status not in (0, -9):
        faults.append(f"{side} ended with {status}")
    return faults


def check_contention(scenario, witness, plan, faults):
    handovers = ", ".join(f"{a}>{b} {n}" for (a, b), n in sorted(witness.handovers.items()))
    scenario.check(
        f"{plan.handovers} hand-overs each way, {plan.kills} holders of each side killed",
        witness.is_done(),
        f"{handovers}; {witness.counter} works, {witness.kills.total()} kills",
    )
    scenario.check("every process does as it should", not faults, "; ".join(faults))


def check_exclusion(scenario, witness):
    scenario.check("no two within at once", not witness.doubles, witness.doubles or "")
    scenario.check("no update lost", not witness.lost_updates, witness.lost_updates or "")
    scenario.check("no lock is lost", not witness.lost, witness.lost or "")
    for side, least in witness.plan.least_wait.items():
        waits = [seconds for killed, _, seconds in witness.waits if killed == side]
        scenario.check(
            f"the lock of a dead {side} is left alone for {least:g} s",
            waits and min(waits) >= least - EARLY_SECONDS,
            f"{min(waits, default=0):.2f} to {max(waits, default=0):.2f} s",
        )
    for side in witness.plan.walks_in:
        waits = [seconds for killed, after, seconds in witness.waits if killed == after == side]
        scenario.check(
            f"a new process of a dead {side}'s name walks in",
            waits and min(waits) < LEASE,
            f"after {min(waits, default=0):.2f} s",
        )


def check_fences(scenario, witness):
    rising = all(a < b for a, b in zip(witness.fences, witness.fences[1:]))
    scenario.check("our fences rise with every grant", witness.fences and rising)


# ---- the standard layout with Java ----

LEASE = LEASE_MS / 1000
LONG_MS = LEASE_MS * 3 // 2


def plan_for_two(other, **others):
    """Of a device and another that renews, too."""
    sides = ("device", other)
    return Plan(
        HANDOVERS, KILLS, dict.fromkeys(sides, LEASE), dict.fromkeys(sides, LONG_MS), **others
    )


def java_contention(name, table="locks", **values):
    def scenario(checks, servers):
        ours = {key: values[key] for key in values if key not in ("keep", "update")}
        pair = Scenario(checks, servers, name, table)
        sides = {
            "device": (DEVICE, {"owner": "device", "data": "from the device", **ours}),
            "java": (JAVA, {"owner": "java", "data": "from Java", **values}),
        }
        witness = contend(pair, sides, plan_for_two("java"))
        check_exclusion(pair, witness)
        check_fences(pair, witness)

    return scenario


def java_data(checks, servers):
    """Each side sees the other's item as it is, data included, and respects it."""
    pair = Scenario(checks, servers, "java-data")
    text = "bureau 7, \"quoted\" \\ and <more>"
    with Holder(pair, DEVICE, owner="gateway", data=text) as device:
        seen = pair.run(JAVA, "look")
        fence = device.line.split()[-1]
        pair.check(
            "Java sees our owner, lease, fence and data",
            seen == f"there owner=gateway lease={LEASE_MS} fence={fence} data={text}",
            seen,
        )
        pair.check("our release", device.release() == "released")
    seen = pair.run(DEVICE, "look")
    pair.check("it stays as released", seen.startswith("released owner=gateway"), seen)
    with Holder(pair, JAVA, owner="service", data="job 12", keep=1) as java:
        seen = pair.run(DEVICE, "look")
        pair.check(
            "we see Java's owner, lease and data; its put has dropped the fence",
            seen == f"locked owner=service lease={LEASE_MS} fence=0 data=job 12",
            seen,
        )
        seen = pair.run(DEVICE, "try", owner="gateway")
        pair.check("one try says who holds it", seen == f"busy service {LEASE_MS}", seen)
        pair.check("Java's release", java.release() == "released")
    seen = pair.run(DEVICE, "look")
    pair.check("it stays as released", seen.startswith("released owner=service"), seen)
    seen = pair.run(DEVICE, "try", owner="gateway")
    pair.check(
        "the next fence exceeds the one that Java has dropped",
        seen.startswith("held ") and int(seen.split()[1]) > int(fence),
        seen,
    )


# ---- the standard layout with cirello-io/dynamolock ----


def dynamolock_reads(checks, servers):
    """Its lease text is understood and its items are respected; of ours it understands nothing."""
    pair = Scenario(checks, servers, "dynamolock")
    with Holder(pair, DYNAMOLOCK, owner="service", data="job 12") as go:
        seen = pair.run(DEVICE, "look")
        pair.check(
            "we see its owner, its lease of \"2s\" and its data",
            seen == f"locked owner=service lease={LEASE_MS} fence=0 data=job 12",
            seen,
        )
        seen = pair.run(DEVICE, "try", owner="gateway")
        pair.check("one try says who holds it", seen == f"busy service {LEASE_MS}", seen)
        pair.check("its release", go.release() == "released")
    seen = pair.run(DEVICE, "look")
    pair.check("it stays as released", seen.startswith("released owner=service"), seen)
    with Holder(pair, DEVICE, owner="gateway") as device:
        seen = pair.run(DYNAMOLOCK, "try")
        pair.check("ours is an error to it", "missing unit in duration" in seen, seen)
        pair.check("our release", device.release() == "released")
    seen = pair.run(DYNAMOLOCK, "try")
    pair.check("so is what we have released", "missing unit in duration" in seen, seen)


def dynamolock_dies(checks, servers):
    """Its dead holder's item is taken when its lease is over, and not earlier."""
    pair = Scenario(checks, servers, "dynamolock-dies")
    for text, seconds in (("1500", 1.5), ("750", 0.75), ("60000", None)):
        pair.values["key"] = text
        with Holder(pair, DYNAMOLOCK, owner="service", lease=text):
            pass
        start = time.monotonic()
        device = Holder(pair, DEVICE, owner="gateway")
        took = time.monotonic() - start
        with device:
            if seconds is None:
                pair.check("a lease of 1m0s is respected", "-31" in device.line, device.line)
            else:
                is_taken = device.line.startswith("held ") and seconds <= took < seconds + 1
                pair.check(f"taken after its lease of {text} ms", is_taken, f"{took:.2f} s")


def dynamolock_contention(checks, servers):
    """Under our layout for it the two contend as equals."""
    pair = Scenario(checks, servers, "dynamolock-contention", layout="dynamolock")
    sides = {
        "device": (DEVICE, {"owner": "device", "data": "from the device"}),
        "go": (DYNAMOLOCK, {"owner": "go", "name": "go", "data": "from Go"}),
    }
    witness = contend(pair, sides, plan_for_two("go"))
    check_exclusion(pair, witness)
    check_fences(pair, witness)


# ---- those that expire by the wall clock ----


def create_table(servers, name, **keys):
    """keys: the type by the name, partition key first."""
    harness.create_tables(int(servers.url["direct"].rpartition(":")[2]), {name: keys})


def dynalock_py_contention(checks, servers):
    """It cannot renew: its works stay within its lease."""
    create_table(servers, "LockTable", LockId="S")
    pair = Scenario(checks, servers, "dynalock-py", "LockTable", layout="dynalock_py")
    sides = {
        "device": (DEVICE, {"owner": "device"}),
        "python": (DYNALOCK_PY, {"name": "python"}),
    }
    plan = Plan(HANDOVERS, KILLS, {"device": LEASE, "python": LEASE}, {"device": LONG_MS})
    check_exclusion(pair, contend(pair, sides, plan))


def dynalock_py_skew(checks, servers):
    """Its wall clock is almost the grace ahead of ours, then behind."""
    create_table(servers, "LockTable", LockId="S")
    for skew in ("+3.9", "-3.9"):
        pair = Scenario(checks, servers, f"skew{skew}", "LockTable", layout="dynalock_py")
        sides = {
            "device": (DEVICE, {"owner": "device"}),
            "python": (DYNALOCK_PY, {"name": "python", "skew": skew}),
        }
        alone = {"device": LEASE, "python": LEASE}
        check_exclusion(pair, contend(pair, sides, Plan(60, 2, alone, {"device": LONG_MS})))


def dynalock_py_late(checks, servers):
    """One that has outlived its lease deletes our item when it leaves; we are told."""
    create_table(servers, "LockTable", LockId="S")
    pair = Scenario(checks, servers, "dynalock-py-late", "LockTable", layout="dynalock_py")
    with Holder(pair, DYNALOCK_PY) as late:
        with Holder(pair, DEVICE, owner="gateway") as device:
            pair.check("its expired item is taken", device.line.startswith("held "), device.line)
            late.release()
            said = read_line(device.child)
            pair.check("we are told that ours is gone", "failed hold -34" in said, said)
    with Holder(pair, DYNALOCK_PY) as late:
        with Holder(pair, DEVICE, owner="gateway", delay=20000) as device:
            pair.check("with a grace (lock_delay_ms) it is not", "-31" in device.line, device.line)


def dlm_contention(name, permits, **keys):
    """Of a lease of 2 s dynamo-dlm counts 1 to 2: the second under way counts."""

    def scenario(checks, servers):
        create_table(servers, "dynamo_dlm_locks", **keys)
        pair = Scenario(checks, servers, name, "dynamo_dlm_locks", layout="dynamo_dlm")
        place = {"sort_name": "concurrency_id", "sort": 0} if permits else {}
        if not permits:
            pair.environment["PYTHONPATH"] = str(BUILD / "interop/dlm1")
        sides = {
            "device": (DEVICE, {"owner": "device", **place}),
            "python": (DLM, {"name": "python", "permits": permits}),
        }
        plan = Plan(HANDOVERS, KILLS, {"device": LEASE, "python": LEASE - 1}, {"device": LONG_MS})
        check_exclusion(pair, contend(pair, sides, plan))

    return scenario


def dlm_permits(checks, servers):
    """Two permits: the third is refused, whoever holds the two."""
    create_table(servers, "dynamo_dlm_locks", resource_id="S", concurrency_id="N")
    pair = Scenario(
        checks, servers, "dlm-permits", "dynamo_dlm_locks", layout="dynamo_dlm", lease=20000
    )
    ours = {"sort_name": "concurrency_id", "owner": "gateway"}
    with Holder(pair, DEVICE, sort=0, **ours) as first:
        pair.check("we hold permit 0", first.line.startswith("held "), first.line)
        with Holder(pair, DLM, permits=2) as second:
            pair.check("it holds the other", second.line == "held 0", second.line)
            seen = pair.run(DEVICE, "try", sort=1, **ours)
            pair.check("permit 1 is busy to us", seen.startswith("busy "), seen)
            seen = pair.run(DLM, "try", permits=2)
            pair.check("there is none left for it", seen == "busy", seen)
            pair.check("our release", first.release() == "released")
            seen = pair.run(DLM, "try", permits=2)
            pair.check("then there is", seen == "held 0", seen)
            pair.check("its release", second.release() == "released")
    seen = pair.run(DEVICE, "try", sort=1, **ours)
    pair.check("permit 1 is free", seen.startswith("held "), seen)


CHAINSAWS = [BUILD / "interop/chainsaws/bin/python", TESTS / "interop/chainsaws_side.py"]


def chainsaws_contention(checks, servers):
    """Its release takes a second, in which it waits for a thread of its own."""
    table = "distributed-locks"
    pair = Scenario(
        checks, servers, "chainsaws", table, layout="chainsaws", key_name="_pk", sort_name="_sk"
    )
    pair.values |= {"key": "distributed_lock#lock_id#job", "sort": "lock_key#Slock|", "lease": 4000}
    pair.check("its table is made", pair.run(CHAINSAWS, "init") == "")
    sides = {
        "device": (DEVICE, {"owner": "device"}),
        "chainsaws": (CHAINSAWS, {"name": "chainsaws", "owner": "chainsaws"}),
    }
    works = dict.fromkeys(sides, 6000)
    plan = Plan(HANDOVERS, KILLS, {"device": 4}, works, walks_in=("chainsaws",), seconds=420)
    witness = contend(pair, sides, plan)
    check_exclusion(pair, witness)
    check_fences(pair, witness)


# ---- kmdeveloping/dynalock ----


def dynalock_go_contention(checks, servers):
    """It looks, and puts at once."""
    pair = Scenario(checks, servers, "dynalock-go", layout="dynalock_go")
    sides = {
        "device": (DEVICE, {"owner": "device", "data": "from the device"}),
        "go": (DYNALOCK_GO, {"owner": "go", "name": "go", "data": "from Go"}),
    }
    works = dict.fromkeys(sides, LONG_MS)
    plan = Plan(HANDOVERS, KILLS, {"device": LEASE}, works, walks_in=("go",), seconds=420)
    check_exclusion(pair, contend(pair, sides, plan))


def dynalock_go_race(checks, servers):
    """A network that is slow between its look and its put: it puts over ours."""
    pair = Scenario(checks, servers, "dynalock-go-race", layout="dynalock_go")
    device = (DEVICE, {"owner": "device"})
    works = {"device": LONG_MS, "go": 100}
    for race, name in ((700, "race-700"), (1400, "race-1400")):
        pair.name = pair.values["key"] = name
        go = (PLAYED_GO, {"owner": "go", "name": "go", "race": race})
        sides = {"device": device, "go": go}
        plan = Plan(8, 0, {}, works, long_every=1)
        witness = contend(pair, sides, plan)
        if race < 1000:
            pair.check("a race shorter than the delay is seen in it", not witness.doubles)
            continue
        told = [
            min((when - double for side, _, when in witness.lost if when > double), default=99)
            for _, _, double in witness.doubles
        ]
        pair.check("a longer one makes two holders", told, f"{len(told)} times")
        pair.check(
            "we are told within a renewal",
            told and max(told) < LEASE / 3 + 0.2,
            f"at most {max(told, default=0):.2f} s",
        )


def dynalock_go_data(checks, servers):
    """Each side sees the other's item; the dead of Go are never taken."""
    pair = Scenario(checks, servers, "dynalock-go-data", layout="dynalock_go")
    with Holder(pair, DEVICE, owner="gateway", data='say "hello"') as device:
        seen = pair.run(DYNALOCK_GO, "look")
        pair.check("it sees ours", seen == 'locked owner=gateway data=say "hello"', seen)
        pair.check("and leaves it alone", pair.run(DYNALOCK_GO, "try") == "busy")
        pair.check("our release", device.release() == "released")
    seen = pair.run(DYNALOCK_GO, "look")
    pair.check("it sees the release", seen == 'released owner=gateway data=say "hello"', seen)
    with Holder(pair, DYNALOCK_GO, owner="service", data='say "good bye"'):
        seen = pair.run(DEVICE, "look")
        pair.check("we see its own", seen.endswith('fence=0 data=say "good bye"'), seen)
        pair.check("owner and all", seen.startswith("locked owner=service"), seen)
    seen = pair.run(DEVICE, "hold", wait=6000)
    pair.check("a dead one's item is not taken", "-31" in seen, seen)


# ---- several locks at once ----


def groups(checks, servers):
    """A transaction, or one write after another, as the layout has it; and while another holds one
    of the two, neither."""
    port = int(servers.url["direct"].rpartition(":")[2])
    now = int(time.time())
    live = {known: attributes for attributes, knowing in rows(now).values() for known in knowing}
    for layout in LAYOUTS:
        pair = Scenario(checks, servers, f"group-{layout}", key_name="key", layout=layout)
        second = {"key": {"S": f"{layout}-2"}}
        pair.values["second"] = second["key"]["S"]
        seen = pair.run(DEVICE, "group", owner="gateway")
        pair.check("two locks are taken and given back", seen == "held 0 0, released 0", seen)
        harness.call(port, "PutItem", {"TableName": "locks", "Item": {**second, **live[layout]}})
        child = pair.start(DEVICE, "group", owner="gateway")
        try:
            is_refused = not child.wait(3)
        finally:
            child.stop()
        pair.check("not while the other side has one of them", is_refused)


# ---- rows of all kinds in one table ----

def foreign_rows(checks, servers):
    """Each is left alone by every layout, which says what it is."""
    port = int(servers.url["direct"].rpartition(":")[2])
    for kind, (attributes, known) in rows(int(time.time())).items():
        item = {"key": {"S": kind}, **attributes}
        harness.call(port, "PutItem", {"TableName": "locks", "Item": item})
        wrong = []
        for layout in LAYOUTS:
            pair = Scenario(checks, servers, "rows", key=kind, key_name="key", layout=layout)
            word = known.get(layout, "foreign")
            seen = pair.run(DEVICE, "look")
            tried = pair.run(DEVICE, "try", owner="gateway")
            outcome = "busy " if word == "locked" else "failed acquire -38"
            if not seen.startswith(word + " ") or not tried.startswith(outcome):
                wrong.append(f"{layout}: {seen} {tried}")
        place = {"TableName": "locks", "Key": {"key": item["key"]}}
        _, answer = harness.call(port, "GetItem", place)
        if answer.get("Item") != item:
            wrong.append(f"it is {answer} now")
        checks.check(f"rows: {kind} is left alone", not wrong, "; ".join(wrong))
    for kind, (attributes, layout) in free_rows(int(time.time())).items():
        item = {"key": {"S": kind}, **attributes}
        harness.call(port, "PutItem", {"TableName": "locks", "Item": item})
        pair = Scenario(checks, servers, "rows", key=kind, key_name="key", layout=layout)
        seen = pair.run(DEVICE, "look"), pair.run(DEVICE, "try", owner="gateway")
        is_taken = seen[0].startswith("released ") and seen[1].startswith("held ")
        pair.check(f"{kind} is free", is_taken, "; ".join(seen))


# The longest first: they run side by side.
SCENARIOS = {
    "chainsaws": chainsaws_contention,
    "dynalock-go": dynalock_go_contention,
    "dynalock-go-race": dynalock_go_race,
    "java": java_contention("java"),
    "java-keep": java_contention("java-keep", keep=1),
    "java-sorted": java_contention(
        "java-sorted", "sorted", key_name="name", sort_name="part", sort="left"
    ),
    "dynamolock-contention": dynamolock_contention,
    "dynalock-py": dynalock_py_contention,
    "dlm": dlm_contention("dlm", 1, resource_id="S", concurrency_id="N"),
    "dlm1": dlm_contention("dlm1", 0, resource_id="S"),
    "dynalock-py-skew": dynalock_py_skew,
    "dynalock-py-late": dynalock_py_late,
    "dynamolock-dies": dynamolock_dies,
    "dynalock-go-data": dynalock_go_data,
    "java-data": java_data,
    "dynamolock": dynamolock_reads,
    "dlm-permits": dlm_permits,
    "rows": foreign_rows,
    "groups": groups,
}


# ---- running ----


def run_one(name):
    checks = Checks()
    start = time.monotonic()
    harness.leave_on_signals()
    with harness.Servers("dynoxide") as servers:
        SCENARIOS[name](checks, servers)
    print(f"     {name} took {time.monotonic() - start:.0f} s", flush=True)
    return checks.passed, checks.failed


def run_all(names):
    """Each in a process of its own, AT_ONCE of them at a time; what one says is printed when it has
    ended."""
    waiting, running, passed, failed = list(names), {}, 0, 0
    while waiting or running:
        while waiting and len(running) < AT_ONCE:
            name = waiting.pop(0)
            log = tempfile.TemporaryFile("w+")
            running[name] = log, harness.Child([__file__, name], stdout=log, stderr=log)
        for name, (log, child) in list(running.items()):
            if not child.wait(0.05):
                continue
            child.stop()
            del running[name]
            log.seek(0)
            *lines, last = log.read().rstrip("\n").split("\n")
            counts = re.fullmatch("([0-9]+) passed, ([0-9]+) failed", last)
            if counts is None:
                lines += [last, f"FAIL {name}: no result"]
            print("\n".join(lines), flush=True)
            passed += int(counts[1]) if counts else 0
            failed += int(counts[2]) if counts else 1
    return passed, failed


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(SCENARIOS))
    names = parser.parse_args().names or list(SCENARIOS)
    passed, failed = run_one(names[0]) if len(names) == 1 else run_all(names)
    print(f"{passed} passed, {failed} failed")
    return 0 if failed == 0 and passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
