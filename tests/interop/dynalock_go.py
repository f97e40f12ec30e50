"""The other side of `make interop`: what kmdeveloping/dynalock (Go, branch develop) sends, call by
call: its Query without ConsistentRead, then its unconditional PutItem. See contender.py.

race=MS waits so long between the two, as a slow network would.
"""

import time

import boto3
import contender


class Side:
    def __init__(self, given):
        self._key = given["key"]
        self._owner = given.get("owner", "go")
        self._data = given.get("data", "")
        self._race = int(given.get("race", 0)) / 1000
        self._delete = "delete" in given
        self._table = boto3.resource("dynamodb", region_name="us-east-1").Table(given["table"])

    def _can_acquire(self):
        items = self._table.query(
            KeyConditionExpression="#key = :lock_key",
            ExpressionAttributeNames={"#key": "key"},
            ExpressionAttributeValues={":lock_key": self._key},
        )["Items"]
        return all(self._read(item)[0] == self._owner or self._read(item)[1] for item in items)

    @staticmethod
    def _read(item):
        """It panics on an attribute that is missing or of another type."""
        fields = ["key", "owner", "timestamp", "ttl", "deleteOnRelease", "isReleased", "data"]
        types = [str, str, int, int, bool, bool, str]
        for field, kind in zip(fields, types):
            value = item[field]
            if kind is int:
                value = int(value)
            if not isinstance(value, kind):
                raise TypeError(f"panic: {field}")
        return item["owner"], item["isReleased"]

    def try_once(self):
        if not self._can_acquire():
            return False
        time.sleep(self._race)
        self._table.put_item(
            Item={
                "key": self._key,
                "owner": self._owner,
                "timestamp": int(time.time()),
                "ttl": 30 * 24 * 60 * 60,
                "deleteOnRelease": self._delete,
                "isReleased": False,
                "data": self._data,
            }
        )
        return True

    def acquire(self):
        while not self.try_once():
            time.sleep(contender.POLL_SECONDS)

    def is_held(self):
        return True  # it never asks

    def release(self):
        key = {"key": self._key}
        if self._table.get_item(Key=key).get("Item", {}).get("deleteOnRelease"):
            self._table.delete_item(
                Key=key,
                ConditionExpression="#owner = :owner and deleteOnRelease = :delete",
                ExpressionAttributeNames={"#owner": "owner"},
                ExpressionAttributeValues={":owner": self._owner, ":delete": True},
            )
            return
        self._table.update_item(
            Key=key,
            UpdateExpression="SET #ts = :timestamp, isReleased = :isReleased",
            ConditionExpression="#owner = :owner",
            ExpressionAttributeNames={"#ts": "timestamp", "#owner": "owner"},
            ExpressionAttributeValues={
                ":owner": self._owner,
                ":timestamp": int(time.time()),
                ":isReleased": True,
            },
        )

    def look(self):
        item = self._table.get_item(Key={"key": self._key}).get("Item")
        if item is None:
            return "absent"
        owner, is_released = self._read(item)
        return f"{'released' if is_released else 'locked'} owner={owner} data={item['data']}"


if __name__ == "__main__":
    contender.run(Side(contender.values()), contender.values())
