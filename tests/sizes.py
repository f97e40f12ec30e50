#!/usr/bin/python3
"""Measures the flash, memory and stack that dynalock.h takes on small processors; prints tables.

    tests/sizes.py            measure, print, write build/sizes.json
    tests/sizes.py --update   and put the tables into README.md
    tests/sizes.py --check    and compare with README.md: fails if a figure is not there, or has
                              grown by more than 2 %

It always fails if a must is missed that is not listed as MISSED, or listed and met.

Flash is the .text and .rodata of dynalock.h's own object (jsmn is in it; BearSSL, libc and the
calling program are not) that the linker keeps of it for tests/sizes/program.c, as its map says.
BearSSL's share is what it keeps of tests/sizes/Makefile's library. What a feature adds is what the
linker keeps more for a program that uses it.

The stack is computed from what GCC says of each function and from the calls in the objects
(tests/stack.py); what the port's hooks take is not in it. Beside it stands what `make firmware` has
found painted over on a board, main, port, network and interrupts included, as README.md says.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
from typing import NamedTuple

import readme
import stack

ROOT = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = ROOT / "build/include"  # jsmn.h and BearSSL's headers, without the host's libc
OUT = ROOT / "build/sizes"
RESULT = ROOT / "build/sizes.json"
PROGRAM = ROOT / "tests/sizes/program.c"
HEADER = ROOT / "dynalock.h"
BOARDS = ROOT / "build/firmware/figures.json"

ARM, RISCV = "arm-none-eabi-", "riscv64-unknown-elf-"
ARM_LINK = ["--specs=nano.specs", "--specs=nosys.specs"]
RISCV_LINK = ["-nostartfiles", "-Wl,-e,main", "-Wl,--defsym=__flash_size=0x100000"]


class Core(NamedTuple):
    folder: str  # in build/sizes: as tests/sizes/Makefile has it
    tools: str
    flags: list
    link: list


CORES = {
    "Cortex-M0+": Core("m0plus", ARM, ["-mthumb", "-mcpu=cortex-m0plus"], ARM_LINK),
    "Cortex-M3": Core("m3", ARM, ["-mthumb", "-mcpu=cortex-m3"], ARM_LINK),
    "Cortex-M4": Core("m4", ARM, ["-mthumb", "-mcpu=cortex-m4", "-mfloat-abi=soft"], ARM_LINK),
    "rv32imc": Core(
        "rv32imc", RISCV, ["-march=rv32imc", "-mabi=ilp32", "--specs=picolibc.specs"], RISCV_LINK
    ),
}
COMPILE = ["-Os", "-g", "-std=c99", "-ffunction-sections", "-fdata-sections", "-fstack-usage"]
COMPILE += [f"-I{ROOT}", f"-isystem{INCLUDE}"]
# What the program's objects leave undefined (its own variables) is not ours.
LINK = ["-Wl,--gc-sections", "-Wl,--unresolved-symbols=ignore-in-object-files"]
LINK += ["-Wl,--no-warn-rwx-segments"]

LAYOUTS = ("dynamolock", "dynalock_py", "dynamo_dlm", "chainsaws", "dynalock_go")
# Rows of the second table: what a program can use besides init, acquire with a wait, renew, poll,
# release and read, by the define of tests/sizes/program.c. Some take an option of dynalock.h.
FEATURES = {
    "secure_transport": ["-DWITH_SECURE_TRANSPORT"],
    "close": ["-DWITH_CLOSE"],
    "release_all": ["-DWITH_RELEASE_ALL"],
    "cancel": ["-DWITH_CANCEL"],
    "set_lease": ["-DWITH_LEASE"],
    "set_credentials": ["-DWITH_CREDENTIALS"],
    "credentials from EC2": ["-DWITH_EC2"],
    "credentials from a container": ["-DWITH_CONTAINER"],
    "credentials from AWS IoT": ["-DWITH_IOT"],
    "set_clock": ["-DWITH_CLOCK"],
    "alarm": ["-DWITH_ALARM"],
    "save, restore, release_restored": ["-DWITH_SAVE"],
    "SAME_OWNER": ["-DWITH_SAME_OWNER"],
    "data": ["-DWITH_DATA"],
    "seal, unseal": ["-DWITH_SEAL"],
    "tidy": ["-DWITH_TIDY"],
    "group": ["-DWITH_GROUP"],
    "semaphore": ["-DWITH_SEMAPHORE"],
    "watch": ["-DWITH_WATCH"],
    "break": ["-DWITH_BREAK"],
    "list": ["-DWITH_LIST"],
    "call, fence_condition, fence_clause": ["-DWITH_CALL"],
    "table_check, table_create": ["-DWITH_TABLE"],
    "use_fips": ["-DWITH_FIPS"],
    **{f"layout {name}": [f"-DWITH_LAYOUT=dynalock_for_{name}"] for name in LAYOUTS},
    "explain": ["-DWITH_EXPLAIN"],
    "DYNALOCK_LOG 1": ["-DDYNALOCK_LOG=1"],
    "DYNALOCK_LOG 4": ["-DDYNALOCK_LOG=4"],
}
TLS = {
    "small": "-DWITH_TLS",
    "wide": "-DWITH_TLS_WIDE",
}

ANY = tuple(CORES)
M3 = ("Cortex-M3",)
KB = 1024
SMALL_TLS_BUFFER = KB + 325  # a record of 1 KB and what TLS adds at most
FLASH = "flash: the lock over a plain stream"
ALL = "flash: with all features and TLS, BearSSL not counted"
FLASH_TLS = "flash: with TLS, small profile, BearSSL and all"
SMALL_TLS = f"sizeof(dynalock_tls), DYNALOCK_TLS_BUFFER {SMALL_TLS_BUFFER}"
FULL_TLS = "sizeof(dynalock_tls), full records"
IOT_RAM = "credentials from AWS IoT: provider, source, 3 KB of texts"
IOT_TEXTS = 3 * KB  # test_sources.c: the longest answer that was seen fits
SMALL_RAM = "client, lock and TLS, records of 1 KB"
FULL_RAM = "client, lock and TLS, full records"
STACK_PLAIN = "stack, computed: the lock over a plain stream"
STACK_TLS = "stack, computed: with TLS, small profile"
STACK_WIDE = "stack, computed: with TLS, wide profile"
STACK_ALL = "stack, computed: with all features and TLS, small profile"
PAINTED = "stack, painted on a board: with TLS, small profile"
MUSTS = {  # most bytes, and the cores it is asked of
    FLASH: (14 * KB, M3),
    ALL: (28 * KB, M3),
    FLASH_TLS: (52 * KB, M3),
    ".data + .bss": (0, ANY),
    "sizeof(dynalock_client)": (6 * KB, ANY),
    "sizeof(dynalock_lock)": (256, ANY),
    **{f"layout {name}": (KB, M3) for name in LAYOUTS},
    SMALL_TLS: (9 * KB, ANY),
    FULL_TLS: (24 * KB, ANY),
    IOT_RAM: (3520, ANY),  # no more than a client
    SMALL_RAM: (15 * KB, ANY),
    FULL_RAM: (30 * KB, ANY),
    STACK_TLS: (5 * KB, M3),
    PAINTED: (5 * KB, M3),
}
# Said plainly rather than hidden: what does not reach its must yet. It may not grow all the same.
MISSED = {(figure, "Cortex-M3") for figure in (FLASH, ALL)}
TOLERANCE = 1.02
PATHS = {}  # by figure: who is on the stack when it is deepest, for build/sizes.json
SLACK = 16  # bytes that what a feature adds may grow by: on so few, 2 % is an instruction


def run(*command):
    result = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, text=True)
    if result.returncode != 0:
        sys.exit(f"sizes.py: {command[0]} failed")
    return result.stdout


# ---- building ------------------------------------------------------------------------------------


def build(core, name, source, *flags):
    """Compiles; returns the object."""
    target = OUT / core.folder / f"{name}.o"
    compiler = f"{core.tools}gcc"
    run(compiler, *core.flags, *COMPILE, *flags, "-c", "-x", "c", source, "-o", target)
    return target


def link(core, implementation, name, *flags):
    """Links tests/sizes/program.c; returns what the linker's map says of it."""
    program = build(core, name, PROGRAM, *flags)
    map_file = program.with_suffix(".map")
    # ours first: the strings that all objects share are put down to the first that has any
    objects = [implementation, program, OUT / core.folder / "bearssl.a"]
    output = ["-o", program.with_suffix(".elf"), f"-Wl,-Map={map_file}"]
    run(f"{core.tools}gcc", *core.flags, *COMPILE, *LINK, *core.link, *objects, *output)
    return Map(map_file.read_text())


