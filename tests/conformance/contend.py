#!/usr/bin/python3
"""Four processes contend for one lock while one after another is killed or stopped past its lease.

    tests/conformance/contend.py [--server dynoxide|dynalite] [--seconds N] [--seed N]

The processes are build/conformance/contender (see there), two over plain HTTP and two over TLS,
through the proxy that checks every signature. What the lock protects is a ledger, a file in which
they count: it refuses a fence that is lower than one it has seen. Every process tells what it does,
in the time of CLOCK_BOOTTIME, which all of them and this one share. In the end all of that is laid
side by side: see `checks`. The last line is `N passed, N failed`.
"""

import argparse
import collections
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))

from harness import BUILD, Child, Servers, leave_on_signals  # noqa: E402

CONTENDER = BUILD / "conformance/contender"
NAMES = ("a", "b", "c", "d")
LEASE_MS = 1000
POLL_MS = 100
STOP_SECONDS = 1.5 * LEASE_MS / 1000
# lease and margin, a clock's step on either side, the longest jittered poll
TAKE_OVER_MS = LEASE_MS * 1.01 + 2 * 10 + POLL_MS * 1.25
SLACK_MS = 1000  # how late a busy machine may make anything
STEP_SECONDS = 10  # the longest that anything is waited for
TAIL = 200  # bytes of a log that hold its last line
FEWEST_GRANTS_PER_SECOND = 0.5

Line = collections.namedtuple("Line", "what time fence value")  # times in ms
Hold = collections.namedtuple("Hold", "start end fence name")


def now_ms():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) / 1e6


class Contender:
    """One life of a process, and what it tells."""

    def __init__(self, name, url, ca, folder, seed):
        self.name = name
        self.killed = None  # when
        self.log = open(folder / f"{name}-{seed}.log", "w+b")
        argv = [CONTENDER, name, url, ca, folder / "ledger", LEASE_MS, POLL_MS, seed]
        self.child = Child(argv, stdin=subprocess.DEVNULL, stdout=self.log)

    def signal(self, number):
        os.kill(self.child.pid, number)

    def kill(self):
        self.killed = now_ms()
        self.signal(signal.SIGKILL)
        self.child.stop()

    def end(self):
        """Ends it in order. Returns its exit status."""
        self.signal(signal.SIGTERM)
        self.child.wait(STEP_SECONDS)
        return self.child.stop()

    def has_the_lock(self):
        """As far as its last line says."""
        size = os.fstat(self.log.fileno()).st_size
        tail = os.pread(self.log.fileno(), TAIL, max(0, size - TAIL)).decode()
        last = tail.rpartition("\n")[0].rpartition("\n")[2]
        return last.split(" ")[0] in ("grant", "hold", "wrote")

    def lines(self):
        for line in os.pread(self.log.fileno(), 1 << 30, 0).decode().splitlines():
            what, t, fence, value = line.split(" ")
            yield Line(what, int(t) / 1000, int(fence), int(value))

    def holds(self):
        """When it was a holder by its own account: from a grant until it gave back, else for as
        long as dynalock_remaining_ms() has ever said, whether it lived to see it or not."""
        hold = None
        for line in self.lines():
            if line.what == "grant":
                if hold:
                    yield hold
                hold = Hold(line.time, line.time, line.fence, self.name)
            elif line.what == "hold":
                hold = hold._replace(end=max(hold.end, line.time + line.value))
            elif line.what == "release":
                yield hold._replace(end=line.time)
                hold = None
        if hold:
            yield hold


