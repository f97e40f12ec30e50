#!/usr/bin/python3
"""Has analysers look at the code, without running it. The last line is `N passed, N failed`.

    tests/static.py [eva] [tidy] [gcc] [cppcheck] [complexity] [--update]

None named: all of them. --update writes the counts of misra.txt anew.

    gcc          -fanalyzer over dynalock.h, whole (it follows calls, and gives up at a size), and
                 in parts of which each has the bodies of some functions and the others only
                 declared: there it comes to an end; over the command
    tidy         clang-tidy, and the clang static analyzer in it, as .clang-tidy has it: dynalock.h,
                 the examples, the command
    cppcheck     what stays is in tests/static/cppcheck.txt; dynalock.h by its add-on for MISRA
                 C:2012, too: which rules are not followed, how often and why is in
                 tests/static/misra.txt; another rule or a higher count is a failure
    eva          Frama-C's Eva runs each prove_... of tests/static/eva_*.c with arbitrary input: no
                 alarm but those argued in tests/static/alarms.txt
    complexity   cyclomatic, of each function of dynalock.h: 15 at most
"""

import collections
import pathlib
import re
import statistics
import sys

import lint

OUT = lint.ROOT / "build/static"
TABLES = lint.ROOT / "tests/static"
IMPLEMENTATION = ["-std=c99", "-I.", "-DDYNALOCK_IMPLEMENTATION"]
POSIX = ["-DDYNALOCK_POSIX", "-D_DEFAULT_SOURCE="]
VARIANTS = {"TLS": [], "no TLS": ["-DDYNALOCK_NO_TLS"], "POSIX": POSIX}

UPDATE = "--update" in sys.argv  # the counts of misra.txt, once they have been looked at

PARTS = 6
MOST_COMPLEX = 15

# The analyzer's: nodes that it looks at per function. With more it finds no more here.
MOST_NODES = ["-Xclang", "-analyzer-config", "-Xclang", "max-nodes=20000"]

# States are told apart as long as it takes; but not by the bits of a checksum.
EVA = ["frama-c", "-cpp-extra-args=-I. -Ibuild/static/include", "-machdep", "gcc_x86_64", "-eva"]
EVA += "-eva-slevel 100000 -eva-slevel-merge-after-loop dl_crc32 -eva-split-return auto".split()
# what was proved, assumed of Frama-C's libc, or not reached from this entry
HARMLESS = ("Valid", "Considered valid", "Dead")
EVA += "-eva-unroll-recursive-calls 4 -eva-no-print".split()


def table(name):
    """Yields the entries of a table: what stands before the reason, of each line."""
    for line in (TABLES / name).read_text().splitlines():
        if line and not line.startswith("#"):
            entry, _, reason = line.partition(" -- ")
            if not reason:
                sys.exit(f"{name}: no reason: {line}")
            yield entry.strip()


# Each check returns its name, what it found wrong (nothing if all is well) and a remark.


def findings(command):
    """The warnings and errors in what a command prints; its whole output if it failed without."""
    output, well = lint.run(command)
    found = re.findall(r"^.*(?:warning|error): .*$", output, re.M)
    return "".join(f"{line}\n" for line in found) or ("" if well else output or "failed\n")


def check_gcc(source, name, level, flags):
    command = ["gcc", "-x", "c", "-std=c99", "-I.", level, "-fanalyzer", *flags]
    return f"gcc: {name} {level}", findings([*command, "-c", str(source), "-o", "/dev/null"]), ""


def write_part(number):
    """dynalock.h with the bodies of every PARTS-th function; no function is static in it, so that
    each is analysed, even if nobody calls it."""
    lines = lint.HEADER.read_text().split("\n")
    first = next(i for i, line in enumerate(lines) if line == "#ifdef DYNALOCK_IMPLEMENTATION")
    found = [f for f in lint.functions("\n".join(lines)) if f[1] > first]
    for at, (_, line, length) in enumerate(found):
        start = line - 1
        lines[start] = re.sub(r"^(static |DYNALOCK_API |DL_ALONG )+", "", lines[start])
        if at % PARTS != number:
            opening = lines.index("{", start)
            lines[opening : start + length] = [";"] + [""] * (start + length - opening - 1)
    path = OUT / f"part-{number}.c"
    path.write_text("\n".join(lines))
    return path


