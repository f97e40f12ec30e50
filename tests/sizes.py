#!/usr/bin/python3
"""Measures the flash and memory that dynalock.h takes on Cortex-M; prints a table.

    tests/sizes.py            measure, print
    tests/sizes.py --update   and put the table into README.md
    tests/sizes.py --check    and compare with README.md: fails if a figure is not there, or has
                              grown by more than 2 %

It always fails if a must is missed that is not listed as MISSED, or listed and met.

Flash is the .text and .rodata of dynalock.h's own object (jsmn is in it; BearSSL, libc and the
calling program are not) that the linker keeps of it for tests/sizes/program.c, as its map says.
"""

import argparse
import pathlib
import re
import subprocess
import sys

import readme

ROOT = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = ROOT / "build/include"  # jsmn.h and BearSSL's headers, without the host's libc
OUT = ROOT / "build/sizes"
GCC = "arm-none-eabi-gcc"
CORES = {
    "Cortex-M0+": ["-mcpu=cortex-m0plus"],
    "Cortex-M3": ["-mcpu=cortex-m3"],
    "Cortex-M4": ["-mcpu=cortex-m4", "-mfloat-abi=soft"],
}
COMPILE = ["-Os", "-mthumb", "-std=c99", "-ffunction-sections", "-fdata-sections"]
COMPILE += [f"-I{ROOT}", f"-isystem{INCLUDE}"]
# What the program's objects leave undefined (BearSSL, its own variables) is not ours.
LINK = ["-Wl,--gc-sections", "-Wl,--unresolved-symbols=ignore-in-object-files"]
LINK += ["-Wl,--no-warn-rwx-segments", "--specs=nano.specs", "--specs=nosys.specs"]

ANY = tuple(CORES)
SMALL_TLS_BUFFER = 1024 + 325  # a record of 1 KB and what TLS adds at most
FLASH = "flash: the lock over a plain stream"
LAYOUTS = {  # what naming one adds
    f"flash: the layout dynalock_for_{name}": f"-DWITH_LAYOUT=dynalock_for_{name}"
    for name in ["dynamolock", "dynalock_py", "dynamo_dlm", "chainsaws", "dynalock_go"]
}
SMALL_TLS = f"sizeof(dynalock_tls), DYNALOCK_TLS_BUFFER {SMALL_TLS_BUFFER}"
FULL_TLS = "sizeof(dynalock_tls), full records"
MUSTS = {  # most bytes, and the cores it is asked of
    FLASH: (14 * 1024, ("Cortex-M3",)),
    **dict.fromkeys(LAYOUTS, (1024, ("Cortex-M3",))),
    ".data + .bss": (0, ANY),
    "sizeof(dynalock_client)": (6 * 1024, ANY),
    "sizeof(dynalock_lock)": (256, ANY),
    SMALL_TLS: (9 * 1024, ANY),
    FULL_TLS: (24 * 1024, ANY),
}
# Said plainly rather than hidden: what does not reach its must yet. It may not grow all the same.
MISSED = {(FLASH, "Cortex-M3")}
TOLERANCE = 1.02


def run(*command):
    result = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, text=True)
    if result.returncode != 0:
        sys.exit(f"sizes.py: {command[0]} failed")
    return result.stdout


def build(core, name, source, *flags):
    """Compiles; returns the object."""
    target = OUT / f"{core.lower().replace('+', 'plus')}-{name}.o"
    run(GCC, *COMPILE, *CORES[core], *flags, "-c", "-x", "c", source, "-o", target)
    return target


def flash(core, implementation, name, *flags):
    """Bytes of the implementation that stay when tests/sizes/program.c is linked."""
    program = build(core, name, ROOT / "tests/sizes/program.c", *flags)
    map_file = program.with_suffix(".map")
    # ours first: the strings that all objects share are put down to the first that has any
    objects = [implementation, program, "-o", program.with_suffix(".elf")]
    run(GCC, *COMPILE, *CORES[core], *LINK, f"-Wl,-Map={map_file}", *objects)
    return kept(map_file.read_text(), implementation)


def kept(map_text, wanted):
    """Adds up an object's sections in a linker map. Merged strings may be listed more than once:
    what counts is the addresses that they cover."""
    # those that were dropped are listed above this heading
    memory = map_text.partition("Linker script and memory map")[2]
    sections = re.findall(r"^ (\.\S+)\s+(0x[0-9a-f]+)\s+(0x[0-9a-f]+) (\S+)$", memory, re.M)
    ranges = sorted(
        (int(address, 16), int(address, 16) + int(size, 16))
        for section, address, size, file in sections
        if file == str(wanted) and re.match(r"\.(text|rodata)", section)
    )
    if not ranges:
        raise SystemExit(f"sizes.py: nothing of {wanted} in the linker's map")
    covered, reached = 0, 0
    for start, end in ranges:
        covered += max(0, end - max(start, reached))
        reached = max(reached, end)
    return covered


