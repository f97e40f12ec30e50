#!/usr/bin/python3
"""Checks what can be seen without running anything. The last line is `N passed, N failed`.

    warnings     none in dynalock.h, by gcc and clang, as C99 and C++11, in every variant; none in
                 the examples by the same list, none in the tests by a shorter one
    objects      need no symbols but a few of string.h, BearSSL's and the compiler's own; no .data
                 and no .bss, of any name, nor where code is position-independent
    functions    of dynalock.h: none longer than 60 lines
    layout       as clang-format has it; 80 columns
"""

import concurrent.futures
import os
import pathlib
import re
import shlex
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / "build/lint"
HEADER = ROOT / "dynalock.h"

WARNINGS = """-Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wundef -Wcast-qual
    -Wcast-align=strict -Wstrict-prototypes -Wmissing-prototypes -Wswitch-enum -Wfloat-conversion
    -Wwrite-strings""".split()
NOT_FOR_CXX = {"-Wstrict-prototypes", "-Wmissing-prototypes"}
TEST_WARNINGS = "-Wall -Wextra -Wpedantic -Wstrict-prototypes".split()

COMPILERS = {
    "gcc": ["-x", "c", "-std=c99"],
    "clang": ["-x", "c", "-std=c99"],
    "g++": ["-x", "c++", "-std=c++11"],
    "clang++": ["-x", "c++", "-std=c++11"],
}
IMPLEMENTATION = "-DDYNALOCK_IMPLEMENTATION"
POSIX = "-D_DEFAULT_SOURCE="  # so that a file may define it too
VARIANTS = [  # flags for dynalock.h
    "",  # the interface alone
    f"{IMPLEMENTATION}",
    f"{IMPLEMENTATION} -DDYNALOCK_NO_TLS",
    f"{IMPLEMENTATION} -DDYNALOCK_POSIX {POSIX}",
    f"{IMPLEMENTATION} -DDYNALOCK_POSIX {POSIX} -DDYNALOCK_NO_TLS",
    f"{IMPLEMENTATION} -DDYNALOCK_STATIC",
    f"{IMPLEMENTATION} -DDYNALOCK_STATIC -DDYNALOCK_NO_TLS",
    f"{IMPLEMENTATION} -DDYNALOCK_STATIC -DDYNALOCK_POSIX {POSIX}",
    f"{IMPLEMENTATION} -DDYNALOCK_NO_TLS -ffreestanding",
]

ARM = "arm-none-eabi-gcc -mthumb -isystem build/include"
OBJECTS = [  # compilers of the object whose sections and, of the core, symbols are looked at
    "gcc -fno-pie -DDYNALOCK_NO_TLS",
    "gcc -fno-pie",
    "gcc -fpie -DDYNALOCK_NO_TLS",
    "gcc -fpic",
    f"gcc -fpie -DDYNALOCK_POSIX {POSIX}",
    "clang -fpie -fno-jump-tables -fno-builtin-bcmp",
    f"{ARM} -mcpu=cortex-m0plus -DDYNALOCK_NO_TLS",
    f"{ARM} -mcpu=cortex-m0plus",
    f"{ARM} -mcpu=cortex-m3 -DDYNALOCK_NO_TLS",
    f"{ARM} -mcpu=cortex-m3",
    f"{ARM} -mcpu=cortex-m3 -fpic",
]
# Of the firmware, what is for boards, and what the port for threads needs on a host.
BOARD = "-isystem build/firmware -isystem build/include -Iexamples/firmware"
BOARD += " -Iexamples/firmware/lwip -isystem build/sources/lwip/src/include -DETH_PAD_SIZE=2"
BOARD_COMPILERS = {
    "arm-none-eabi-gcc": "-mcpu=cortex-m3 -mthumb",
    "clang": "--target=arm-none-eabi -mcpu=cortex-m3 -mthumb -isystem /usr/include/newlib",
}
FOR_HOSTS = re.compile(r".*/firmware/.*threads\.c")
FOR_EVA = re.compile(r".*/static/eva_.*\.c")  # need Frama-C's headers: make static compiles them

ALLOWED_SYMBOLS = re.compile(r"_GLOBAL_OFFSET_TABLE_|mem(?:cpy|move|set|cmp)|strlen|br_\w+|__\w+")

LONGEST_FUNCTION = 60
MOST_COLUMNS = 80
GENERATED = re.compile(r"/\*(?:(?!\*/).)*: do not edit\.", re.S)  # the beginning of such a file
MOST_LINES = 20  # shown of what one check finds


def sources(*patterns):
    return sorted(path for pattern in patterns for path in ROOT.glob(pattern))


def is_for_boards(path):
    return path.parent.name == "firmware" and not FOR_HOSTS.fullmatch(str(path))


