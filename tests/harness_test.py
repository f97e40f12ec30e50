#!/usr/bin/python3
"""Tests of what other tests stand on: the harness, the proxy and its faults, the certificates."""

import datetime
import email.utils
import gzip
import hashlib
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
import unittest
import unittest.mock
import urllib.parse
import uuid
import warnings
import zlib

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

import harness

HARNESS = harness.TESTS / "harness.py"
LONG_TERM = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
SESSION = Credentials("ASIAEXAMPLE", "secretOfSTS", "tok/en+with=chars")
LONG_SESSION = Credentials("ASIALONGTOKEN", "secretOfSTS", "A1+/" * 512)
PATIENCE = 5
SHORT = 0.1  # long enough for what must not come to come


# ---- a client ------------------------------------------------------------------------------------


class Client:
    """A connection to a URL, plain or TLS, on which bytes are sent and answers are read."""

    def __init__(self, url, context=None):
        self.url = urllib.parse.urlsplit(url)
        self.socket = socket.create_connection(("127.0.0.1", self.url.port), PATIENCE)
        if self.url.scheme == "https":
            self.socket = (context or tls_client()).wrap_socket(
                self.socket, server_hostname="localhost", suppress_ragged_eofs=False
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def ask(self, operation, body, **changes):
        self.send(operation, body, **changes)
        return self.answer()

    def send(self, operation, body, **changes):
        self.socket.sendall(signed_request(self.url.netloc, operation, body, **changes))

    def answer(self):
        response = http.client.HTTPResponse(self.socket, method="POST")
        response.begin()
        response.content = response.read()
        return response

    def rest(self):
        """All bytes until the connection ends, and whether it ended in order."""
        data = b""
        try:
            while piece := self.socket.recv(65536):
                data += piece
        except ssl.SSLError:
            return data, False
        return data, True

    def is_silent(self):
        self.socket.settimeout(SHORT)
        try:
            self.socket.recv(1)
        except TimeoutError:
            return True
        return False


def tls_client(version=None):
    context = ssl.create_default_context(cafile=harness.BUILD / "pki/ca.pem")
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF  # an end without a goodbye is to be seen
    if version:
        context.minimum_version = context.maximum_version = version
    return context


def signed_request(
    host,
    operation,
    body,
    credentials=LONG_TERM,
    region="us-east-1",
    service="dynamodb",
    age=0,
    change=lambda request: request,
    unsigned=(),
):
    """The bytes of a request signed so many seconds ago; `change` is applied to them afterwards."""
    signed = AWSRequest("POST", f"http://{host}/", data=json.dumps(body).encode())
    then = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=age)
    signed.context["timestamp"] = then.strftime("%Y%m%dT%H%M%SZ")
    headers = {
        "Host": host,
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Target": f"DynamoDB_20120810.{operation}",
        "X-Amz-Date": signed.context["timestamp"],
    }
    if credentials.token:
        headers["X-Amz-Security-Token"] = credentials.token
    for name, value in headers.items():
        if name not in unsigned:
            signed.headers[name] = value
    headers["Authorization"] = authorization(signed, credentials, region, service)
    headers["Content-Length"] = len(signed.data)
    lines = ["POST / HTTP/1.1"] + [f"{name}: {value}" for name, value in headers.items()]
    return change("\r\n".join(lines).encode() + b"\r\n\r\n" + signed.data)


def authorization(request, credentials, region, service):
    signer = SigV4Auth(credentials, service, region)
    to_sign = signer.string_to_sign(request, signer.canonical_request(request))
    names = signer.signed_headers(signer.headers_to_sign(request))
    return (
        f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, SignedHeaders={names}, "
        f"Signature={signer.signature(to_sign, request)}"
    )


def replaced(old, new):
    def change(request):
        assert old in request, old
        return request.replace(old, new, 1)

    return change


def without_header(name):
    def change(request):
        head, _, body = request.partition(b"\r\n\r\n")
        lines = [line for line in head.split(b"\r\n") if not line.startswith(name + b":")]
        assert len(lines) < len(head.split(b"\r\n")), name
        return b"\r\n".join(lines) + b"\r\n\r\n" + body

    return change


def increment(key):
    """Changes the item every time it reaches the server, so that repeats can be counted."""
    return {
        "TableName": "locks",
        "Key": {"key": {"S": key}},
        "UpdateExpression": "ADD n :one",
        "ExpressionAttributeValues": {":one": {"N": "1"}},
        "ReturnValues": "UPDATED_NEW",
    }


