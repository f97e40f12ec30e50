#!/usr/bin/python3
"""Builds dynalock.h with every value of every option that its manual's table lists.

Of a range (`32..256, 128`) the ends and the default must compile, link and run, alone and with all
other options at the same end; the neighbours outside must be refused. So must two files of one
program that disagree on a size. The last line is `N passed, N failed`.
"""

import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / "build/options"
COMPILE = ["gcc", "-std=c99", "-D_DEFAULT_SOURCE", "-Wall", "-Wextra", "-Werror", "-I", ROOT]
MOST_OUTPUT = 2000  # characters shown of a failure

USER = """
#include "dynalock.h"
static dynalock_client client;
int main(void)
{
    static dynalock_config config;
    static dynalock_listing listing;
#ifndef DYNALOCK_NO_TLS
    static dynalock_tls tls;
    dynalock_tls_init(&tls, dynalock_tls_small(), 0, 0);
    config.tls = &tls;
#endif
    return dynalock_client_init(&client, &config) != DYNALOCK_BAD_ARGUMENT ||
           dynalock_list(&client, 0, &listing) != DYNALOCK_BAD_ARGUMENT;
}
"""
IMPLEMENTATION = '#define DYNALOCK_IMPLEMENTATION\n#include "dynalock.h"\n'

# Switches that change what is compiled, alone and together.
SWITCHES = [
    [],
    ["DYNALOCK_NO_TLS"],
    ["DYNALOCK_POSIX"],
    ["DYNALOCK_STATIC"],
    ["DYNALOCK_NO_AMAZON"],
    ["DYNALOCK_NO_TLS", "DYNALOCK_POSIX"],
    ["DYNALOCK_NO_TLS", "DYNALOCK_STATIC"],
    ["DYNALOCK_POSIX", "DYNALOCK_STATIC"],
    ["DYNALOCK_NO_TLS", "DYNALOCK_POSIX", "DYNALOCK_STATIC"],
]


def ranges():
    """Least, most and default by option, from the manual."""
    manual = (ROOT / "dynalock.h").read_text().partition("OPTIONS")[2].partition("CONTENTS")[0]
    rows = re.findall(r"^(DYNALOCK_\w+) +(\d+)\.\.(\d+), (\d+)", manual, re.M)
    return {name: tuple(map(int, values)) for name, *values in rows}


def compile_file(name, text, defines, *arguments):
    """Returns whether it was built, and what was said. The arguments stand behind the file."""
    source = OUT / f"{name}.c"
    source.write_text(text)
    command = [*COMPILE, *(f"-D{define}" for define in defines), source, *arguments]
    result = subprocess.run(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return result.returncode == 0, result.stdout


# Each returns what went wrong: nothing if all is well.


def accepted(name, defines):
    program = OUT / name
    built, output = compile_file(name, IMPLEMENTATION + USER, defines, "-o", program, "-lbearssl")
    if not built:
        return output
    status = subprocess.run([program]).returncode
    return f"exit status {status}" if status != 0 else ""


def refused(name, option, value):
    built, output = compile_file(name, IMPLEMENTATION, [f"{option}={value}"], "-fsyntax-only")
    if not built and f'#error "{option} must be' in output:
        return ""
    return f"not refused by an #error of its own\n{output}"


def apart(name, option, value):
    """A program in two files, one of them with another value."""
    implementation = OUT / f"{name}-implementation.o"
    arguments = ["-c", "-o", implementation]
    built, output = compile_file(implementation.stem, IMPLEMENTATION, [], *arguments)
    if not built:
        return output
    arguments = [implementation, "-o", OUT / name, "-lbearssl"]
    built, output = compile_file(name, USER, [f"{option}={value}"], *arguments)
    if not built and re.search(rf"undefined reference to `dynalock_\w+_{value}(_\d+)*'", output):
        return ""
    return f"not refused for a name with the size in it\n{output}"


def checks():
    found = ranges()
    if len(found) < 7:
        sys.exit("options.py: the manual's table of options cannot be read")
    for switches in SWITCHES:
        yield " ".join(switches) or "no option", accepted, switches
    for end, position in (("least", 0), ("most", 1), ("default", 2)):
        values = [f"{option}={limits[position]}" for option, limits in found.items()]
        yield f"every option at its {end}", accepted, values
    for option, (least, most, default) in found.items():
        for value in sorted({least, most, default}):
            yield f"{option}={value}", accepted, [f"{option}={value}"]
        for value in (least - 1, most + 1):
            yield f"{option}={value} is refused", refused, option, value
        if option not in ("DYNALOCK_CLOCK_STEP_MS", "DYNALOCK_LOG"):  # they change no structure
            other = least if least != default else most
            yield f"{option}={other} in one file only is refused", apart, option, other


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        running = [
            (title, pool.submit(check, f"option-{number}", *arguments))
            for number, (title, check, *arguments) in enumerate(checks())
        ]
        for title, check in running:
            wrong = check.result()
            failed += bool(wrong)
            print(f"{'FAILED' if wrong else 'ok':6} {title}\n{wrong[:MOST_OUTPUT]}".rstrip())
    print(f"{len(running) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