class Map:
    """The code and the constants in a linker's map: what each object has, and where."""

    def __init__(self, text):
        # what was dropped is listed above this heading; long names have a line to themselves
        memory = text.partition("Linker script and memory map")[2]
        memory = re.sub(r"^( \.\S+)\n", r"\1", memory, flags=re.M)
        lines = re.findall(r"^ (\.\S+)\s+0x([0-9a-f]+)\s+0x([0-9a-f]+) (\S+)$", memory, re.M)
        self.sections = [
            (section, int(address, 16), int(size, 16), file)
            for section, address, size, file in lines
            if re.match(r"\.(text|s?rodata)", section) and int(size, 16) != 0
        ]

    def size(self, wanted):
        """Merged strings may be listed more than once: what counts is the addresses covered."""
        covered, reached = 0, 0
        ranges = sorted((at, at + size) for _, at, size, file in self.sections if wanted in file)
        for start, end in ranges:
            covered += max(0, end - max(start, reached))
            reached = max(reached, end)
        return covered

    def functions(self):
        """Pairs of an object's name and a function's."""
        for section, _, _, file in self.sections:
            if section.startswith(".text."):
                yield re.search(r"(\w+)\.o\)?$", file)[1], section.removeprefix(".text.")


def writable(core, implementation):
    """Bytes of an object's .data and .bss, all of it, whoever uses it."""
    lines = run(f"{core.tools}size", "-A", implementation).splitlines()
    cells = [line.split() for line in lines if re.match(r"\.s?(data|bss)", line)]
    return sum(int(line[1]) for line in cells)


