#!/usr/bin/python3
"""Plants one fault at a time in a copy of dynalock.h; the simulator must notice: `make mutants`.

A fault is a replacement in the header's text. One that no longer fits, does not compile or
survives fails the run. The last line is `N passed, N failed`.
"""

import concurrent.futures
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / "build/mutants"
MODEL = OUT / "model.o"
SECONDS = 120  # the longest one world may run

MIXED = "--runs 250 --seed 1"
EDGE = "--runs 40 --seed 1 --world edge"
LEASES = "--runs 150 --seed 1 --world shorten,loss,delay,crash,pause"
REPEAT = "--runs 100 --seed 1 --world repeat,delay"

# name, what was there, what is there instead, where it is looked for
MUTANTS = [
    (
        "the lease counts from the answer",
        "lock->base + dl_usable(client, lock->sent_lease_ms)",
        "client->now + dl_usable(client, lock->sent_lease_ms)",
        (MIXED, EDGE),
    ),
    (
        "no margin for clocks",
        "    return margin + DYNALOCK_CLOCK_STEP_MS;",
        "    return 0 * margin;",
        (EDGE,),
    ),
    (
        "renewals do not raise the counter",
        "    lock->counter++;\n",
        "    if (lock->operation.state == DL_LOCK_ACQUIRE) lock->counter++;\n",
        (MIXED,),
    ),
    (
        "the fence need not rise",
        '"<:f) AND ("',
        '"<:f OR :f<=" DL_FENCE ") AND ("',
        (MIXED,),
    ),
    (
        "a watch is cut short",
        "    return lease_ms + dl_margin(client, lease_ms);",
        "    return (uint32_t)((uint64_t)lease_ms * 9 / 10);",
        (MIXED,),
    ),
    (
        "a shorter lease counts only when it is answered",
        "        lock->until, client->now + dl_usable(client, lock->sent_lease_ms));",
        "        lock->until, lock->until);",
        (LEASES,),
    ),
    (
        "a write that was repeated is not known as one's own",
        "        return DL_WHOSE_WRITE;",
        "        return DL_WHOSE_OTHER;",
        (REPEAT,),
    ),
    (
        "a released lock is held on",
        "    lock->until = 0;\n    lock->memory = 0;",
        "    lock->memory = 0;",
        (MIXED,),
    ),
    (
        "a wait has no end",
        "    if (wait_ms != 0) return client->now + wait_ms;",
        "    if (wait_ms != 0) return client->now + 10 * (uint64_t)wait_ms;",
        (MIXED,),
    ),
    (
        "a fence without a clock",
        "    lock->fence = client->exchange.unix_ms;",
        "    lock->fence = 1;",
        ("--runs 40 --seed 1 --world ttl,crash",),
    ),
]


def compile_model():
    OUT.mkdir(parents=True, exist_ok=True)
    source = ROOT / "tests/simulation/model.c"
    command = ["cc", "-std=c99", "-O2", "-w", "-c", source, "-o", MODEL]
    subprocess.run(command, check=True)


def build(number, old, new):
    """Returns the program, or what is wrong."""
    text = (ROOT / "dynalock.h").read_text()
    if text.count(old) != 1:
        return None, f"its place is there {text.count(old)} times"
    folder = OUT / str(number)
    folder.mkdir(exist_ok=True)
    (folder / "dynalock.h").write_text(text.replace(old, new))
    program = folder / "simulate"
    source = ROOT / "tests/simulation/simulate.c"
    command = ["cc", "-std=c99", "-O2", "-w", f"-I{folder}", f"-I{source.parent}"]
    command += [source, MODEL, "-o", program, "-lcjson", "-lcrypto"]
    if subprocess.run(command, stderr=subprocess.DEVNULL).returncode != 0:
        return None, "does not compile"
    return program, ""


def first_violation(program, world):
    command = ["timeout", str(SECONDS), program, *world.split()]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if result.returncode == 0:
        return None
    lines = result.stdout.splitlines()
    told = [line for line in lines if line.startswith(("VIOLATION", "model:"))]
    return told[0] if told else f"ended with {result.returncode}"


def judge(number):
    name, old, new, worlds = MUTANTS[number]
    start = time.monotonic()
    program, wrong = build(number, old, new)
    for world in worlds if program else ():
        found = first_violation(program, world)
        if found:
            seconds = time.monotonic() - start
            return True, f"killed   {seconds:5.1f} s  {name}\n           {found}"
    return False, f"SURVIVED {name} {wrong}"


def main():
    compile_model()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        passed = 0
        for killed, text in pool.map(judge, range(len(MUTANTS))):
            print(text, flush=True)
            passed += killed
    print(f"{passed} passed, {len(MUTANTS) - passed} failed")
    return 0 if passed == len(MUTANTS) else 1


if __name__ == "__main__":
    sys.exit(main())
