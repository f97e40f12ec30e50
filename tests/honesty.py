#!/usr/bin/python3
"""Is the simulator's table honest? One script of requests runs against it and both real servers.

The script begins with what the library really sent in three runs of the simulator (build/simulate
--record), of each kind a few; then come transactions, and all that is refused. Each answer's HTTP
status, error type and item are compared; an idempotent call is repeated. The servers stand behind
tests/proxy.py, which checks signatures with botocore. dynalite ignores
ReturnValuesOnConditionCheckFailure; it is compared with a model that does too.

Every difference that is not in KNOWN fails, and so does one in KNOWN that is no more. The last line
is `N passed, N failed`.
"""

import collections
import datetime
import hashlib
import hmac
import json
import pathlib
import socket
import subprocess
import sys
import time
import urllib.parse

import harness

BUILD = harness.BUILD
KEY_ID, SECRET, REGION = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "us-east-1"
SERVERS = ("dynoxide", "dynalite")

# The tables of other libraries, besides the harness' own.
TABLES = {
    "LockTable": {"LockId": "S"},
    "permits": {"resource_id": "S", "concurrency_id": "N"},
    "resources": {"resource_id": "S"},
}
WORLDS = (  # of the runs that are recorded; devices, seed
    ("crash,loss,repeat,short,shorten", 3, 1),
    ("ttl,tidy,odd,blob,crash,sorted", 3, 4),
    ("same,crash,loss,java", 2, 2),
    ("dynamolock,crash,loss", 2, 1),
    ("dynalock-py,crash,loss", 2, 1),
    ("dlm,crash,loss", 2, 1),
    ("dlm1,crash,loss", 2, 1),
    ("dynalock-go,crash,loss", 2, 1),
)
OF_A_KIND = 3  # requests taken
MOST_OF_A_RUN = 20

NO_TRANSACTIONS = "dynalite knows no transactions"
KNOWN = {  # name of the case: the server that differs, and why that does not matter
    name: ("dynalite", NO_TRANSACTIONS)
    for name in (
        "a transaction",
        "with its token again",
        "with its token and other values",
        "it was done once",
        "a refused transaction",
        "did nothing",
        "one item twice",
        "an empty transaction",
    )
}
KNOWN["a query for a key of another type"] = ("dynoxide", "dynoxide answers that it found nothing")


# ---- the script ----


class Case:
    """A request: name, operation, body; a change of its headers, or a wrong time or secret."""

    def __init__(self, name, operation, body, **change):
        self.name = name
        self.operation = operation
        self.body = body if isinstance(body, str) else json.dumps(body, separators=(",", ":"))
        self.change = change


def kind(operation, body):
    """What makes two requests alike: all but the values."""
    names = ("TableName", "UpdateExpression", "ConditionExpression", "ConsistentRead")
    return (operation, *(str(body.get(name)) for name in names))


def recorded(world, devices, seed):
    path = BUILD / "honesty.record"
    command = [BUILD / "simulate", "--runs", "1", "--seed", str(seed)]
    command += ["--devices", str(devices), "--world", world, "--record", path]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    count = collections.Counter()
    cases = []
    for line in path.read_text().splitlines():
        operation, text = line.split(" ", 1)
        alike = kind(operation, json.loads(text))
        count[alike] += 1
        if count[alike] <= OF_A_KIND and len(cases) < MOST_OF_A_RUN:
            cases.append(Case(f"{world} {len(cases)}", operation, text))
    return cases


def update(update="SET a=:a", condition=None, values=None, names=None, key=None, **more):
    body = {"TableName": "locks", "Key": key or {"key": {"S": "mine"}}, "UpdateExpression": update}
    body["ExpressionAttributeValues"] = {":a": {"S": "1"}} if values is None else values
    if condition:
        body["ConditionExpression"] = condition
    if names:
        body["ExpressionAttributeNames"] = names
    body.update(more)
    return body


SHOW = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
GET = {"TableName": "locks", "Key": {"key": {"S": "mine"}}, "ConsistentRead": True}
BETWEEN = {":a": {"S": "1"}, ":b": {"S": "b"}, ":c": {"S": "a"}}


