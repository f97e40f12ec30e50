#!/usr/bin/python3
"""The main job, played for a person to read: `make demo`.

Two devices, each a process, want one lock over verified TLS. What they print is checked step
by step; the first step that does not happen ends the demo with exit status 1.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

from harness import Servers

DEVICE = "build/examples/demo_device"
LEASE_MS = 2000
STEP_SECONDS = 12  # the longest any step may take
COLOURS = {"gateway-A": "36", "gateway-B": "33", "gateway-C": "35", "": "1"}

START = time.monotonic()


def tell(who, text):
    name = f"{who:<10}"
    if sys.stdout.isatty():
        name = f"\033[{COLOURS[who]}m{name}\033[0m"
    print(f"{time.monotonic() - START:6.2f} s  {name} {text}", flush=True)


class Missing(Exception):
    """A step of the play that did not happen."""


class Device:
    """A device's process and what it has said so far."""

    def __init__(self, servers, name, resource, wait_ms, work_ms):
        environment = servers.environment()
        ca = environment["DYNALOCK_TEST_CA"]
        self.name = name
        self._lines = []
        self._news = threading.Condition()
        self.process = subprocess.Popen(
            [DEVICE, name, servers.url["https"], ca, resource]
            + [str(n) for n in (LEASE_MS, wait_ms, work_ms)],
            stdout=subprocess.PIPE,
            env={**os.environ, **environment},
            text=True,
        )
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in self.process.stdout:
            with self._news:
                self._lines.append(line.rstrip("\n"))
                self._news.notify_all()

    def expect(self, pattern, seconds=STEP_SECONDS):
        """The next line that fits; whatever else it says meanwhile is passed over."""
        end = time.monotonic() + seconds
        with self._news:
            while True:
                while self._lines:
                    found = re.match(pattern, self._lines.pop(0))
                    if found:
                        return found
                left = end - time.monotonic()
                if left <= 0:
                    raise Missing(f"{self.name} did not say: {pattern}")
                self._news.wait(left)

    def exits(self, status):
        if self.process.wait(STEP_SECONDS) != status:
            raise Missing(f"{self.name} ended with {self.process.returncode}, not {status}")

    def stop(self):
        self.process.kill()
        self.process.wait()


def acquired(device):
    found = device.expect(r"acquired owner=(\S+) fence=(\d+) left_ms=(\d+)")
    tell(
        device.name,
        f"holds the lock: owner {found[1]}, fence {found[2]}, lease {LEASE_MS} ms",
    )
    device.expect(r"write fence=\d+ accepted")
    tell(device.name, "writes to the resource with its fence: accepted")
    return int(found[2])


def require(truth, what):
    if not truth:
        raise Missing(what)


def play(servers, resource, devices):
    def device(*arguments):
        devices.append(Device(servers, *arguments))
        return devices[-1]

    tell("", "two gateways want one lock, on " + servers.url["https"])
    first = device("gateway-A", resource, 0, 60000)
    fence_a = acquired(first)
    first.expect(r"renewed")
    tell(first.name, "works, and renews its lease")

    second = device("gateway-B", resource, 60000, 600)
    found = second.expect(r"waits holder=(\S+) lease_ms=(\d+)")
    require(found[1] == first.name, "gateway-B names the holder")
    tell(second.name, f"waits: {found[1]} holds it, for {found[2]} ms at most without a renewal")
    first.expect(r"renewed")
    tell(first.name, "renews; the other one goes on waiting")

    first.process.send_signal(signal.SIGSTOP)
    stopped = time.monotonic()
    tell(first.name, "is stopped (SIGSTOP), past its lease")
    fence_b = acquired(second)
    waited = time.monotonic() - stopped
    require(waited > LEASE_MS / 1000 - 0.2, "the take-over waits for the whole lease")
    require(fence_b > fence_a, "the fence rises with the take-over")

    first.process.send_signal(signal.SIGCONT)
    tell(first.name, "wakes (SIGCONT)")
    found = first.expect(r"lost outcome=(-?\d+) (.*)")
    tell(first.name, f"is told: {found[2]}")
    first.expect(r"late-write fence=\d+ refused")
    tell(first.name, f"its late write with fence {fence_a} is refused by the resource")
    first.exits(3)

    second.expect(r"released")
    tell(second.name, "releases")
    second.exits(0)
    start = time.monotonic()
    third = device("gateway-C", resource, 0, 0)
    fence_c = acquired(third)
    require(time.monotonic() - start < 1, "the third acquire is granted at once")
    require(fence_c > fence_b, "the fence rises after a release")
    third.expect(r"released")
    third.exits(0)
    tell(third.name, "was granted at once after the release, and releases")


def main():
    devices = []
    with Servers("dynoxide") as servers, tempfile.TemporaryDirectory() as folder:
        try:
            play(servers, os.path.join(folder, "resource"), devices)
            refused = servers.stats()["signature_failures"]
            require(refused == 0, "every signature is right")
        except Missing as step:
            print(f"This did not happen: {step}", file=sys.stderr)
            return 1
        finally:
            for device in devices:
                device.stop()
        tell("", "every step happened, every signature was checked")
    return 0


if __name__ == "__main__":
    sys.exit(main())