def writable(implementation):
    """Bytes of an object's .data and .bss, all of it, whoever uses it."""
    lines = run("arm-none-eabi-size", "-A", implementation).splitlines()
    cells = [line.split() for line in lines if re.match(r"\.(data|bss)", line)]
    return sum(int(line[1]) for line in cells)


def sizeof(core, types, *flags):
    """The sizes of types by name, read from an object with an array as long as each."""
    source = OUT / "sizeof.c"
    lines = ['#include "dynalock.h"', *(f"char size_of_{t}[sizeof({t})];" for t in types)]
    source.write_text("\n".join(lines) + "\n")
    table = run("arm-none-eabi-nm", "-S", build(core, "sizeof", source, *flags))
    symbols = re.findall(r"^\S+ (\S+) \w size_of_(\w+)$", table, re.M)
    return {name: int(size, 16) for size, name in symbols}


def measure(core):
    implementation = build(core, "dynalock", ROOT / "dynalock.h", "-DDYNALOCK_IMPLEMENTATION")
    names = ["client", "lock", "record", "watch", "listing", "provider", "tls"]
    sizes = sizeof(core, [f"dynalock_{name}" for name in names])
    small = sizeof(core, ["dynalock_tls"], f"-DDYNALOCK_TLS_BUFFER={SMALL_TLS_BUFFER}")
    plain = flash(core, implementation, "plain")
    return {
        FLASH: plain,
        "flash: with dynalock_explain": flash(core, implementation, "explain", "-DWITH_EXPLAIN"),
        "flash: with TLS, BearSSL not counted": flash(core, implementation, "tls", "-DWITH_TLS"),
        "flash: with watching": flash(core, implementation, "watch", "-DWITH_WATCH"),
        "flash: with breaking": flash(core, implementation, "break", "-DWITH_BREAK"),
        "flash: with listing": flash(core, implementation, "list", "-DWITH_LIST"),
        "flash: with fenced writes": flash(core, implementation, "call", "-DWITH_CALL"),
        "flash: with the table's creation": flash(core, implementation, "table", "-DWITH_TABLE"),
        "flash: with EC2's credentials": flash(core, implementation, "ec2", "-DWITH_EC2"),
        "flash: with TLS, AWS IoT's credentials and Amazon's roots": flash(
            core, implementation, "iot", "-DWITH_TLS", "-DWITH_IOT"
        ),
        **{
            figure: flash(core, implementation, "layout", flag) - plain
            for figure, flag in LAYOUTS.items()
        },
        ".data + .bss": writable(implementation),
        "sizeof(dynalock_client)": sizes["dynalock_client"],
        "sizeof(dynalock_lock)": sizes["dynalock_lock"],
        "sizeof(dynalock_record)": sizes["dynalock_record"],
        "sizeof(dynalock_watch)": sizes["dynalock_watch"],
        "sizeof(dynalock_listing)": sizes["dynalock_listing"],
        "sizeof(dynalock_provider)": sizes["dynalock_provider"],
        SMALL_TLS: small["dynalock_tls"],
        FULL_TLS: sizes["dynalock_tls"],
    }


def must_text(figure):
    if figure not in MUSTS:
        return ""
    most, cores = MUSTS[figure]
    text = f"{most:,}" if cores == ANY else f"{most:,} on {', '.join(cores)}"
    return text + (", missed" if any(name == figure for name, _ in MISSED) else "")


def render(measured):
    figures = next(iter(measured.values()))
    rows = [
        [figure, *(readme.number(measured[core][figure]) for core in CORES), must_text(figure)]
        for figure in figures
    ]
    version = run(GCC, "-dumpfullversion").strip()
    caption = f"Bytes, with {GCC} {version} -Os, default options.\n\n"
    return caption + readme.table(["figure", *CORES, "at most"], rows)


def complaints(measured, published):
    for core, figures in measured.items():
        for figure, size in figures.items():
            most, cores = MUSTS.get(figure, (size, ()))
            missed = core in cores and size > most
            if missed and (figure, core) not in MISSED:
                yield f"{figure}, {core}: {size:,} bytes, must be at most {most:,}"
            if not missed and (figure, core) in MISSED:
                yield f"{figure}, {core}: {size:,} bytes, met: take it off the list of the missed"
            if published is None:
                continue
            before = published.get((figure, core))
            if before is None:
                yield f"{figure}, {core}: not in README.md (make sizes UPDATE=1)"
            elif size > before * TOLERANCE:
                yield f"{figure}, {core}: {size:,} bytes, README.md says {before:,}"


def main():
    parser = argparse.ArgumentParser(description="Measures flash and memory on Cortex-M.")
    parser.add_argument("--update", action="store_true", help="put the table into README.md")
    parser.add_argument("--check", action="store_true", help="compare with README.md")
    options = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    measured = {core: measure(core) for core in CORES}
    text = render(measured)
    print(text)
    if options.update:
        readme.update("sizes", text)
    failures = list(complaints(measured, readme.figures("sizes") if options.check else None))
    for failure in failures:
        print(f"sizes: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
