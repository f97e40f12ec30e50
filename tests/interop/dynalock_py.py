"""The other side of `make interop`: DynaLock, the Python package `dynalock`. See contender.py.
skew=SECONDS sets its wall clock ahead.
"""

import time

import contender
from dynalock.dynalock import DynaLock
from dynalock.exceptions import LockAlreadyAcquiredError


class Side:
    def __init__(self, given):
        self._ttl = int(given["lease"]) // 1000
        self._dynalock = DynaLock(given["key"], "us-east-1", given["table"], self._ttl)
        self._ends = 0
        self._scope = None

    def try_once(self):
        self._ends = int(time.time()) + self._ttl
        self._scope = self._dynalock.lock()
        try:
            self._scope.__enter__()
        except LockAlreadyAcquiredError:
            return False
        return True

    def acquire(self):
        while not self.try_once():
            time.sleep(contender.POLL_SECONDS)

    def is_held(self):
        return time.time() < self._ends  # the library does not know

    def release(self):
        self._scope.__exit__(None, None, None)


def skew_clock(seconds, clock=time.time):
    time.time = lambda: clock() + seconds


if __name__ == "__main__":
    skew_clock(float(contender.values().get("skew", 0)))
    contender.run(Side(contender.values()), contender.values())
