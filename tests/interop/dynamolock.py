"""The other side of `make interop`: what cirello-io/dynamolock (Go, v5.0.0) sends, call by call.
See contender.py.

It looks (GetItem), puts if there is nothing or isReleased is there, watches a record for its lease
otherwise; heartbeats every quarter of a lease; keeps the item on release, or deletes it (delete=1).
A leaseDuration that time.ParseDuration does not understand is an error, whatever else the item
says.
"""

import base64
import os
import re
import threading
import time

import boto3
import contender
from botocore.exceptions import ClientError

OURS = ["key", "ownerName", "leaseDuration", "recordVersionNumber", "data", "isReleased"]
UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}


def parse_duration(text):
    parts = re.findall(r"(\d+\.?\d*|\.\d+)(ns|us|ms|s|m|h)", text)
    if not parts or "".join(map("".join, parts)) != text:
        raise ValueError(f'cannot parse lease duration: time: missing unit in duration "{text}"')
    return sum(float(number) * UNITS[unit] for number, unit in parts)


def duration(milliseconds):
    """As time.Duration.String() has it: 2s, 1.5s, 250ms."""
    return f"{milliseconds / 1000:g}s" if milliseconds >= 1000 else f"{milliseconds}ms"


class Side:
    def __init__(self, given):
        self._key = {"key": given["key"]}
        self._owner = given.get("owner", "go")
        self._lease = int(given["lease"])
        self._data = given.get("data")
        self._delete = "delete" in given
        self._table = boto3.resource("dynamodb", region_name="us-east-1").Table(given["table"])
        self._version = None
        self._ends = 0
        self._watched = (None, 0)  # version, since
        self._mutex = threading.Lock()
        threading.Thread(target=self._heartbeat, daemon=True).start()

    @staticmethod
    def _new_version():
        code = base64.b32encode(os.urandom(32)).decode().rstrip("=")
        return f"{time.time_ns()}:{code}"

    def _get(self):
        return self._table.get_item(Key=self._key, ConsistentRead=True).get("Item")

    def _put(self, found, condition, values):
        """Attributes that it does not know it keeps."""
        version, now = self._new_version(), time.monotonic()
        item = {name: value for name, value in (found or {}).items() if name not in OURS}
        item |= self._key | {
            "ownerName": self._owner,
            "leaseDuration": duration(self._lease),
            "recordVersionNumber": version,
        }
        if self._data is not None:
            item["data"] = self._data.encode()
        options = {"ExpressionAttributeValues": values} if values else {}
        options["ExpressionAttributeNames"] = {"#0": "key", "#1": list(values)[0][1:]}
        try:
            self._table.put_item(Item=item, ConditionExpression=condition, **options)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            return False
        with self._mutex:
            self._version, self._ends = version, now + self._lease / 1000
        return True

    def try_once(self):
        found = self._get()
        lease = parse_duration(found["leaseDuration"]) if found else 0
        if found is None or "isReleased" in found:
            return self._put(
                found,
                "attribute_not_exists (#0) OR ((attribute_exists (#0)) AND (#1 = :isReleased))",
                {":isReleased": "1"},
            )
        version = found["recordVersionNumber"]
        if version != self._watched[0]:
            self._watched = (version, time.monotonic())
        elif time.monotonic() - self._watched[1] > lease:
            return self._put(
                found,
                "(attribute_exists (#0)) AND (#1 = :recordVersionNumber)",
                {":recordVersionNumber": version},
            )
        return False

    def acquire(self):
        while not self.try_once():
            time.sleep(contender.POLL_SECONDS)

    def _update(self, expression, values):
        owned = {":owned": self._owner, ":version": self._version}
        self._table.update_item(
            Key=self._key,
            UpdateExpression=expression,
            ConditionExpression="attribute_exists(#k) AND recordVersionNumber = :version "
            "AND ownerName = :owned",
            ExpressionAttributeNames={"#k": "key"},
            ExpressionAttributeValues=owned | values,
        )

    def _heartbeat(self):
        while True:
            time.sleep(self._lease / 4000)
            with self._mutex:
                if self._version is None:
                    continue
                version, now = self._new_version(), time.monotonic()
                self._update(
                    "SET leaseDuration = :lease, recordVersionNumber = :new",
                    {":lease": duration(self._lease), ":new": version},
                )
                self._version, self._ends = version, now + self._lease / 1000

    def is_held(self):
        return time.monotonic() < self._ends

    def release(self):
        with self._mutex:
            if self._delete:
                self._table.delete_item(
                    Key=self._key,
                    ConditionExpression="attribute_exists(#k) AND recordVersionNumber = :version "
                    "AND ownerName = :owned",
                    ExpressionAttributeNames={"#k": "key"},
                    ExpressionAttributeValues={":owned": self._owner, ":version": self._version},
                )
            else:
                self._update("SET isReleased = :released", {":released": "1"})
            self._version = None

    def look(self):
        found = self._get()
        if found is None:
            return "absent"
        return f"{found['ownerName']} {parse_duration(found['leaseDuration']):g} s"


if __name__ == "__main__":
    contender.run(Side(contender.values()), contender.values())