def sizeof(core, types, *flags):
    """The sizes of types by name, read from an object with an array as long as each."""
    source = OUT / "sizeof.c"
    lines = ['#include "dynalock.h"', *(f"char size_of_{t}[sizeof({t})];" for t in types)]
    source.write_text("\n".join(lines) + "\n")
    table = run(f"{core.tools}nm", "-S", build(core, "sizeof", source, *flags))
    symbols = re.findall(r"^\S+ (\S+) \w size_of_(\w+)$", table, re.M)
    return {name: int(size, 16) for size, name in symbols}


# ---- measuring -----------------------------------------------------------------------------------


def implement(core, name="dynalock", *flags):
    return build(core, name, HEADER, "-DDYNALOCK_IMPLEMENTATION", *flags)


def ours(core, implementation, name, *flags):
    size = link(core, implementation, name, *flags).size("/dynalock")
    if size < 10000:
        sys.exit(f"sizes.py: nothing of dynalock.h in the linker's map of {name}")
    return size


def worst_stack(core, kept):
    folder = OUT / core.folder
    objects = [folder / "dynalock.o", *folder.glob("bearssl/src/*/*.o")]
    program = stack.Program(objects, kept)
    roots = [key for key in kept if key[1].startswith("dynalock_") and key[0] == "dynalock"]
    return max(program.worst(root) for root in roots)


def painted():
    """What `make firmware` has found on a Cortex-M3: the most of either kind of certificate. From
    its last run here or, where it was not run, from the table of its figures in README.md."""
    names = ("stack", "stack, RSA")
    here = json.loads(BOARDS.read_text()).get("mps2", {}) if BOARDS.exists() else {}
    published = readme.figures("boards")
    figures = [here.get(name, published.get((name, "mps2"))) for name in names]
    if None in figures:
        sys.exit("sizes.py: no stack of the board mps2 in README.md (make firmware UPDATE=1)")
    return max(figures)


def measure(core):
    """The rows of the first table."""
    implementation = implement(core)
    names = ["client", "lock", "record", "watch", "listing", "tls", "provider", "iot"]
    sizes = sizeof(core, [f"dynalock_{name}" for name in names])
    small = sizeof(core, ["dynalock_tls"], f"-DDYNALOCK_TLS_BUFFER={SMALL_TLS_BUFFER}")
    client = sizes["dynalock_client"] + sizes["dynalock_lock"]
    with_tls = link(core, implementation, "tls", "-DWITH_TLS")
    figures = {
        FLASH: ours(core, implementation, "plain"),
        "flash: with dynalock_explain": ours(core, implementation, "explain", "-DWITH_EXPLAIN"),
        "flash: with TLS, BearSSL not counted": with_tls.size("/dynalock"),
        ALL: ours(core, implementation, "all", "-DWITH_ALL", "-DWITH_TLS"),
        FLASH_TLS: with_tls.size("/dynalock") + with_tls.size("/bearssl"),
        ".data + .bss": writable(core, implementation),
        "sizeof(dynalock_client)": sizes["dynalock_client"],
        "sizeof(dynalock_lock)": sizes["dynalock_lock"],
        "sizeof(dynalock_record)": sizes["dynalock_record"],
        "sizeof(dynalock_watch)": sizes["dynalock_watch"],
        "sizeof(dynalock_listing)": sizes["dynalock_listing"],
        SMALL_TLS: small["dynalock_tls"],
        FULL_TLS: sizes["dynalock_tls"],
        IOT_RAM: sizes["dynalock_provider"] + sizes["dynalock_iot"] + IOT_TEXTS,
        SMALL_RAM: client + small["dynalock_tls"],
        FULL_RAM: client + sizes["dynalock_tls"],
    }
    if core is CORES["Cortex-M3"]:
        figures.update(measure_stack(core, implementation))
    return figures


