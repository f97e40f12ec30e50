#!/usr/bin/python3
"""Runs the examples against a server, as their comments say. The last line is `N passed, N failed`."""

import os
import signal
import subprocess
import sys
import time
import traceback

import harness

EXAMPLES = harness.BUILD / "examples"
SECONDS = 30  # the longest that anything here may take


class Program:
    """An example under way, and what it prints."""

    def __init__(self, servers, name, *arguments):
        environment = servers.environment()
        self._process = subprocess.Popen(
            ["stdbuf", "-oL", EXAMPLES / name, *map(str, arguments), environment["DYNALOCK_TEST_HTTPS"]]
            + [environment["DYNALOCK_TEST_CA"]],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            text=True,
        )
        os.set_blocking(self._process.stdout.fileno(), False)
        self.output = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()

    def _read(self):
        try:
            self.output += self._process.stdout.read() or ""
        except TypeError:  # nothing there yet
            pass

    def expect(self, text):
        end = time.monotonic() + SECONDS
        while text not in self.output:
            ended = self._process.poll() is not None
            self._read()
            if text not in self.output and (ended or time.monotonic() > end):
                raise AssertionError(f"no {text!r} in:\n{self.output}")
            time.sleep(0.01)

    def signal(self, number):
        self._process.send_signal(number)

    def status(self):
        status = self._process.wait(SECONDS)
        self._read()
        return status


def a_signal_gives_a_hundred_locks_back(servers):
    with Program(servers, "many_locks", "first", 60) as first:
        first.expect("first holds 100\n")
        with Program(servers, "many_locks", "second", 1) as second:
            second.expect("second holds 0\n")
            first.signal(signal.SIGTERM)
            first.expect("first has given all back\n")
            assert first.status() == 0
            assert second.status() == 0, second.output
        with Program(servers, "many_locks", "third", 60) as third:
            third.expect("third holds 100\n")  # at once: nothing has to expire
            third.signal(signal.SIGINT)
            assert third.status() == 0, third.output


def a_stale_guard_is_refused_by_its_file(servers):
    resource = harness.BUILD / "examples/guarded"
    resource.unlink(missing_ok=True)
    with Program(servers, "guard", resource, "slow", 4) as slow:
        slow.expect("slow: held")
        with Program(servers, "guard", resource, "quick", 0) as quick:
            assert quick.status() == 0, quick.output
            quick.expect("accepted")
        assert slow.status() == 1, slow.output
        slow.expect("refused")


def a_stale_write_is_refused_by_its_item(servers):
    for _ in range(2):  # the table is there the second time
        with Program(servers, "fenced_write") as program:
            assert program.status() == 0, program.output
            program.expect("quick: written\nslow: refused")


TESTS = [
    a_signal_gives_a_hundred_locks_back,
    a_stale_guard_is_refused_by_its_file,
    a_stale_write_is_refused_by_its_item,
]


def main():
    passed = 0
    with harness.Servers("dynoxide") as servers:
        for test in TESTS:
            try:
                test(servers)
                passed += 1
                print(f"ok     {test.__name__}", flush=True)
            except Exception:  # pylint: disable=broad-except
                print(f"FAILED {test.__name__}\n{traceback.format_exc()}", flush=True)
    print(f"{passed} passed, {len(TESTS) - passed} failed")
    return 0 if passed == len(TESTS) else 1


if __name__ == "__main__":
    sys.exit(main())