def check_gcc_part(number):
    source = write_part(number)
    command = ["gcc", "-O0", "-fanalyzer", "-Wanalyzer-too-complex", *IMPLEMENTATION, *POSIX]
    output, well = lint.run([*command, "-c", str(source), "-o", "/dev/null"])
    found = re.findall(r"^.*(?:error: |-Wanalyzer).*$", output, re.M)
    # one program point that was seen in too many states is still seen in many
    found = [line for line in found if "terminating analysis for this program point" not in line]
    found = "".join(f"{line}\n" for line in found) or ("" if well else output)
    return f"gcc: part {number + 1} of {PARTS}", found, ""


def check_tidy(source):
    flags = ["-std=c99", "-D_DEFAULT_SOURCE=", "-I."]
    if source == lint.HEADER:  # by itself: in headers the analyzer does not look
        flags = ["-x", "c", *IMPLEMENTATION, *POSIX, *MOST_NODES]
    elif source.parent.name != "dynalock":
        flags += MOST_NODES
    found = findings(["clang-tidy", "--quiet", str(source), "--", *flags]).splitlines(True)
    if source != lint.HEADER:
        found = [line for line in found if "dynalock.h:" not in line]
    return f"tidy: {source.relative_to(lint.ROOT)}", "".join(found), ""


def check_cppcheck(source):
    """Of the header the MISRA add-on's findings, too, which are counted in check_misra."""
    flags = ["--enable=warning,style,performance,portability", "-D_DEFAULT_SOURCE="]
    if source == lint.HEADER:
        flags = ["--enable=all", "--addon=misra", IMPLEMENTATION[-1], *POSIX]
    command = ["cppcheck", "--quiet", "--std=c99", "--language=c", "--platform=unix64", *flags]
    output, well = lint.run(
        [*command, "--template={file}:{line}: {severity}: {id}: {message}", str(source)]
    )
    known = set(table("cppcheck.txt"))
    found = [] if well else ["cppcheck failed"]
    misra = collections.Counter()
    for line in output.splitlines():
        match = re.match(r"(\S+?):(\d+): \w+: ([\w.-]+): ", line)
        if not match:
            found.append(line)
            continue
        path, number, identity = match.groups()
        if identity.startswith("misra-c2012-"):
            misra[identity.removeprefix("misra-c2012-")] += 1
            continue
        if path == "nofile" or identity.startswith("missingInclude"):
            continue  # of itself, and of what is not there for it
        where = enclosing(path, int(number))
        if f"{identity} {where}" not in known and f"{identity} *" not in known:
            found.append(f"{line} [{where}]")
    remark = ""
    if source == lint.HEADER:
        found += compare_misra(misra)
        remark = f"of MISRA C:2012 {len(misra)} rules not followed, {sum(misra.values())} places"
    name = f"cppcheck: {source.relative_to(lint.ROOT)}"
    return name, "".join(f"{line}\n" for line in found), remark


def compare_misra(counts):
    listed = {rule: int(count) for rule, count in map(str.split, table("misra.txt"))}
    if UPDATE:
        path = TABLES / "misra.txt"
        count = r"^(\d+\.\d+) \d+ --"
        known = lambda match: f"{match[1]} {counts[match[1]]} --"
        path.write_text(re.sub(count, known, path.read_text(), flags=re.M))
    for rule in sorted(counts):
        if rule not in listed:
            yield f"MISRA rule {rule} is not in misra.txt: {counts[rule]} times"
        elif counts[rule] > listed[rule] and not UPDATE:
            yield f"MISRA rule {rule}: {counts[rule]} times, listed {listed[rule]}"


def enclosing(path, number):
    """The function that a line stands in, or the file."""
    for name, first, length in lint.functions((lint.ROOT / path).read_text()):
        if first <= number < first + length:
            return name
    return pathlib.Path(path).name


