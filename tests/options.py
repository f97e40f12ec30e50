#!/usr/bin/python3
"""Builds dynalock.h with every option that its manual's table lists, at every kind of value.

    pairs      any two values of any two options, and switches, meet in one of the programs
    sizes      each size from its least up by one byte, and around powers of two
    refusals   what lies outside a range does not compile, and says so
    files      of one program, built with other options, do not link; or it makes no difference

Each program (tests/options/cycle.c) lives a client's life with its options: at their limits, just
beyond, and in pieces of several sizes. The last line is `N passed, N failed`.
"""

import concurrent.futures
import itertools
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / "build/options"
FLAGS = ["-D_DEFAULT_SOURCE", "-Wall", "-I", ROOT]
STRICT = ["-std=c99", "-Wextra", "-Werror", "-O0"]
COMPILERS = {
    "gcc": ["gcc", *STRICT],
    "clang": ["clang", *STRICT],
    "sanitized": ["gcc", *STRICT, "-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
    "tcc": ["tcc"],  # takes 20 ms
}
MOST_OUTPUT = 2000  # characters shown of a failure
LONGEST_SECONDS = 100
DENSE = 300  # bytes from the least on, each of which is tried

SWITCHES = ["DYNALOCK_NO_TLS", "DYNALOCK_STATIC", "DYNALOCK_POSIX", "DYNALOCK_NO_AMAZON"]
ANCHORS = {  # ranges that the manual does not limit: few, default, more
    "DYNALOCK_ANCHORS": (1, 1000, 256),
    "DYNALOCK_ANCHOR_BYTES": (100, 200000, 131072),
}
OF_TLS = ["dynalock_seal", "dynalock_unseal", "dynalock_tls_init"]
NO_LAYOUT = ["DYNALOCK_CLOCK_STEP_MS", "DYNALOCK_LOG"]
IMPLEMENTATION = '#define DYNALOCK_IMPLEMENTATION\n#include "dynalock.h"\n'
HEADER = (ROOT / "dynalock.h").read_text()


def ranges():
    """Least, most and default by option, from the manual."""
    manual = HEADER.partition("OPTIONS")[2].partition("CONTENTS")[0]
    rows = re.findall(r"^(DYNALOCK_\w+) +(\d+)\.\.(\d+), (\d+)", manual, re.M)
    return {name: tuple(map(int, values)) for name, *values in rows}


def run(command):
    """Returns whether it succeeded, and what it said."""
    result = subprocess.run(
        list(map(str, command)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=LONGEST_SECONDS,
    )
    return result.returncode == 0, result.stdout


def compile_file(compiler, source, defines, *arguments):
    """The arguments stand behind the file."""
    flags = [*COMPILERS[compiler], *FLAGS, *(f"-D{define}" for define in defines)]
    return run([*flags, source, *arguments])


def write(name, text):
    source = OUT / f"{name}.c"
    source.write_text(text)
    return source


# ---- pairs ----


def factors(found):
    """All values of each option that are worth a meeting; "" stands for "not defined"."""
    values = {}
    for option, (least, most, default) in {**found, **ANCHORS}.items():
        some = {least, most, default}
        if option == "DYNALOCK_LOG":
            some = range(least, most + 1)
        values[option] = [f"{option}={value}" for value in sorted(some)]
    values.update({switch: ["", switch] for switch in SWITCHES})
    values["compiler"] = ["gcc", "clang"]
    return list(values.values())


def pairs(row):
    return set(itertools.combinations(sorted(enumerate(row)), 2))


def cover(values):
    """Rows such that any two values of two factors stand in one of them: each takes, value by
    value, what meets the most others for the first time."""
    missing = {
        ((i, a), (j, b))
        for (i, left), (j, right) in itertools.combinations(enumerate(values), 2)
        for a in left
        for b in right
    }
    while missing:
        (i, a), (j, b) = min(missing, key=str)
        row = {i: a, j: b}
        for place, choice in enumerate(values):
            if place not in row:
                row[place] = max(
                    choice, key=lambda value: len(meetings(row, place, value) & missing)
                )
        missing -= pairs([row[place] for place in range(len(values))])
        yield [row[place] for place in range(len(values))]


def meetings(row, place, value):
    return {tuple(sorted([(place, value), other])) for other in row.items()}


# ---- sizes ----


def sizes(found):
    """Rows of all sizes at once, each counted from its own least on, and at powers of two."""
    ranged = {name: limits for name, limits in found.items() if name not in NO_LAYOUT}
    for more in range(DENSE + 1):
        yield f"least + {more}", {
            name: min(least + more, most) for name, (least, most, _) in ranged.items()
        }
    for power in range(6, 17):
        for value in (2**power - 1, 2**power, 2**power + 1):
            yield f"as near to {value} as may be", {
                name: max(least, min(value, most)) for name, (least, most, _) in ranged.items()
            }


# ---- what is checked: each returns what went wrong, nothing if all is well ----


def lives(name, compiler, defines):
    program = OUT / name
    source = ROOT / "tests/options/cycle.c"
    libraries = ["-Wl,--as-needed", "-lcmocka", "-lbearssl"]
    built, output = compile_file(compiler, source, defines, "-o", program, *libraries)
    if not built or (output and compiler != "tcc"):
        return output or "not built"
    well, output = run([program, f"{program}.pem"])
    program.unlink()
    return "" if well else output or "no output"


def refused(name, option, value):
    source = write(name, IMPLEMENTATION)
    built, output = compile_file("gcc", source, [f"{option}={value}"], "-E", "-o", "/dev/null")
    if not built and f'#error "{option} must be' in output:
        return ""
    return f"not refused by an #error of its own\n{output}"


def prototypes():
    """The interface's functions by name, each with its parameters."""
    interface = HEADER.partition("/* Implementation */")[0]
    found = re.findall(r"^DYNALOCK_API [^;(]*?(dynalock_\w+)\(([^;]*?)\)[^;)]*;", interface, re.M)
    return {name: " ".join(parameters.split()) for name, parameters in found}


def sized_functions():
    return re.findall(r"^#define (dynalock_\w+)[\s\\]+DYNALOCK_SIZED\(\1\)", HEADER, re.M)


def type_sizes(name, defines):
    interface = HEADER.partition("/* Implementation */")[0]
    types = re.findall(r"^(?:typedef )?(?:struct|union) (dynalock_\w+) \{", interface, re.M)
    calls = "".join(f'    printf("{type} %zu\\n", sizeof({type}));\n' for type in types)
    text = '#include "dynalock.h"\n#include <stdio.h>\n'
    text += f"int main(void)\n{{\n{calls}    return 0;\n}}\n"
    if "DYNALOCK_NO_TLS" in defines:
        of_tls = r"dynalock_(tls\w*|usage|identity|anchors|posix_identity)"
        text = re.sub(rf'    printf\("{of_tls} .*\n', "", text)
    program = OUT / name
    defines = ["DYNALOCK_POSIX", *defines]
    built, output = compile_file("gcc", write(name, text), defines, "-o", program)
    if not built:
        raise RuntimeError(output)
    return dict(line.split() for line in run([program])[1].splitlines())


def names_carry_sizes(name, found):
    """Every function that takes an object whose size depends on an option?"""
    usual = type_sizes(name, [])
    other = [
        type_sizes(name, [f"{option}={least if least != default else most}"])
        for option, (least, most, default) in found.items()
    ]
    other.append(type_sizes(name, ["DYNALOCK_NO_TLS"]))
    changing = {type for sizes in other for type in sizes if sizes[type] != usual[type]}
    objects = re.compile(rf"\b({'|'.join(changing)}) \*")
    sized = set(sized_functions())
    plain = [
        function
        for function, parameters in prototypes().items()
        if objects.search(parameters) and function not in sized
    ]
    if len(changing) < 10 or len(sized) < 60:
        return f"hardly anything found: {sorted(changing)}, {sorted(sized)}"
    return "".join(f"{function} takes one under a plain name\n" for function in plain)


def apart(name, mine, others, *functions):
    """A program in two files: none of its functions, all but the port's, may be found."""
    functions = functions or [name for name in sized_functions() if "posix" not in name]
    if "DYNALOCK_NO_TLS" in mine + others:
        functions = [f for f in functions if f not in OF_TLS]
    uses = "".join(f"    (any *){function},\n" for function in functions)
    user = '#include "dynalock.h"\ntypedef void any(void);\nany *const all[] = {\n'
    user += f"{uses}}};\nint main(void)\n{{\n    return all[0] == 0;\n}}\n"
    implementation = OUT / f"{name}-implementation.o"
    source = write(f"{name}-implementation", IMPLEMENTATION)
    built, output = compile_file("tcc", source, mine, "-c", "-o", implementation)
    if not built:
        return output
    flags = ["-Wno-cast-function-type", implementation, "-o", OUT / name, "-lbearssl"]
    built, output = compile_file("gcc", write(name, user), others, *flags)
    missing = set(re.findall(r"undefined reference to `(dynalock_\w+?)(?:_\d+)+'", output))
    if not built and missing == set(functions):
        return ""
    return f"linked: {sorted(set(functions) - missing)}\n{output}"


def together(name, mine, others):
    """A program in two files that may differ in these options."""
    user = """
#include "dynalock.h"
static dynalock_client client;
int main(void)
{
    dynalock_config config = { 0 };
    return dynalock_client_init(&client, &config) != DYNALOCK_BAD_ARGUMENT ||
           dynalock_poll(&client) != DYNALOCK_BAD_ARGUMENT;
}
"""
    implementation = OUT / f"{name}-implementation.o"
    source = write(f"{name}-implementation", IMPLEMENTATION)
    built, output = compile_file("tcc", source, mine, "-c", "-o", implementation)
    if not built:
        return output
    program = OUT / name
    flags = [implementation, "-o", program, "-lbearssl"]
    built, output = compile_file("gcc", write(name, user), others, *flags)
    return "" if built and run([program])[0] else output or "it fails"


def static_apart(name, mine, others):
    """Static functions are not there for other files."""
    wrong = together(name, mine, others)
    return "" if "undefined reference" in wrong or "never defined" in wrong else f"linked {wrong}"


def checks_of_files(found):
    for option, (least, most, default) in found.items():
        other = f"{option}={least if least != default else most}"
        check = together if option in NO_LAYOUT else apart
        yield f"{other} in one file", check, [], [other]
        yield f"{other} in the other", check, [other], []
    yield "DYNALOCK_NO_TLS in one file", apart, [], ["DYNALOCK_NO_TLS"]
    yield "DYNALOCK_NO_TLS in the other", apart, ["DYNALOCK_NO_TLS"], []
    for option, (few, *_) in ANCHORS.items():
        posix, function = "DYNALOCK_POSIX", "dynalock_posix_anchors"
        yield f"{option} in one file", apart, [posix], [posix, f"{option}={few}"], function
        yield f"{option} in the other", apart, [posix, f"{option}={few}"], [posix], function
    for switch in ("DYNALOCK_POSIX", "DYNALOCK_NO_AMAZON"):
        yield f"{switch} in one file", together, [], [switch]
        yield f"{switch} in the other", together, [switch], []
    yield "DYNALOCK_STATIC in one file", static_apart, [], ["DYNALOCK_STATIC"]
    yield "DYNALOCK_STATIC in the other", static_apart, ["DYNALOCK_STATIC"], []
    yield "names carry sizes", names_carry_sizes, found


def checks():
    found = ranges()
    if len(found) < 9:
        sys.exit("options.py: the manual's table of options cannot be read")
    for end, position in (("least", 0), ("most", 1), ("default", 2)):
        values = [f"{option}={limits[position]}" for option, limits in found.items()]
        yield f"every option at its {end}", lives, "sanitized", values
    for *row, compiler in cover(factors(found)):
        defines = [value for value in row if value]
        yield f"pairs: {compiler} {' '.join(defines)}", lives, compiler, defines
    for title, row in sizes(found):
        defines = [f"{name}={value}" for name, value in row.items()]
        yield f"sizes: {title}", lives, "tcc", defines
    for option, (least, most, _) in found.items():
        for value in (least - 1, most + 1):
            yield f"{option}={value} is refused", refused, option, value
    yield from checks_of_files(found)


def attempt(check, *arguments):
    try:
        return check(*arguments)
    except (OSError, RuntimeError, subprocess.TimeoutExpired) as error:
        return str(error)


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        running = [
            (title, pool.submit(attempt, check, f"option-{number}", *arguments))
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
