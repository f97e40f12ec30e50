"""The other side of `make interop`: the Python package `dynamo-dlm`, 2.x and 1.0 (permits=0). See
contender.py."""

import logging
import time

import contender
import dynamo_dlm


class Side:
    def __init__(self, given):
        logging.basicConfig(level=logging.ERROR)  # its release says when it was late
        self._duration = int(given["lease"]) // 1000
        permits = int(given.get("permits", 1))
        self._options = {"concurrency": permits} if permits else {}
        self._given = given
        self._lock = None
        self._ends = 0

    def _new(self, **options):
        self._lock = dynamo_dlm.DynamoDbLock(
            self._given["key"], self._duration, self._given["table"], **self._options, **options
        )

    def acquire(self):
        """It waits in a loop without a pause, and its lease counts from the last of its tries;
        which that was it does not say. So a try at a time, where it has one."""
        if not self._options:
            self._ends = time.time() + self._duration
            self._new()
            self._lock.acquire()
            return
        while not self.try_once():
            time.sleep(contender.POLL_SECONDS)

    def try_once(self):
        self._ends = int(time.time()) + self._duration
        self._new(wait_forever=False)
        try:
            self._lock.acquire()
        except dynamo_dlm.LockNotAcquiredError:
            return False
        return True

    def is_held(self):
        return time.time() < self._ends or not self._options

    def release(self):
        self._lock.release()


if __name__ == "__main__":
    contender.run(Side(contender.values()), contender.values())