def measure_stack(core, implementation):
    programs = {STACK_PLAIN: "plain", STACK_TLS: "tls", STACK_WIDE: "tls-wide", STACK_ALL: "all"}
    flags = {"plain": [], "tls": ["-DWITH_TLS"], "tls-wide": ["-DWITH_TLS_WIDE"]}
    flags["all"] = ["-DWITH_ALL", "-DWITH_TLS"]
    figures = {}
    for figure, name in programs.items():
        kept = set(link(core, implementation, name, *flags[name]).functions())
        figures[figure], path = worst_stack(core, kept)
        PATHS[figure] = path
    return {**figures, PAINTED: painted()}


def measure_features(core):
    """The rows of the second table: bytes more than the lock over a plain stream."""
    implementation = OUT / core.folder / "dynalock.o"
    plain = link(core, implementation, "plain")
    figures = {}
    for number, (feature, flags) in enumerate(FEATURES.items()):
        of, name = implementation, f"feature{number}"
        if flags[0].startswith("-DDYNALOCK"):
            of = implement(core, f"dynalock-{number}", *flags)
        figures[feature] = ours(core, of, name, *flags) - plain.size("/dynalock")
    for profile, flag in TLS.items():
        linked = link(core, implementation, "tls", flag)
        if profile == "small":
            figures["TLS"] = linked.size("/dynalock") - plain.size("/dynalock")
        figures[f"BearSSL for it, {profile} profile"] = linked.size("/bearssl")
    sealing = link(core, implementation, "seal", "-DWITH_SEAL")
    figures["BearSSL for seal, where TLS has it not"] = sealing.size("/bearssl")
    return figures


# ---- the tables ----------------------------------------------------------------------------------


def must_text(figure):
    if figure not in MUSTS:
        return ""
    most, cores = MUSTS[figure]
    text = f"{most:,}" if cores == ANY else f"{most:,} on {', '.join(cores)}"
    return text + (", missed" if any(name == figure for name, _ in MISSED) else "")


def rows(measured):
    for figure in measured["Cortex-M3"]:
        cells = (readme.number(measured[core].get(figure, "")) for core in CORES)
        yield [figure, *cells, must_text(figure)]


def render(measured, features):
    versions = ", ".join(
        f"{tools}gcc {run(f'{tools}gcc', '-dumpfullversion').strip()}" for tools in (ARM, RISCV)
    )
    caption = f"Bytes, with {versions}, -Os, default options; BearSSL 0.6.\n\n"
    added = "What a program pays for what it uses, in bytes of flash above the first row:\n\n"
    header = ["figure", *CORES, "at most"]
    return caption + readme.table(header, rows(measured)), added + readme.table(
        ["feature", *header[1:]], rows(features)
    )


def judge(measured):
    for core, figures in measured.items():
        for figure, size in figures.items():
            most, cores = MUSTS.get(figure, (size, ()))
            missed = core in cores and size > most
            if missed and (figure, core) not in MISSED:
                yield f"{figure}, {core}: {size:,} bytes, must be at most {most:,}"
            if not missed and (figure, core) in MISSED:
                yield f"{figure}, {core}: {size:,} bytes, met: take it off the list of the missed"


def doubt(figures):
    """A computed stack is the most that there can be."""
    if figures[PAINTED] > figures[STACK_TLS]:
        yield f"{PAINTED}: {figures[PAINTED]:,} bytes, over {STACK_TLS}: {figures[STACK_TLS]:,}"


def compare(measured, published, slack):
    for core, figures in measured.items():
        for figure, size in figures.items():
            before = published.get((figure, core))
            if before is None:
                yield f"{figure}, {core}: not in README.md (make sizes UPDATE=1)"
            elif size > max(before * TOLERANCE, before + slack):
                yield f"{figure}, {core}: {size:,} bytes, README.md says {before:,}"


def main():
    parser = argparse.ArgumentParser(description="Measures flash, memory and stack.")
    parser.add_argument("--update", action="store_true", help="put the tables into README.md")
    parser.add_argument("--check", action="store_true", help="compare with README.md")
    options = parser.parse_args()
    measured = {name: measure(core) for name, core in CORES.items()}
    features = {name: measure_features(core) for name, core in CORES.items()}
    result = {"sizes": measured, "features": features, "stack": PATHS}
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    sizes, added = render(measured, features)
    print(sizes, added, sep="\n")
    if options.update:
        readme.update("sizes", sizes)
        readme.update("features", added)
    failures = [*judge(measured), *judge(features), *doubt(measured["Cortex-M3"])]
    if options.check:
        failures += compare(measured, readme.figures("sizes"), 0)
        failures += compare(features, readme.figures("features"), SLACK)
    for failure in failures:
        print(f"sizes: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
