#!/usr/bin/python3
"""The cycle of tests/bench/cycles.c as users of boto3 write it, by PutItem and DeleteItem.

    boto3_cycles.py URL N    prints "seconds cpu-seconds" of N cycles, after WARM_UP others
"""

import sys
import time
import uuid

import boto3
from botocore.config import Config

WARM_UP = 20


def cycle(client, count):
    for _ in range(count):
        version = str(uuid.uuid4())
        client.put_item(
            TableName="locks",
            Item={
                "key": {"S": "bench/boto3"},
                "owner": {"S": "host-17.example:4711"},
                "rvn": {"S": version},
                "lease": {"N": "20000"},
            },
            ConditionExpression="attribute_not_exists(#k)",
            ExpressionAttributeNames={"#k": "key"},
        )
        client.delete_item(
            TableName="locks",
            Key={"key": {"S": "bench/boto3"}},
            ConditionExpression="#r = :r",
            ExpressionAttributeNames={"#r": "rvn"},
            ExpressionAttributeValues={":r": {"S": version}},
        )


def main():
    client = boto3.client(
        "dynamodb",
        endpoint_url=sys.argv[1],
        region_name="us-east-1",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        config=Config(retries={"max_attempts": 0}),
    )
    cycle(client, WARM_UP)
    wall, cpu = time.monotonic(), time.process_time()
    cycle(client, int(sys.argv[2]))
    print(f"{time.monotonic() - wall:.6f} {time.process_time() - cpu:.6f}")


if __name__ == "__main__":
    main()
