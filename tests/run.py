#!/usr/bin/python3
"""Runs test programs and adds up what they count. The last line is `N passed, N failed`.

    tests/run.py [OPTION | COMMAND]...

A COMMAND is a line for the shell. The options hold for the commands after them:

    --status      a command is one test: passed if its exit status is 0 (at the start)
    --cmocka      a command reports as cmocka does
    --counts      a command's last line of output is `N passed, N failed`
    --together    two commands at a time (at the start)
    --alone       one at a time, for what measures time

What stands before --together or --alone has ended before the next command begins.

A command that crashes, says nothing of what it ran or takes too long counts as failed, and so does
a test that cmocka skipped: what was not run was not passed. The output of a failure is shown.
"""

import concurrent.futures
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

JOBS_TOGETHER = 2
LONGEST_SECONDS = 300
MOST_OUTPUT = 20000  # characters shown of a failure
MOST_NAME = 60  # characters shown of a command
KINDS = ("--status", "--cmocka", "--counts")

ENVIRONMENT = {
    **os.environ,
    "CMOCKA_MESSAGE_OUTPUT": "STDOUT",
    "ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}


def parse(arguments):
    """Returns the phases, each as (commands at a time, [(kind, command)])."""
    kind, phases = "--status", [(JOBS_TOGETHER, [])]
    for argument in arguments:
        if argument in KINDS:
            kind = argument
        elif argument in ("--together", "--alone"):
            phases.append((1 if argument == "--alone" else JOBS_TOGETHER, []))
        elif argument.startswith("--"):
            sys.exit(f"run.py: unknown option {argument}\n\n{__doc__}")
        else:
            phases[-1][1].append((kind, argument))
    return phases


class Runner:
    def __init__(self):
        self.passed = self.failed = 0
        self._stopping = False
        self._running = set()

    def run(self, jobs, width):
        with concurrent.futures.ThreadPoolExecutor(width) as pool:
            try:
                ended = [pool.submit(self._run, *job) for job in jobs]
                for job in concurrent.futures.as_completed(ended):
                    self._report(*job.result())
            except BaseException:
                self._stopping = True
                pool.shutdown(wait=False, cancel_futures=True)
                for process in list(self._running):
                    stop(process)
                raise

    def _run(self, kind, command):
        started = time.monotonic()
        with tempfile.TemporaryFile() as log:  # a pipe would wait for grandchildren too
            process = subprocess.Popen(
                command,
                shell=True,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=ENVIRONMENT,
                start_new_session=True,
            )
            self._running.add(process)
            if self._stopping:
                stop(process)
            try:
                status = process.wait(LONGEST_SECONDS)
                note = "" if status == 0 else f"exit status {status}"
            except subprocess.TimeoutExpired:
                stop(process)
                status, note = 1, f"took more than {LONGEST_SECONDS} s"
            self._running.discard(process)
            log.seek(0)
            output = log.read().decode(errors="replace")
        passed, failed = count(kind, output, status)
        return command, passed, failed, note, output, time.monotonic() - started

    def _report(self, command, passed, failed, note, output, seconds):
        self.passed += passed
        self.failed += failed
        verdict = "FAILED" if failed else "ok"
        note = f" ({note})" if note else ""
        counts = f"{passed} passed, {failed} failed" if passed + failed > 1 else ""
        name = command if len(command) <= MOST_NAME else command[: MOST_NAME - 3] + "..."
        print(f"{verdict:6} {seconds:5.1f} s  {name}{note}  {counts}".rstrip())
        if failed:
            if len(output) > MOST_OUTPUT:
                output = "(...)\n" + output[-MOST_OUTPUT:]
            for line in [f"$ {command}", *output.splitlines()]:
                print(f"       | {line}")
        sys.stdout.flush()


def count(kind, output, status):
    """Returns how many tests passed and failed."""
    passed, failed = 0, 0
    if kind == "--status":
        passed = int(status == 0)
    elif kind == "--cmocka":
        begun = sum(map(int, re.findall(r"^\[=+\].*Running (\d+) test", output, re.M)))
        passed = sum(map(int, re.findall(r"^\[  PASSED  \] (\d+) test", output, re.M)))
        failed = max(0, begun - passed)
    else:
        last = output.rstrip("\n").rpartition("\n")[2]
        counts = re.fullmatch(r"(\d+) passed, (\d+) failed", last)
        if counts:
            passed, failed = map(int, counts.groups())
    if failed == 0 and (status != 0 or passed == 0):
        failed = 1
    return passed, failed


def stop(process):
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(3)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            pass


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    runner = Runner()
    try:
        for width, jobs in parse(sys.argv[1:]):
            runner.run(jobs, width)
    except KeyboardInterrupt:
        return 130
    print(f"{runner.passed} passed, {runner.failed} failed")
    return 1 if runner.failed or not runner.passed else 0


if __name__ == "__main__":
    sys.exit(main())