def conditions():
    number = {":a": {"N": "7"}, ":b": {"N": "12"}}
    return [
        Case("a first write", "UpdateItem", update("SET a=:a, n=:b", values=number)),
        Case("it is there", "GetItem", GET),
        Case("numbers compare as such", "UpdateItem", update("SET a=:a", "n > :a AND n <= :b", number)),
        Case("text does not compare with a number", "UpdateItem",
             update("SET a=:a", "n = :a", {":a": {"S": "12"}}, **SHOW)),
        Case("not equal, of another type", "UpdateItem",
             update("SET b=:a", "n <> :a", {":a": {"S": "12"}})),
        Case("zeros before a number", "UpdateItem", update("SET n=:a", values={":a": {"N": "007"}})),
        Case("are gone", "GetItem", GET),
        Case("a refusal shows the item", "UpdateItem",
             update("SET a=:a", "attribute_not_exists(n)", **SHOW)),
        Case("a refusal that does not", "UpdateItem", update("SET a=:a", "attribute_not_exists(n)")),
        Case("a refusal without an item", "UpdateItem",
             update("SET a=:a", "attribute_exists(n)", key={"key": {"S": "none"}}, **SHOW)),
        Case("NOT, OR and brackets", "UpdateItem",
             update("SET a=:a", "NOT (attribute_exists(zz) OR n = :a)", {":a": {"N": "9"}})),
        Case("remove what is not there", "UpdateItem", update("SET a=:a REMOVE zz")),
        Case("the key in a condition", "UpdateItem",
             update("SET a=:a", "attribute_not_exists(#k)", names={"#k": "key"}, **SHOW)),
        Case("put", "PutItem", {"TableName": "locks", "Item": {"key": {"S": "put"}, "v": {"B": "AQI="}}}),
        Case("put again, if new", "PutItem",
             {"TableName": "locks", "Item": {"key": {"S": "put"}},
              "ConditionExpression": "attribute_not_exists(v)", **SHOW}),
        Case("delete, refused", "DeleteItem",
             {"TableName": "locks", "Key": {"key": {"S": "put"}}, "ConditionExpression": "v = :v",
              "ExpressionAttributeValues": {":v": {"B": "AQM="}}, **SHOW}),
        Case("delete", "DeleteItem", {"TableName": "locks", "Key": {"key": {"S": "put"}}}),
        Case("delete what is not there", "DeleteItem", {"TableName": "locks", "Key": {"key": {"S": "put"}}}),
        Case("get what is not there", "GetItem", {"TableName": "locks", "Key": {"key": {"S": "put"}}}),
    ]  # fmt: skip


def query(condition="#k = :k", value=None, name="key", **more):
    return {
        "TableName": "locks",
        "KeyConditionExpression": condition,
        "ExpressionAttributeNames": {"#k": name},
        "ExpressionAttributeValues": {":k": value or {"S": "mine"}},
        **more,
    }


def of_other_libraries():
    truth = {":a": {"BOOL": True}, ":b": {"BOOL": False}}

    def permit(number):
        key = {"resource_id": {"S": "r"}, "concurrency_id": number}
        return {"TableName": "permits", "Key": key, "ConsistentRead": True}

    put = {"resource_id": {"S": "r"}, "concurrency_id": {"N": "007"}, "expires": {"N": "12"}}
    return [
        Case("true and false", "UpdateItem", update("SET t=:a, f=:b", values=truth)),
        Case("true is true", "UpdateItem", update("SET a=:a", "t = :a AND f <> :a", {":a": {"BOOL": True}})),
        Case("true is not false", "UpdateItem", update("SET a=:a", "f = :a", {":a": {"BOOL": True}}, **SHOW)),
        Case("true is no text", "UpdateItem", update("SET a=:a", "t = :a", {":a": {"S": "true"}}, **SHOW)),
        Case("it is so", "GetItem", GET),
        Case("a query", "Query", query()),
        Case("a consistent one", "Query", query(ConsistentRead=True)),
        Case("a query for nothing", "Query", query(value={"S": "none"})),
        Case("a query by what is no key", "Query", query(name="a")),
        Case("a query for a key of another type", "Query", query(value={"N": "1"})),
        Case("a query without a condition", "Query", query("")),
        Case("a broken query", "Query", query("#k = ")),
        Case("a query of no table", "Query", query(TableName="nowhere")),
        Case("a put under a number", "PutItem", {"TableName": "permits", "Item": put}),
        Case("which is one without zeros", "GetItem", permit({"N": "7"})),
        Case("and with them", "GetItem", permit({"N": "07"})),
        Case("not another", "GetItem", permit({"N": "70"})),
        Case("and no text", "GetItem", permit({"S": "7"})),
    ]  # fmt: skip