def check_eva(source, entry):
    report = OUT / f"eva-{entry}.csv"
    report.unlink(missing_ok=True)
    command = [*EVA, "-main", entry, str(source)]
    output, well = lint.run([*command, "-then", "-report", "-report-csv", str(report)])
    name = f"eva: {source.stem.removeprefix('eva_')} {entry.removeprefix('prove_')}"
    if not well or not report.exists():
        return name, output[-2000:] or "failed\n", ""
    argued = set(table("alarms.txt"))
    found = []
    for line in report.read_text().splitlines()[1:]:
        directory, _, number, function, kind, status, what = line.split("\t", 6)
        # a precondition stands at each call, and once more in Frama-C's own header
        if status in HARMLESS or directory.startswith("FRAMAC_SHARE"):
            continue
        if f"{entry} {function} {kind}" not in argued:
            found.append(f"{function}: {kind}, {status}, line {number}: {what}\n")
    statements = re.search(r"(\d+) statements reached \(out of (\d+)\)", output)
    remark = f"{statements[1]} of {statements[2]} statements reached" if statements else ""
    if not statements or "NON TERMINATING" in output:
        found.append("Eva came to no end\n")
    return name, "".join(found), remark


def check_complexity():
    """pmccabe reads no directives: what stands in front of the functions, and what is for C++
    alone, is left out for it; and the tables, whose macros make functions of one switch."""
    text = lint.HEADER.read_text()
    text = text[text.index("\n#ifdef DYNALOCK_IMPLEMENTATION\n") :]
    text = re.sub(r'^#ifdef __cplusplus\n.*?^#endif$', "", text, flags=re.M | re.S)
    text = re.sub(r"^#define DL_(?:STREAM|STEPS|LAYOUT|EXPIRY_LAYOUT)\(.*?[^\\]\n", "", text, flags=re.M | re.S)
    text = re.sub(r"^DL_(?:STREAM|STEPS|LAYOUT|EXPIRY_LAYOUT)\(.*?\)\n", "", text, flags=re.M | re.S)
    source = OUT / "functions.c"
    source.write_text(text)
    output, _ = lint.run(["pmccabe", str(source)])
    found = re.findall(r"^\d+\t(\d+)\t(\d+)\t\d+\t(\d+)\t.*: (\w+)$", output, re.M)
    wrong = [f"{name}: {n}\n" for n, _, _, name in found if int(n) > MOST_COMPLEX]
    expected = {name for name, _, _ in lint.functions(text)}
    wrong += [f"{name}: not counted\n" for name in expected - {name for *_, name in found}]
    if not found:
        return "complexity", output or "nothing counted\n", ""
    numbers = [int(n) for n, *_ in found]
    statements = [int(n) for _, n, *_ in found]
    remark = f"{len(found)} functions, median {statistics.median(numbers):g}, most {max(numbers)}; "
    remark += f"median {statistics.median(statements):g} statements, most {max(statements)}"
    return "complexity", "".join(wrong), remark


def checks(parts):
    program = lint.sources("examples/dynalock/*.c")
    others = lint.sources("examples/*.c", "tools/*.c")
    if "eva" in parts:  # the longest first
        for source in lint.sources("tests/static/eva_*.c"):
            for entry in re.findall(r"^void (prove_\w+)\(void\)$", source.read_text(), re.M):
                yield check_eva, source, entry
    if "tidy" in parts:
        for source in [lint.HEADER, *program, *others]:
            yield check_tidy, source
    if "gcc" in parts:
        for name, flags in VARIANTS.items():
            for level in ("-O0", "-O2"):
                whole = [*IMPLEMENTATION, *flags]
                yield check_gcc, lint.HEADER, f"dynalock.h, {name}", level, whole
        for number in range(PARTS):
            yield check_gcc_part, number
        for source in program:
            yield check_gcc, source, source.relative_to(lint.ROOT), "-O0", POSIX[1:]
    if "cppcheck" in parts:
        for source in [lint.HEADER, *program, *others]:
            yield check_cppcheck, source
    if "complexity" in parts:
        yield (check_complexity,)


ALL = ("eva", "tidy", "gcc", "cppcheck", "complexity")


def main():
    parts = [argument for argument in sys.argv[1:] if argument != "--update"] or ALL
    if not set(parts) <= set(ALL):
        sys.exit(__doc__)
    OUT.mkdir(parents=True, exist_ok=True)
    return lint.report(checks(parts))


if __name__ == "__main__":
    sys.exit(main())
