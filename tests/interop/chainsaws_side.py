"""The other side of `make interop`: the Python package `chainsaws`. See contender.py. Mode `init`
makes its table.
"""

import logging
import sys
import time

import contender
from chainsaws.aws.distributed_lock import DistributedLockAPI, LockConfig
from chainsaws.aws.distributed_lock.lock_exceptions import LockAcquisitionError


class Side:
    def __init__(self, given):
        logging.basicConfig(level=logging.CRITICAL)  # its threads say when they end
        self._id = given["key"].rpartition("#")[2]
        ttl = int(given["lease"]) // 1000
        self._config = {
            "table_name": given["table"],
            "region": "us-east-1",
            "endpoint_url": given["endpoint"],
            "owner_id": given.get("owner", "chainsaws"),
            "ttl_seconds": ttl,
            "heartbeat_interval": ttl // 4,
            "retry_delay": contender.POLL_SECONDS,
        }
        self._locks = DistributedLockAPI(LockConfig(retry_times=1, **self._config))

    def init(self):
        self._locks.init_lock()

    def try_once(self):
        try:
            return self._locks.acquire(self._id)
        except LockAcquisitionError:
            return False

    def acquire(self):
        while not self.try_once():
            time.sleep(contender.POLL_SECONDS)

    def is_held(self):
        status = self._locks.get_lock_status(self._id)
        return status.is_locked and status.owner_id == self._config["owner_id"]

    def release(self):
        self._locks.release(self._id)

    def look(self):
        status = self._locks.get_lock_status(self._id)
        return f"{'locked' if status.is_locked else 'free'} owner={status.owner_id}"


if __name__ == "__main__":
    side = Side(contender.values())
    if sys.argv[1] == "init":
        side.init()
    else:
        contender.run(side, contender.values())