def refusals():
    return [
        Case("BETWEEN, reversed", "UpdateItem", update("SET a=:a", "a BETWEEN :b AND :c", BETWEEN)),
        Case("a value that is not used", "UpdateItem", update(values={":a": {"S": "1"}, ":b": {"S": "2"}})),
        Case("a name that is not used", "UpdateItem", update(names={"#x": "x"})),
        Case("a value that is not there", "UpdateItem", update("SET a=:z")),
        Case("a name that is not there", "UpdateItem", update("SET #z=:a")),
        Case("no values at all", "UpdateItem", update("REMOVE a", values={})),
        Case("a reserved word", "UpdateItem", update("SET data=:a")),
        Case("a broken update", "UpdateItem", update("SET a:a")),
        Case("a broken condition", "UpdateItem", update("SET a=:a", "a = ")),
        Case("a path twice", "UpdateItem", update("SET a=:a, a=:a")),
        Case("SET twice", "UpdateItem", update("SET a=:a SET b=:a")),
        Case("the key is updated", "UpdateItem", update("SET #k=:a", names={"#k": "key"})),
        Case("a missing attribute is copied", "UpdateItem", update("SET a=:a, b=zz")),
        Case("a number that is none", "UpdateItem", update(values={":a": {"N": "abc"}})),
        Case("no such table", "UpdateItem", update(TableName="nowhere")),
        Case("another key", "UpdateItem", update(key={"other": {"S": "x"}})),
        Case("a key of another type", "UpdateItem", update(key={"key": {"N": "1"}})),
        Case("an empty key", "UpdateItem", update(key={"key": {"S": ""}})),
        Case("a key too long", "UpdateItem", update(key={"key": {"S": "x" * 2049}})),
        Case("a key too many", "UpdateItem", update(key={"key": {"S": "x"}, "part": {"S": "p"}})),
        Case("no sort key", "GetItem", {"TableName": "sorted", "Key": {"name": {"S": "x"}}}),
        Case("no key", "GetItem", {"TableName": "locks"}),
        Case("not JSON", "GetItem", '{"TableName":'),
        Case("no such operation", "FlyToTheMoon", {}),
    ]  # fmt: skip


def capacity():
    total = {"ReturnConsumedCapacity": "TOTAL"}
    large = {":a": {"S": "x" * 700}, ":b": {"S": "y" * 700}}
    look = {"TableName": "locks", "Key": {"key": {"S": "mine"}}, **total}
    return [
        Case("a small write counts", "UpdateItem", update(**total)),
        Case("a large write counts twice", "UpdateItem",
             update("SET a=:a, b=:b", values=large, **total)),
        Case("and so does the one that shrinks it", "UpdateItem", update("SET a=:a REMOVE b", **total)),
        Case("a read counts half", "GetItem", look),
        Case("a consistent one whole", "GetItem", {**look, "ConsistentRead": True}),
        Case("a deletion counts", "DeleteItem", look),
    ]  # fmt: skip


def transactions():
    def two(first, **token):
        writes = [update("SET a=:a", key={"key": {"S": key}}, values={":a": {"S": first}})
                  for key in ("t1", "t2")]  # fmt: skip
        return {"TransactItems": [{"Update": write} for write in writes], **token}

    refused = two("3")
    refused["TransactItems"][1]["Update"].update(ConditionExpression="a = :b", **SHOW)
    refused["TransactItems"][1]["Update"]["ExpressionAttributeValues"][":b"] = {"S": "none"}
    same = two("4")
    same["TransactItems"][1] = same["TransactItems"][0]
    look = {"TableName": "locks", "Key": {"key": {"S": "t1"}}, "ConsistentRead": True}
    return [
        Case("a transaction", "TransactWriteItems", two("1", ClientRequestToken="one")),
        Case("with its token again", "TransactWriteItems", two("1", ClientRequestToken="one")),
        Case("with its token and other values", "TransactWriteItems", two("2", ClientRequestToken="one")),
        Case("it was done once", "GetItem", look),
        Case("a refused transaction", "TransactWriteItems", refused),
        Case("did nothing", "GetItem", look),
        Case("one item twice", "TransactWriteItems", same),
        Case("an empty transaction", "TransactWriteItems", {"TransactItems": []}),
    ]  # fmt: skip


def signatures():
    return [
        Case("a signature of another secret", "GetItem", GET, secret="guessed"),
        Case("a signature from long ago", "GetItem", GET, late=-400),
        Case("a signature from the future", "GetItem", GET, late=400),
        Case("a signature just in time", "GetItem", GET, late=-280),
        Case("an unknown key", "GetItem", GET, key_id="AKIDNOBODY"),
        Case("no signature", "GetItem", GET, headers={"authorization": None}),
        Case("a garbled signature", "GetItem", GET, headers={"authorization": "AWS4-HMAC-SHA256 x"}),
        Case("another body than was signed", "GetItem", GET, sent=json.dumps({**GET, "x": 1})),
    ]  # fmt: skip


# ---- signing and sending ----