class Play:
    def __init__(self, servers, folder, seed):
        self.servers = servers
        self.folder = folder
        self.random = random.Random(seed)
        self.lives = []  # of all contenders, past and present
        self.present = {}  # by name
        self.stops = 0  # of a holder, past its lease
        self.statuses = []

    def begin(self, name):
        url = self.servers.url["http" if name in NAMES[:2] else "https"]
        ca = self.servers.environment()["DYNALOCK_TEST_CA"]
        life = Contender(name, url, ca, self.folder, len(self.lives) + 1)
        self.lives.append(life)
        self.present[name] = life

    def run(self, seconds):
        deadline = time.monotonic() + seconds
        for name in NAMES:
            self.begin(name)
        turn = 0
        while time.monotonic() < deadline:
            time.sleep(self.random.uniform(0.1, 0.6))
            # mostly who has the lock; the others are missed by nobody
            if turn % 5 < 4:
                victim = self.holder()
            else:
                victim = self.present[NAMES[turn // 5 % len(NAMES)]]
            if turn % 2 == 0:
                victim.kill()
                self.begin(victim.name)
            else:
                self.stop_past_the_lease(victim)
            turn += 1
        time.sleep((TAKE_OVER_MS + SLACK_MS) / 1000)  # the last one is taken over too
        self.statuses = [life.end() for life in self.present.values()]

    def holder(self):
        deadline = time.monotonic() + STEP_SECONDS
        while time.monotonic() < deadline:
            for life in self.present.values():
                if life.has_the_lock():
                    return life
            time.sleep(0.002)
        raise SystemExit("nobody has the lock")

    def stop_past_the_lease(self, victim):
        victim.signal(signal.SIGSTOP)
        self.stops += victim.has_the_lock()
        time.sleep(STOP_SECONDS)
        victim.signal(signal.SIGCONT)

    def end(self):
        for life in self.lives:
            life.child.stop()
            life.log.close()


# ---- what must be true ---------------------------------------------------------------------------


class Account:
    """All that was told, by all, side by side."""

    def __init__(self, play):
        self.play = play
        self.holds = sorted(hold for life in play.lives for hold in life.holds())
        self.lines = [line for life in play.lives for line in life.lines()]
        self.ledger = []  # (fence, value, kind)
        for line in (play.folder / "ledger").read_text().splitlines():
            fence, value, kind = line.split(" ")
            self.ledger.append((int(fence), int(value), kind))

    def told(self, what):
        return [line for line in self.lines if line.what == what]

    def updates(self):
        return [(fence, value) for fence, value, kind in self.ledger if kind == "W"]

    def killed_holders(self):
        """(when, the hold that its death cut short)"""
        for life in self.play.lives:
            holds = list(life.holds())
            if life.killed and holds and holds[-1].end > life.killed:
                yield life.killed, holds[-1]

    def take_overs(self):
        """How long after each holder's death the next one was granted; None: never."""
        for when, _ in self.killed_holders():
            later = [hold.start for hold in self.holds if hold.start > when]
            yield min(later) - when if later else None


# Each returns what is wrong, or nothing.


def one_holder_at_a_time(account):
    for first, second in zip(account.holds, account.holds[1:]):
        if second.start < first.end:
            return f"{first} and {second}"


def fences_rise_with_every_grant(account):
    for first, second in zip(account.holds, account.holds[1:]):
        if second.fence <= first.fence:
            return f"{first} and then {second}"


def no_update_is_lost(account):
    """Every write is that of the value after the one before it."""
    last = 0
    for number, (fence, value, kind) in enumerate(account.ledger, 1):
        if value != last + (kind == "W"):
            return f"line {number}: {kind} {value} with fence {fence} after {last}"
        last = value


def every_update_is_told_of(account):
    """But for one that each kill may have cut off; and nothing is told of that is not there."""
    told = {(line.fence, line.value) for line in account.told("wrote")}
    there = set(account.updates())
    kills = sum(life.killed is not None for life in account.play.lives)
    if told - there:
        return f"told of, and not there: {sorted(told - there)[:5]}"
    if len(there - told) > kills:
        return f"there, and not told of: {sorted(there - told)[:5]}"


def no_fence_is_out_of_order(account):
    fences = [fence for fence, _, _ in account.ledger]
    if fences != sorted(fences):
        return "the ledger's fences fall"
    granted = {hold.fence for hold in account.holds}
    if not set(fences) <= granted:
        return f"never granted: {sorted(set(fences) - granted)[:5]}"


def dead_holders_are_followed_in_time(account):
    for duration in account.take_overs():
        if duration is None or duration > TAKE_OVER_MS + SLACK_MS:
            return f"after {duration} ms, not {TAKE_OVER_MS:.0f} and {SLACK_MS} for the machine"


def nobody_gave_up(account):
    failed = account.told("failed")
    if failed or any(account.play.statuses):
        return f"{failed[:5]}, exit statuses {account.play.statuses}"


def every_contender_had_its_turn(account):
    names = {hold.name for hold in account.holds}
    if names != set(NAMES):
        return f"only {sorted(names)}"


def every_signature_was_right(account):
    refused = account.play.servers.stats()["signature_failures"]
    if refused:
        return f"{refused} refused"


def enough_has_happened(account):
    """Or the checks above say little."""
    deaths = len(list(account.killed_holders()))
    if deaths < 2 or account.play.stops < 2:
        return f"{deaths} holders killed, {account.play.stops} stopped"
    if len(account.updates()) < 100:
        return f"{len(account.updates())} updates"


CHECKS = (
    one_holder_at_a_time,
    fences_rise_with_every_grant,
    no_update_is_lost,
    every_update_is_told_of,
    no_fence_is_out_of_order,
    dead_holders_are_followed_in_time,
    nobody_gave_up,
    every_contender_had_its_turn,
    every_signature_was_right,
    enough_has_happened,
)


def report(account):
    passed = failed = 0
    for check in CHECKS:
        wrong = check(account)
        passed += not wrong
        failed += bool(wrong)
        print(f"{'FAILED' if wrong else 'ok':6} {check.__name__}{f': {wrong}' if wrong else ''}")
    took = [duration for duration in account.take_overs() if duration is not None]
    print(
        f"{len(account.holds)} grants, {len(account.updates())} updates, "
        f"{len(account.told('refused'))} late ones refused, "
        f"{len(account.told('lost'))} losses noticed, {account.play.stops} holders stopped, "
        f"{len(took)} killed; the take-over took {min(took, default=0):.0f} to "
        f"{max(took, default=0):.0f} ms (lease {LEASE_MS}, poll {POLL_MS})"
    )
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--server", choices=["dynoxide", "dynalite"], default="dynoxide")
    parser.add_argument("--seconds", type=float, default=25)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    leave_on_signals()
    with Servers(options.server) as servers, tempfile.TemporaryDirectory() as folder:
        play = Play(servers, pathlib.Path(folder), options.seed)
        try:
            play.run(options.seconds)
            return report(Account(play))
        finally:
            play.end()


if __name__ == "__main__":
    sys.exit(main())