def failing_condition(key):
    return {
        "TableName": "locks",
        "Key": {"key": {"S": key}},
        "UpdateExpression": "SET n = :one",
        "ConditionExpression": "attribute_not_exists(n)",
        "ExpressionAttributeValues": {":one": {"N": "1"}},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


# ---- the proxy, before each server ---------------------------------------------------------------


class ProxyCase:
    """What both servers' cases share: servers for all, a fresh key and no faults for each."""

    server = None

    @classmethod
    def setUpClass(cls):
        cls.servers = harness.Servers(cls.server)
        cls.enterClassContext(cls.servers)

    def setUp(self):
        self.servers.control("clear")
        self.key = uuid.uuid4().hex

    def client(self, listener="http", context=None):
        return self.enterContext(Client(self.servers.url[listener], context))

    def increments(self):
        """How often the server saw increment(self.key)."""
        port = urllib.parse.urlsplit(self.servers.url["direct"]).port
        body = {"TableName": "locks", "Key": {"key": {"S": self.key}}, "ConsistentRead": True}
        _, answer = harness.call(port, "GetItem", body)
        return int(answer.get("Item", {}).get("n", {}).get("N", 0))

    def meet(self, fault, listener="http"):
        """Sends an increment into a fault. Returns the client."""
        self.servers.control(f"fault {fault}")
        client = self.client(listener)
        client.send("UpdateItem", increment(self.key))
        return client

    def assert_increments(self, count):
        self.assertEqual(self.increments(), count)

    def assert_counts(self, answer, count):
        """The answer is whole, right, and that of the increment with this number."""
        self.assertEqual(answer.status, 200)
        self.assertEqual(json.loads(answer.content), {"Attributes": {"n": {"N": str(count)}}})
        self.assertEqual(int(answer.getheader("x-amz-crc32")), zlib.crc32(answer.content))

    def assert_error(self, answer, error, status=400):
        self.assertEqual(answer.status, status, answer.content)
        self.assertEqual(json.loads(answer.content)["__type"].rpartition("#")[2], error)
        self.assertEqual(int(answer.getheader("x-amz-crc32")), zlib.crc32(answer.content))


class SignatureTests(ProxyCase):
    def test_right_signatures(self):
        client = self.client()
        for number, credentials in enumerate([LONG_TERM, SESSION, LONG_SESSION], 1):
            answer = client.ask("UpdateItem", increment(self.key), credentials=credentials)
            self.assert_counts(answer, number)

    def test_right_signatures_over_tls(self):
        for number, listener in enumerate(["https", "https-rsa", "https-tls13"], 1):
            self.assert_counts(self.client(listener).ask("UpdateItem", increment(self.key)), number)

    def test_wrong_signatures(self):
        wrong_token = Credentials("ASIAEXAMPLE", "secretOfSTS", "another")
        no_token = Credentials("ASIAEXAMPLE", "secretOfSTS")
        needless_token = Credentials(LONG_TERM.access_key, LONG_TERM.secret_key, "token")
        not_the_hash = b"X-Amz-Content-Sha256: " + hashlib.sha256().hexdigest().encode()
        variants = {
            "InvalidSignatureException": [
                {"credentials": Credentials("AKIDEXAMPLE", "wrong")},
                {"region": "eu-west-1"},
                {"service": "s3"},
                {"age": 310},
                {"age": -310},
                {"age": 10 * 365 * 86400},
                {"unsigned": ["X-Amz-Target"]},
                {"unsigned": ["X-Amz-Date"]},
                {"unsigned": ["X-Amz-Security-Token"], "credentials": SESSION},
                {"change": replaced(b"ADD n", b"ADD m")},
                {"change": replaced(b"json-1.0", b"json-1.1")},
                {"change": replaced(b"POST / ", b"POST /foo ")},
                {"change": replaced(b"POST / ", b"PUT / ")},
                {"change": replaced(b"UpdateItem", b"DeleteItem")},
                {"change": replaced(b"X-Amz-Date: 2", b"X-Amz-Date: 3")},
                {"change": replaced(b"X-Amz-Date: ", b"X-Amz-Date: x")},
                {"change": replaced(b"content-type;host", b"host;content-type")},
                {"change": replaced(b"content-type;host", b"content-type;host;host")},
                {"change": replaced(b"\r\nContent-L", b"\r\n" + not_the_hash + b"\r\nContent-L")},
                {"change": without_header(b"Host")},
                {"change": without_header(b"X-Amz-Date")},
                {"change": without_header(b"X-Amz-Target")},
                {"change": without_header(b"Content-Type")},
            ],
            "IncompleteSignatureException": [
                {"change": replaced(b", Signature=", b", Sign=")},
                {"change": replaced(b"AWS4-HMAC-SHA256", b"Bearer")},
                {"change": replaced(b"aws4_request", b"aws3_request")},
            ],
            "MissingAuthenticationTokenException": [{"change": without_header(b"Authorization")}],
            "UnrecognizedClientException": [
                {"credentials": Credentials("AKIDUNKNOWN", "secret")},
                {"credentials": wrong_token},
                {"credentials": no_token},
                {"credentials": needless_token},
            ],
        }
        client = self.client()
        for error, changes in variants.items():
            for change in changes:
                with self.subTest(error=error, change=change):
                    answer = client.ask("UpdateItem", increment(self.key), **change)
                    self.assert_error(answer, error)
        failures = sum(map(len, variants.values()))
        self.assertEqual(self.servers.stats()["signature_failures"], failures)
        self.assert_increments(0)

    def test_within_the_window(self):
        client = self.client()
        self.assert_counts(client.ask("UpdateItem", increment(self.key), age=290), 1)
        self.assert_counts(client.ask("UpdateItem", increment(self.key), age=-290), 2)

    def test_shifted_clock(self):
        self.servers.control("clock 3600")
        client = self.client()
        answer = client.ask("UpdateItem", increment(self.key))
        self.assert_error(answer, "InvalidSignatureException")
        self.assert_dated(answer, 3600)
        answer = client.ask("UpdateItem", increment(self.key), age=-3600)
        self.assert_counts(answer, 1)
        self.assert_dated(answer, 3600)

    def assert_dated(self, answer, shift):
        date = email.utils.parsedate_to_datetime(answer.getheader("Date")).timestamp()
        self.assertAlmostEqual(date, time.time() + shift, delta=3)

    def test_not_http(self):
        for junk in [
            replaced(b"POST / HTTP/1.1\r\n", b"hello\r\n"),
            replaced(b"Host: ", b"Host : "),
            replaced(b"Host: ", b"X: 1\nHost: "),
            replaced(b"Host: ", b"Host: other\r\nHost: "),
            replaced(b"Content-Length: ", b"Content-Length: +"),
            replaced(b"Content-Length: ", b"Transfer-Encoding: chunked\r\nContent-Length: "),
            replaced(b"Host: ", b"X: " + b"x" * 40000 + b"\r\nHost: "),
        ]:
            answer = self.client().ask("UpdateItem", increment(self.key), change=junk)
            self.assert_error(answer, "SerializationException")
            self.assertEqual(answer.getheader("Connection"), "close")
        self.assertEqual(self.servers.stats()["malformed"], 7)

    def test_many_requests_in_one_write(self):
        client = self.client()
        request = signed_request(client.url.netloc, "UpdateItem", increment(self.key))
        client.socket.sendall(request * 10)
        numbers, data = [], b""
        while len(numbers) < 10:
            piece = client.socket.recv(65536)
            self.assertTrue(piece, "the connection ended early")
            data += piece
            numbers = [int(number) for number in re.findall(b'"N":"([0-9]+)"', data)]
        self.assertEqual(numbers, list(range(1, 11)))

    def test_a_request_in_writes_of_one_byte(self):
        client = self.client()
        request = signed_request(client.url.netloc, "UpdateItem", increment(self.key))
        for i in range(len(request)):
            client.socket.sendall(request[i : i + 1])
        self.assert_counts(client.answer(), 1)

    def test_connection_close(self):
        client = self.client()
        close = replaced(b"\r\nHost", b"\r\nConnection: close\r\nHost")
        answer = client.ask("UpdateItem", increment(self.key), change=close)
        self.assert_counts(answer, 1)
        self.assertEqual(answer.getheader("Connection"), "close")
        self.assertEqual(client.rest(), (b"", True))


class FaultTests(ProxyCase):
    def test_drop_request(self):
        self.assertEqual(self.meet("drop-request").rest()[0], b"")
        self.assert_increments(0)

    def test_drop_answer(self):
        self.assertEqual(self.meet("drop-answer").rest()[0], b"")
        self.assert_increments(1)

    def test_silent(self):
        self.assertTrue(self.meet("silent").is_silent())
        self.assert_increments(0)

    def test_silent_after(self):
        self.assertTrue(self.meet("silent-after").is_silent())
        self.assert_increments(1)

    def test_delay(self):
        client = self.meet("delay 400")
        self.assertTrue(client.is_silent())
        self.assert_increments(0)
        client.socket.settimeout(PATIENCE)
        self.assert_counts(client.answer(), 1)

    def test_delay_outlives_the_client(self):
        self.meet("delay 400").socket.close()
        self.assert_increments(0)
        self.await_increments(1)

    def test_delay_answer(self):
        client = self.meet("delay-answer 400")
        self.assertTrue(client.is_silent())
        self.assert_increments(1)
        client.socket.settimeout(PATIENCE)
        self.assert_counts(client.answer(), 1)

    def test_late(self):
        self.assertEqual(self.meet("late 400").rest()[0], b"")
        self.assert_increments(0)
        self.await_increments(1)

    def await_increments(self, count):
        deadline = time.monotonic() + PATIENCE
        while self.increments() != count and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assert_increments(count)

    def test_duplicate(self):
        self.assert_counts(self.meet("duplicate").answer(), 2)
        self.assert_increments(2)

    def test_repeat(self):
        client = self.meet("repeat 200")
        self.assert_counts(client.answer(), 1)
        self.assert_increments(1)
        self.await_increments(2)

    def test_refusals(self):
        for fault, status, error, increments in [
            ("throttle", 400, "ProvisionedThroughputExceededException", 0),
            ("500", 500, "InternalServerError", 0),
            ("500-after", 500, "InternalServerError", 1),
            ("error 503:ServiceUnavailable", 503, "ServiceUnavailable", 1),
            ("error 400:ThrottlingException", 400, "ThrottlingException", 1),
            ("denied", 400, "AccessDeniedException", 1),
            ("expired-token", 400, "ExpiredTokenException", 1),
            ("skew 86400", 400, "InvalidSignatureException", 1),
            ("error-after 503:ServiceUnavailable", 503, "ServiceUnavailable", 2),
        ]:
            with self.subTest(fault=fault):
                self.assert_error(self.meet(fault).answer(), error, status)
                self.assert_increments(increments)

    def test_skew_is_dated(self):
        for shift in (3600, -86400 * 365):
            answer = self.meet(f"skew {shift}").answer()
            date = email.utils.parsedate_to_datetime(answer.getheader("Date")).timestamp()
            self.assertAlmostEqual(date, time.time() + shift, delta=3)
            self.assertIn("Signature expired: ", json.loads(answer.content)["message"])

    def test_cut_request(self):
        client = self.meet("cut-request 10")
        with self.assertRaises(ConnectionResetError):
            client.rest()
        self.assert_increments(0)

    def test_cut_answer(self):
        for count in (0, 20, 150):
            data, _ = self.meet(f"cut-answer {count}").rest()
            self.assertEqual(len(data), count)
            self.assertEqual(data, b"HTTP/1.1 200 OK\r\n"[:count] + data[17:])
        self.assert_increments(3)

    def test_reset_answer(self):
        client = self.meet("reset-answer 20")
        self.assertEqual(client.socket.recv(100, socket.MSG_WAITALL)[:17], b"HTTP/1.1 200 OK\r\n")
        with self.assertRaises(ConnectionResetError):
            client.socket.recv(1)
        self.assert_increments(1)

    def test_truncate(self):
        for number, (listener, count) in enumerate([("http", 3), ("https", 0)], 1):
            data, goodbye = self.meet(f"truncate {count}", listener).rest()
            head, _, body = data.partition(b"\r\n\r\n")
            self.assertNotIn(b"Content-Length", head)
            self.assertEqual(body.endswith(b"}}"), count == 0, body)
            self.assertEqual(goodbye, listener == "http")
            self.assert_increments(number)

    def test_garbage(self):
        self.assertTrue(self.meet("garbage").socket.recv(100).startswith(b"SSH-"))
        self.assert_increments(1)

    def test_bad_crc(self):
        answer = self.meet("bad-crc").answer()
        self.assertEqual(answer.status, 200)
        self.assertNotEqual(int(answer.getheader("x-amz-crc32")), zlib.crc32(answer.content))

    def test_html(self):
        client = self.meet("html")
        answer = client.answer()
        self.assertEqual((answer.status, answer.getheader("Content-Type")), (503, "text/html"))
        self.assertIn(b"<html>", answer.content)
        self.assert_counts(client.ask("UpdateItem", increment(self.key)), 1)

    def test_chunked(self):
        client = self.meet("chunked")
        answer = client.answer()
        self.assertTrue(answer.chunked)
        self.assertIsNone(answer.getheader("Content-Length"))
        self.assert_counts(answer, 1)
        self.assert_counts(client.ask("UpdateItem", increment(self.key)), 2)

    def test_close_delimited(self):
        for number, listener in enumerate(["http", "https"], 1):
            client = self.meet("close-delimited", listener)
            answer = client.answer()
            self.assertEqual(answer.version, 10)
            self.assertIsNone(answer.getheader("Content-Length"))
            self.assert_counts(answer, number)

    def test_100_continue(self):
        data = self.meet("100-continue").socket.recv(65536)
        self.assertTrue(data.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"), data)

    def test_close_after(self):
        for number, listener in enumerate(["http", "https"], 1):
            client = self.meet("close-after", listener)
            answer = client.answer()
            self.assert_counts(answer, number)
            self.assertIsNone(answer.getheader("Connection"))
            self.assertEqual(client.rest(), (b"", True))

    def test_abort_after(self):
        for number, listener in enumerate(["http", "https"], 1):
            client = self.meet("abort-after", listener)
            self.assert_counts(client.answer(), number)
            self.assertEqual(client.rest(), (b"", listener == "http"))

    def test_reset_after(self):
        client = self.meet("reset-after")
        self.assert_counts(client.answer(), 1)
        with self.assertRaises(ConnectionResetError):
            client.rest()

    def test_drip(self):
        client = self.meet("drip 5")
        start = time.monotonic()
        answer = client.answer()
        self.assert_counts(answer, 1)
        self.assertGreater(time.monotonic() - start, 0.005 * len(answer.content))

    def test_trickle(self):
        for number, listener in enumerate(["http", "https"], 1):
            self.assert_counts(self.meet("trickle", listener).answer(), number)

    def test_trickle_makes_records_of_one_byte(self):
        self.assertEqual(self.meet("trickle", "https").socket.recv(1000), b"H")

    def test_contradiction(self):
        answer = self.meet("contradiction").answer()
        self.assert_error(answer, "ConditionalCheckFailedException", 200)
        self.assert_increments(1)

    def test_gzip(self):
        answer = self.meet("gzip").answer()
        self.assertEqual(answer.getheader("Content-Encoding"), "gzip")
        self.assertEqual(int(answer.getheader("x-amz-crc32")), zlib.crc32(answer.content))
        answer.content = gzip.decompress(answer.content)
        self.assertEqual(json.loads(answer.content), {"Attributes": {"n": {"N": "1"}}})

    def test_two_lengths(self):
        head, _, body = self.meet("two-lengths").socket.recv(65536).partition(b"\r\n\r\n")
        lengths = re.findall(rb"(?i)^content-length: *([0-9]+)\r?$", head, re.M)
        self.assertEqual(lengths, [b"%d" % len(body), b"%d" % (len(body) + 1)])

    def test_surplus(self):
        data, client = b"", self.meet("surplus")
        while not data.endswith(b"\r\n\r\n{}"):
            data += client.socket.recv(65536)
        self.assertEqual(data.count(b"HTTP/1.1 200 "), 2)
        self.assert_increments(1)

    def test_endless_head(self):
        data = self.read_some(self.meet("endless-head"), 100_000)
        self.assertNotIn(b"\r\n\r\n", data)
        self.assert_increments(1)

    def test_endless_body(self):
        for number, listener in enumerate(["http", "https"], 1):
            data = self.read_some(self.meet("endless-body", listener), 100_000)
            body = data.partition(b"\r\n\r\n")[2]
            self.assertFalse(body.strip(b"\r\n 40"), body[:100])
            self.assert_increments(number)

    def read_some(self, client, size):
        data = b""
        while len(data) < size:
            data += client.socket.recv(65536)
        return data

    def test_renegotiate(self):
        self.servers.control("fault renegotiate")
        client = self.client("https", tls_client(ssl.TLSVersion.TLSv1_2))
        before = client.socket.get_channel_binding("tls-unique")
        for number in (1, 2):  # it is over when the server reads again
            self.assert_counts(client.ask("UpdateItem", increment(self.key)), number)
        self.assertNotEqual(client.socket.get_channel_binding("tls-unique"), before)

    def test_no_item(self):
        client = self.client()
        client.ask("UpdateItem", increment(self.key))
        answer = client.ask("UpdateItem", failing_condition(self.key))
        self.assert_error(answer, "ConditionalCheckFailedException")
        self.assertEqual("Item" in json.loads(answer.content), self.server == "dynoxide")
        self.servers.control("fault no-item")
        answer = client.ask("UpdateItem", failing_condition(self.key))
        self.assert_error(answer, "ConditionalCheckFailedException")
        self.assertNotIn("Item", json.loads(answer.content))

    def test_no_item_leaves_other_answers(self):
        self.assert_counts(self.meet("no-item").answer(), 1)

    def test_truncation_shows_under_tls(self):
        for fault in ("drop-request", "drop-answer", "cut-answer 20", "late 0"):
            with self.subTest(fault=fault):
                self.assertFalse(self.meet(fault, "https").rest()[1])

    def test_times_and_operation(self):
        self.servers.control("fault throttle x2 on=UpdateItem")
        self.servers.control("fault 500 on=GetItem")
        client = self.client()
        get = {"TableName": "locks", "Key": {"key": {"S": self.key}}}
        self.assertEqual(self.servers.stats()["pending_faults"], 3)
        statuses = [
            client.ask(operation, body).status
            for operation, body in [
                ("UpdateItem", increment(self.key)),
                ("GetItem", get),
                ("GetItem", get),
                ("UpdateItem", increment(self.key)),
                ("UpdateItem", increment(self.key)),
            ]
        ]
        self.assertEqual(statuses, [400, 500, 200, 400, 200])
        stats = self.servers.stats()
        self.assertEqual((stats["faults"], stats["pending_faults"]), (3, 0))

    def test_a_refused_request_uses_up_no_fault(self):
        self.servers.control("fault throttle")
        client = self.client()
        self.assert_error(
            client.ask("UpdateItem", increment(self.key), age=1000), "InvalidSignatureException"
        )
        self.assert_error(
            client.ask("UpdateItem", increment(self.key)), "ProvisionedThroughputExceededException"
        )


class WireTests(ProxyCase):
    """What passes a wire is counted exactly, and both sides see its end."""

    def ask(self, command, listener="wire"):
        self.servers.control(command)
        client = self.client(listener)
        client.send("UpdateItem", increment(self.key))
        return client

    def test_whole(self):
        for number, listener in enumerate(["wire", "wire-tls"], 1):
            answer = self.client(listener).ask("UpdateItem", increment(self.key))
            self.assert_counts(answer, number)
        self.assertEqual(self.servers.stats()["cuts"], 0)

    def test_cut_to_the_client(self):
        for number, count in enumerate([0, 1, 100], 1):
            data, _ = self.ask(f"wire to-client {count} end").rest()
            self.assertEqual(len(data), count)
            self.assert_increments(number)
            self.assertEqual(self.servers.stats()["cuts"], number)

    def test_reset_to_the_client(self):
        client = self.ask("wire to-client 20 reset")
        with self.assertRaises(ConnectionResetError):
            client.rest()
        self.assert_increments(1)

    def test_cut_to_the_server(self):
        for count in (0, 1, 100, 500):
            for manner in ("end", "reset"):
                with self.assertRaises(ConnectionResetError):  # what it sent was not read
                    self.ask(f"wire to-server {count} {manner}").rest()
        self.assert_increments(0)
        self.assertEqual(self.servers.stats()["cuts"], 8)

    def test_cut_in_a_handshake(self):
        for way in ("to-server", "to-client"):
            self.servers.control(f"wire {way} 50 end")
            with self.assertRaises(OSError):
                self.client("wire-tls")
        self.assertEqual(self.servers.stats()["cuts"], 2)

    def test_clear_mends(self):
        self.servers.control("wire to-server 10 end")
        self.servers.control("clear")
        self.assert_counts(self.client("wire").ask("UpdateItem", increment(self.key)), 1)


class ControlTests(ProxyCase):
    def test_bad_commands(self):
        for command in [
            "",
            "hello",
            "fault",
            "fault nosuch",
            "fault delay",
            "fault delay soon",
            "fault delay -1",
            "fault delay 1 2",
            "fault drop-answer 1",
            "fault drop-answer x0",
            "fault error 400",
            "fault error 200:Fine",
            "wire to-server 1",
            "wire to-nobody 1 end",
            "wire to-client -1 end",
            "wire to-client 1 softly",
            "clock",
            "clock 99999999999",
        ]:
            with self.subTest(command=command), self.assertRaises(ValueError):
                self.servers.control(command)
        self.assertEqual(self.servers.stats()["pending_faults"], 0)

    def test_endless_command(self):
        with self.assertRaises((OSError, ValueError)):
            self.servers.control("x" * 100_000)
        self.assertEqual(self.servers.stats()["requests"], 0)

    def test_stats(self):
        client = self.client()
        request = signed_request(client.url.netloc, "UpdateItem", increment(self.key))
        client.socket.sendall(request)
        answer = client.answer()
        stats = self.servers.stats()
        self.assertEqual(stats["connections"], 1)
        self.assertEqual(stats["requests"], 1)
        self.assertEqual(stats["forwarded"], 1)
        self.assertEqual(stats["bytes_in"], len(request))
        self.assertGreater(stats["bytes_out"], len(answer.content))
        self.assertEqual(
            stats["operations"], {"UpdateItem": {"requests": 1, "last_request_bytes": len(request)}}
        )

    def test_clear(self):
        self.servers.control("fault throttle x5")
        self.servers.control("clock 3600")
        self.client().ask("UpdateItem", increment(self.key))
        self.servers.control("clear")
        self.assertEqual(self.servers.stats()["requests"], 0)
        self.assert_counts(self.client().ask("UpdateItem", increment(self.key)), 1)


class TlsTests(ProxyCase):
    def test_resumption_by_session_id(self):
        context = tls_client(ssl.TLSVersion.TLSv1_2)
        first = self.client("https", context)
        session = first.socket.session
        self.assertFalse(session.has_ticket)
        first.socket.close()  # without a goodbye
        context = first.socket.context
        port = urllib.parse.urlsplit(self.servers.url["https"]).port
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock:
            resumed = context.wrap_socket(sock, server_hostname="localhost", session=session)
            self.assertTrue(resumed.session_reused)
            resumed.sendall(signed_request("localhost", "UpdateItem", increment(self.key)))
            resumed.recv(1)
            resumed.close()
        stats = self.servers.stats()
        self.assertEqual((stats["handshakes"], stats["resumed_handshakes"]), (2, 1))

    def test_certificates(self):
        for listener, reason in [
            ("https-wrongname", "Hostname mismatch"),
            ("https-expired", "certificate has expired"),
            ("https-notyet", "certificate is not yet valid"),
            ("https-selfsigned", "self-signed certificate"),
        ]:
            with self.subTest(listener=listener):
                with self.assertRaises(ssl.SSLCertVerificationError) as caught:
                    self.client(listener)
                self.assertIn(reason, caught.exception.verify_message)

    def test_another_authority(self):
        context = ssl.create_default_context(cafile=harness.BUILD / "pki/otherca.pem")
        with self.assertRaises(ssl.SSLCertVerificationError):
            self.client("https", context)

    def test_versions(self):
        for listener, version in [
            ("https", ssl.TLSVersion.TLSv1_3),
            ("https-tls13", ssl.TLSVersion.TLSv1_2),
            ("https-tls10", ssl.TLSVersion.TLSv1_2),
            ("https-tls11", ssl.TLSVersion.TLSv1_2),
        ]:
            with self.assertRaises(ssl.SSLError):
                self.client(listener, tls_client(version))
        self.assertEqual(self.servers.stats()["handshakes"], 0)

    def test_old_versions_and_suites(self):
        for listener, version, name in [
            ("https-tls10", ssl.TLSVersion.TLSv1, "TLSv1"),
            ("https-tls11", ssl.TLSVersion.TLSv1_1, "TLSv1.1"),
            ("https-cbc", ssl.TLSVersion.TLSv1_2, "TLSv1.2"),
        ]:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                context = tls_client(version)
            context.set_ciphers("ALL:@SECLEVEL=0")
            tls = self.client(listener, context).socket
            self.assertEqual(tls.version(), name)
            self.assertNotRegex(tls.cipher()[0], "GCM|CCM|POLY1305")

    def test_mute(self):
        port = urllib.parse.urlsplit(self.servers.url["mute"]).port
        client = self.enterContext(Client(f"http://127.0.0.1:{port}"))
        client.send("UpdateItem", increment(self.key))
        self.assertTrue(client.is_silent())

    def test_refused(self):
        with self.assertRaises(ConnectionRefusedError):
            self.client("refused")


class OnDynoxide(SignatureTests, FaultTests, WireTests, ControlTests, TlsTests, unittest.TestCase):
    server = "dynoxide"


class OnDynalite(SignatureTests, FaultTests, WireTests, ControlTests, TlsTests, unittest.TestCase):
    server = "dynalite"


# ---- the harness ---------------------------------------------------------------------------------


def processes_marked(mark):
    """The processes alive that inherited an environment with this mark."""
    found = []
    for directory in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (directory / "environ").read_bytes():
                found.append(int(directory.name))
        except OSError:
            pass  # it has ended, or is a zombie, or is somebody else's
    return found


class HarnessTests(unittest.TestCase):
    def setUp(self):
        self.mark = f"HARNESS_TEST_{uuid.uuid4().hex}"

    def start(self, *arguments):
        return subprocess.Popen(
            [HARNESS, *arguments],
            env={**os.environ, self.mark: "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run_to_end(self, *arguments):
        process = self.start(*arguments)
        output, errors = process.communicate(timeout=30)
        return process.returncode, output, errors

    def start_and_wait_for_command(self, *arguments):
        """Starts a harness whose command says a line and has a child of its own, then waits."""
        process = self.start(*arguments, "--", "sh", "-c", "sleep 600 & echo up; wait")
        self.assertEqual(process.stdout.readline(), "up\n")
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        return process

    def assert_nothing_left(self):
        deadline = time.monotonic() + PATIENCE
        while processes_marked(self.mark) and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertEqual(processes_marked(self.mark), [])

    def test_exit_status(self):
        for script, status in [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 137), ("kill $$", 143)]:
            with self.subTest(script=script):
                self.assertEqual(self.run_to_end("--", "sh", "-c", script)[0], status)
                self.assert_nothing_left()

    def test_no_such_command(self):
        self.assertEqual(self.run_to_end("--", "/nonexistent")[0], 127)

    def test_timeout(self):
        started = time.monotonic()
        status, _, errors = self.run_to_end("--timeout", "0.2", "--", "sleep", "600")
        self.assertEqual(status, 124)
        self.assertIn("more than 0.2 s", errors)
        self.assertLess(time.monotonic() - started, PATIENCE)
        self.assert_nothing_left()

    def test_command_that_ignores_sigterm_is_killed(self):
        script = "trap '' TERM; while :; do sleep 0.1; done"
        self.assertEqual(self.run_to_end("--timeout", "0.2", "--", "sh", "-c", script)[0], 124)
        self.assert_nothing_left()

    def test_what_the_command_leaves_behind_ends(self):
        self.assertEqual(self.run_to_end("--", "sh", "-c", "sleep 600 >/dev/null 2>&1 &")[0], 0)
        self.assert_nothing_left()

    def test_signals(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            with self.subTest(signal=number):
                process = self.start_and_wait_for_command()
                self.assertGreaterEqual(len(processes_marked(self.mark)), 4)
                process.send_signal(number)
                self.assertEqual(process.wait(PATIENCE), 128 + number)
                self.assert_nothing_left()

    def test_sigkill_leaves_no_server(self):
        process = self.start_and_wait_for_command("--server", "dynalite")
        process.kill()
        process.wait(PATIENCE)
        deadline = time.monotonic() + PATIENCE
        while len(processes_marked(self.mark)) > 1 and time.monotonic() < deadline:
            time.sleep(0.01)
        (orphan,) = processes_marked(self.mark)  # the command's own child, which no one tells
        self.assertIn(b"sleep", pathlib.Path(f"/proc/{orphan}/cmdline").read_bytes())
        os.kill(orphan, signal.SIGKILL)

    def test_environment(self):
        _, output, _ = self.run_to_end("--server", "none", "--", "env")
        names = {line.partition("=")[0] for line in output.splitlines()}
        listeners = "HTTP HTTPS HTTPS_RSA HTTPS_WRONGNAME HTTPS_EXPIRED HTTPS_NOTYET "
        listeners += "HTTPS_SELFSIGNED HTTPS_TLS10 HTTPS_TLS11 HTTPS_TLS13 HTTPS_CBC "
        listeners += "WIRE WIRE_TLS MUTE REFUSED CONTROL SERVER PKI CA"
        expected = {f"DYNALOCK_TEST_{name}" for name in listeners.split()}
        self.assertEqual({name for name in names if name.startswith("DYNALOCK_TEST_")}, expected)

    def test_without_a_server(self):
        with harness.Servers("none") as servers, Client(servers.url["https"]) as client:
            client.send("UpdateItem", increment("a"))
            self.assertEqual(client.rest(), (b"", False))
            self.assertEqual(servers.stats()["upstream_failures"], 1)

    def test_a_taken_port_is_left_alone(self):
        for server in ("dynoxide", "dynalite"):
            with self.subTest(server=server), socket.create_server(("127.0.0.1", 0)) as taken:
                ports = [taken.getsockname()[1], harness.free_port()]
                with unittest.mock.patch.object(harness, "free_port", side_effect=ports):
                    with harness.Servers(server) as servers:
                        self.assertEqual(servers.url["direct"], f"http://127.0.0.1:{ports[1]}")

    def test_quit(self):
        with harness.Servers("none") as servers:
            self.assertEqual(servers.control("quit"), "bye")
            with self.assertRaises(OSError):
                while True:
                    servers.stats()


# ---- running -------------------------------------------------------------------------------------


class CountingResult(unittest.TextTestResult):
    passed = 0

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed += 1


def main():
    runner = unittest.TextTestRunner(stream=sys.stdout, resultclass=CountingResult)
    result = unittest.main(exit=False, testRunner=runner).result
    failed = len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
    print(f"{result.passed} passed, {failed} failed")
    return 1 if failed or not result.passed else 0


if __name__ == "__main__":
    sys.exit(main())