def hmac_sha256(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def sign(headers, body, when, key_id, secret):
    """The Authorization header, of all headers."""
    day = when.strftime("%Y%m%d")
    scope = f"{day}/{REGION}/dynamodb/aws4_request"
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    digest = hashlib.sha256(body.encode()).hexdigest()
    canonical = f"POST\n/\n\n{lines}\n{names}\n{digest}"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = f"AWS4{secret}".encode()
    for part in (day, REGION, "dynamodb", "aws4_request"):
        key = hmac_sha256(key, part)
    text = f"AWS4-HMAC-SHA256\n{headers['x-amz-date']}\n{scope}\n{digest}"
    signature = hmac_sha256(key, text).hex()
    return (
        f"AWS4-HMAC-SHA256 Credential={key_id}/{scope}, SignedHeaders={names}, "
        f"Signature={signature}"
    )


def message(case, host):
    """The whole request as bytes."""
    change = case.change
    when = datetime.datetime.now(datetime.timezone.utc)
    when += datetime.timedelta(seconds=change.get("late", 0))
    headers = {
        "content-type": "application/x-amz-json-1.0",
        "host": host,
        "x-amz-date": when.strftime("%Y%m%dT%H%M%SZ"),
        "x-amz-target": f"DynamoDB_20120810.{case.operation}",
    }
    headers["authorization"] = sign(
        headers, case.body, when, change.get("key_id", KEY_ID), change.get("secret", SECRET)
    )
    headers.update(change.get("headers", {}))
    body = change.get("sent", case.body)
    headers["content-length"] = str(len(body.encode()))
    lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return ("\r\n".join(["POST / HTTP/1.1", *lines, "", ""]) + body).encode()


def read_answer(stream):
    """Status and body of one answer."""
    status = int(stream.readline().split()[1])
    length = 0
    while (line := stream.readline().strip()) != b"":
        name, value = line.split(b":", 1)
        if name.lower() == b"content-length":
            length = int(value)
    return status, json.loads(stream.read(length) or b"{}")


class Server:
    def __init__(self, url):
        self.host = urllib.parse.urlsplit(url).netloc

    def ask(self, case):
        host, port = self.host.split(":")
        with socket.create_connection((host, int(port)), 10) as sock:
            sock.sendall(message(case, self.host))
            return read_answer(sock.makefile("rb"))


class Model:
    def __init__(self, *arguments):
        self.pipe = subprocess.Popen(
            [BUILD / "model_pipe", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def ask(self, case):
        data = message(case, "model.test")
        self.pipe.stdin.write(f"{len(data)} {int(time.time() * 1000)}\n".encode() + data)
        self.pipe.stdin.flush()
        self.pipe.stdout.readline()  # the answer's size
        return read_answer(self.pipe.stdout)

    def close(self):
        self.pipe.stdin.close()
        return self.pipe.wait()


# ---- comparing ----


def gist(answer):
    """What of an answer counts: status, the error's type, items."""
    status, body = answer
    error = body.get("__type", "").rpartition("#")[2]
    reasons = [
        (reason.get("Code"), reason.get("Item")) for reason in body.get("CancellationReasons", ())
    ]
    capacity = body.get("ConsumedCapacity", {}).get("CapacityUnits")
    return {
        "status": status,
        "error": error,
        "item": body.get("Item"),
        "items": body.get("Items"),
        "count": body.get("Count"),
        "reasons": reasons,
        "capacity": capacity,
    }


def script():
    cases = [case for world in WORLDS for case in recorded(*world)]
    return cases + conditions() + of_other_libraries() + refusals() + capacity() + transactions() + signatures()


def compare(cases, server):
    """Counts what is as it must be, prints what is not."""
    model = Model(*(["hide"] if server == "dynalite" else []))
    passed = 0
    with harness.Servers(server) as servers:
        harness.create_tables(int(servers.url["direct"].rpartition(":")[2]), TABLES)
        real = Server(servers.url["http"])
        for case in cases:
            ours, theirs = gist(model.ask(case)), gist(real.ask(case))
            differ = ours != theirs
            known = KNOWN.get(case.name, ("",))[0] == server
            passed += differ == known
            if differ != known:
                print(f"{server}: {case.name}: {case.operation} {case.body[:300]}")
                print(f"    model  {ours}\n    server {theirs}")
    passed += model.close() == 0
    return passed


def main():
    cases = script()
    reasons = ", ".join(sorted({reason for _, reason in KNOWN.values()}))
    print(f"{len(cases)} requests, known differences: {len(KNOWN)}, as {reasons}")
    passed = sum(compare(cases, server) for server in SERVERS)
    failed = len(SERVERS) * (len(cases) + 1) - passed
    print(f"{passed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