def run(command):
    """Returns what it printed, and whether it succeeded."""
    try:
        result = subprocess.run(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
    except FileNotFoundError:
        return f"{command[0]} is not installed", False
    return result.stdout, result.returncode == 0


# Each check returns its name, what it found wrong (nothing if all is well) and a remark.


def check_warnings(compiler, source, warnings, flags):
    if "++" in compiler:
        warnings = [flag for flag in warnings if flag not in NOT_FOR_CXX]
    if "clang" in compiler:
        warnings = [flag.replace("-Wcast-align=strict", "-Wcast-align") for flag in warnings]
    # gcc finds more when it optimises
    language = COMPILERS.get(compiler, COMPILERS["gcc"])
    command = [compiler, *language, "-O1", "-Werror", *warnings, "-I."]
    command += [*shlex.split(flags), "-c", str(source), "-o", "/dev/null"]
    output, well = run(command)
    name = f"warnings: {compiler} {source.relative_to(ROOT)} {flags}".rstrip()
    return name, "" if well and not output else output or "failed", ""


def check_object(number, compiler):
    target = OUT / f"object-{number}.o"
    tools = "arm-none-eabi-" if compiler.startswith("arm") else ""
    command = [*shlex.split(compiler), "-Os", "-std=c99", "-I.", IMPLEMENTATION]
    output, well = run([*command, "-c", "-x", "c", str(HEADER), "-o", str(target)])
    name = f"object: {compiler}"
    if not well:
        return name, output, ""
    undefined = set(run([f"{tools}nm", "-u", str(target)])[0].split()) - {"U"}
    table = run([f"{tools}size", "-A", str(target)])[0]
    writable = re.findall(r"^(\.t?(?:data|bss)\S*)\s+(\d+)", table, re.M)
    needed = [] if "-DDYNALOCK_POSIX" in compiler else sorted(undefined)
    found = [f"needs {symbol}\n" for symbol in needed if not ALLOWED_SYMBOLS.fullmatch(symbol)]
    found += [f"{section}: {size} bytes\n" for section, size in writable if size != "0"]
    if not undefined or ".text" not in table:
        found.append("nm or size cannot read it\n")
    return name, "".join(sorted(found)), ""


def functions(text):
    """Yields name, first line and length of each function: its brace stands alone at the left
    edge, its heading begins behind the last line that ends a declaration, comment or directive."""
    lines = text.split("\n")
    for opening, line in enumerate(lines):
        if line != "{":
            continue
        start = opening
        while lines[start - 1] and not re.search(r"^#|[;}\\]$|\*/$", lines[start - 1]):
            start -= 1
        heading = " ".join(lines[start:opening])
        name = re.search(r"(\w+)\(", heading)
        closing = lines.index("}", opening)
        yield name[1] if name else heading, start + 1, closing - start + 1


def check_functions():
    found = list(functions(HEADER.read_text()))
    lengths = [length for _, _, length in found]
    long = [
        f"dynalock.h:{line}: {name} has {length} lines\n"
        for name, line, length in found
        if length > LONGEST_FUNCTION
    ]
    if not lengths:
        return "functions", "none found\n", ""
    remark = f"{len(lengths)}, median {statistics.median(lengths):g} lines, longest {max(lengths)}"
    return "functions", "".join(long), remark


def check_columns(path):
    long = [
        f"{path.relative_to(ROOT)}:{number}: {len(line)} columns\n"
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if len(line) > MOST_COLUMNS
    ]
    return f"columns: {path.relative_to(ROOT)}", "".join(long), ""


def check_format(path):
    output, _ = run(["clang-format", "--dry-run", "-Werror", str(path)])
    return f"format: {path.relative_to(ROOT)}", output, ""


def checks():
    for compiler in COMPILERS:
        for flags in VARIANTS:
            yield check_warnings, compiler, OUT / "include.c", WARNINGS, flags
    for compiler in ("gcc", "clang"):
        for source in sources("examples/**/*.c", "tests/**/*.c", "tools/*.c"):
            if not is_for_boards(source) and not FOR_EVA.fullmatch(str(source)):
                is_test = source.is_relative_to(ROOT / "tests")
                flags = f"{POSIX} {BOARD if source.parent.name == 'firmware' else ''}"
                yield check_warnings, compiler, source, TEST_WARNINGS if is_test else WARNINGS, flags
    for compiler, flags in BOARD_COMPILERS.items():
        for source in filter(is_for_boards, sources("**/firmware/*.c")):
            yield check_warnings, compiler, source, WARNINGS, f"{flags} {BOARD}"
    for number, compiler in enumerate(OBJECTS):
        yield check_object, number, compiler
    yield (check_functions,)
    for path in [HEADER, *sources("examples/**/*.[ch]", "tests/**/*.[ch]", "tools/*.c")]:
        if not GENERATED.match(path.read_text()):
            yield check_format, path
            yield check_columns, path


def report(checks):
    """Runs them, prints what each found and how many passed; returns the exit status."""
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for ended in [pool.submit(*check) for check in checks]:
            name, found, remark = ended.result()
            print(f"{'FAILED' if found else 'ok':6} {name}{': ' if remark else ''}{remark}")
            for line in found.splitlines()[:MOST_LINES]:
                print(f"       | {line}")
            sys.stdout.flush()
            failed += bool(found)
            passed += not found
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    # included, not compiled itself: that is how it is used
    (OUT / "include.c").write_text('#include "dynalock.h"\n#include "dynalock.h"\n')
    return report(checks())


if __name__ == "__main__":
    sys.exit(main())
