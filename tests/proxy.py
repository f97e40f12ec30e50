#!/usr/bin/python3
"""A reverse proxy that checks every signature and can fail in every way a network or a service can.

DynamoDB-compatible test servers accept any signature. This proxy stands in front of one, verifies
each request with botocore (an implementation of SigV4 independent of ours), answers a wrong one as
AWS would and forwards a right one, byte for byte, exactly once. The exchange of a verified request
can be replaced by a fault, queued through the control port. It is written on plain sockets so that
what goes wrong, and when, is exact.

    tests/proxy.py --upstream PORT [--pki DIRECTORY] [--region NAME]

prints one line of JSON, once all listen, with the port on 127.0.0.1 of each listener (all_listeners
below) and of the control port. It accepts the CREDENTIALS below. If nobody listens on the upstream
port, every verified request ends its connection.

The control port answers each line with one line:

    fault NAME [ARGUMENT] [xTIMES] [on=OPERATION]   the next TIMES (1) requests for OPERATION (any)
    wire to-server|to-client COUNT end|reset        after COUNT more bytes this way (0: before any),
                     one connection through a wire ends on both sides
    clock SECONDS    this far from the true time is the clock that checks and dates everything
    clear            no fault, whole wires, the true time, all counters zero
    stats            the counters, as JSON
    quit

A fault is used up by a verified request only (cut-request: by a request's head). The section
"faults" has them all, each with what it does. A "wire" leads to another listener and knows nothing
of what it carries: it can be cut after any byte, those of a TLS handshake too.
"""

import argparse
import ctypes
import datetime
import email.utils
import functools
import gzip
import hashlib
import hmac
import http.client
import json
import os
import re
import select
import socket
import socketserver
import ssl
import struct
import sys
import threading
import time
import typing
import warnings
import zlib

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

REGION, SERVICE = "us-east-1", "dynamodb"
SIGNATURE_WINDOW = datetime.timedelta(minutes=5)
CREDENTIALS = {
    credentials.access_key: credentials
    for credentials in (
        Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
        Credentials("ASIAEXAMPLE", "secretOfSTS", "tok/en+with=chars"),
        Credentials("ASIALONGTOKEN", "secretOfSTS", "A1+/" * 512),
        Credentials("ASIASTRANGE", "".join(map(chr, range(32, 127))), "A1+/=" * 1000),
    )
}

MAX_HEAD = 32 * 1024
MAX_BODY = 4 * 1024 * 1024
MAX_CONNECTIONS = 256
MAX_COMMAND = 256  # bytes of one line on the control port
HANDSHAKE_SECONDS = 10
IDLE_SECONDS = 120  # a client that says nothing for so long is gone
UPSTREAM_SECONDS = 30
UPSTREAM_FRESH_SECONDS = 3  # the servers close idle connections, the quickest after 5 s
CLOSE_NOTIFY_SECONDS = 0.2


# ---- HTTP ----------------------------------------------------------------------------------------

REQUEST_LINE = re.compile(r"([A-Z]+) (/[!-~]*) HTTP/1\.1")
HEADER_LINE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*")
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding"}


class Malformed(Exception):
    """What arrived is not a request; there is no telling where the next one would start."""


class Request:
    """One request, as it came. Stricter than HTTP: no name of a header may come twice."""

    def __init__(self, head):
        lines = head.decode("latin-1").split("\r\n")
        first = REQUEST_LINE.fullmatch(lines[0])
        if not first:
            raise Malformed("request line")
        self.method, self.path = first.groups()
        self.headers = self._headers(lines[1:])  # by lower-case name
        self.body_size = self._body_size()
        self.operation = self.headers.get("x-amz-target", "").rpartition(".")[2] or "none"
        self.keep_alive = self.headers.get("connection", "").lower() != "close"
        self.head = head
        self.body = b""  # read later

    def bytes(self):
        return self.head + b"\r\n\r\n" + self.body

    @staticmethod
    def _headers(lines):
        headers = {}
        for line in lines:
            match = HEADER_LINE.fullmatch(line)
            if not match:
                raise Malformed("header line")
            name = match[1].lower()
            if name in headers:
                raise Malformed(f"header {name} twice")
            headers[name] = match[2]
        return headers

    def _body_size(self):
        if "transfer-encoding" in self.headers:
            raise Malformed("a request body without Content-Length")
        size = self.headers.get("content-length", "0")
        if not re.fullmatch("[0-9]{1,9}", size) or int(size) > MAX_BODY:
            raise Malformed("Content-Length")
        return int(size)


class Answer:
    def __init__(self, status, reason, headers, body):
        self.status = status
        self.reason = reason
        self.headers = headers  # (name, value) in order, names spelled as the server does
        self.body = body

    def get(self, name):
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def set(self, name, value):
        """Replaces a header, keeping its spelling and place, or appends it."""
        for i, (key, _) in enumerate(self.headers):
            if key.lower() == name.lower():
                self.headers[i] = (key, str(value))
                return
        self.headers.append((name, str(value)))

    def remove(self, name):
        self.headers = [(key, value) for key, value in self.headers if key.lower() != name.lower()]

    def set_body(self, body):
        self.body = body
        self.set("Content-Length", len(body))
        self.set("x-amz-crc32", zlib.crc32(body))

    def head(self, version="HTTP/1.1"):
        lines = [f"{version} {self.status} {self.reason}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        return "\r\n".join(lines + ["", ""]).encode("latin-1")

    def bytes(self):
        return self.head() + self.body


# What the names of errors begin with, in answers of the service's front and of DynamoDB itself.
CORAL = "com.amazon.coral.service#"
DYNAMODB = "com.amazonaws.dynamodb.v20120810#"


def http_date(time_utc):
    return email.utils.format_datetime(time_utc, usegmt=True)


def error_answer(status, error_type, message):
    answer = Answer(status, http.client.responses[status], [], b"")
    answer.set("x-amzn-RequestId", "PROXY" + "0" * 47)
    answer.set("Content-Type", "application/x-amz-json-1.0")
    answer.set_body(json.dumps({"__type": error_type, "message": message}).encode())
    return answer


# ---- SigV4 ---------------------------------------------------------------------------------------

AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/,]+)/(\d{8})/([^/,]+)/([^/,]+)/aws4_request, ?"
    r"SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})"
)
AMZ_DATE = re.compile(r"\d{8}T\d{6}Z")
AMZ_DATE_FORMAT = "%Y%m%dT%H%M%SZ"


class Refused(Exception):
    """The request is not what the holder of a known key signed now. Arguments: type, message."""


def refuse_signature(message):
    raise Refused("InvalidSignatureException", message)


def verify(request, now, expected_region):
    """Raises Refused unless a known key signed this request within the window around now."""
    headers = request.headers
    if "authorization" not in headers:
        message = "Request is missing Authentication Token"
        raise Refused("MissingAuthenticationTokenException", message)
    match = AUTHORIZATION.fullmatch(headers["authorization"])
    if not match:
        raise Refused("IncompleteSignatureException", "Authorization header is malformed.")
    key_id, day, region, service, names, signature = match.groups()
    names = names.split(";")
    check_signed_headers(headers, names)
    if (region, service) != (expected_region, SERVICE):
        refuse_signature(f"Credential should be scoped to {expected_region} and {SERVICE}.")
    check_date(headers["x-amz-date"], day, now)
    credentials = CREDENTIALS.get(key_id)
    if not credentials or headers.get("x-amz-security-token") != credentials.token:
        message = "The security token included in the request is invalid."
        raise Refused("UnrecognizedClientException", message)
    check_signature(request, names, SigV4Auth(credentials, SERVICE, region), signature)


def check_signed_headers(headers, names):
    if names != sorted(set(names)):
        refuse_signature("SignedHeaders is not sorted, or names a header twice.")
    required = {"host", "x-amz-date", "x-amz-target"}
    required.update(name for name in headers if name.startswith("x-amz-"))
    for name in sorted(required.difference(names)):
        refuse_signature(f"'{name}' must be a 'SignedHeader' in the AWS Authorization.")
    for name in names:
        if name not in headers:
            refuse_signature(f"Signed header '{name}' is not in the request.")


def check_date(date, day, now):
    if not AMZ_DATE.fullmatch(date) or date[:8] != day:
        refuse_signature(f"Date in Credential scope does not match X-Amz-Date '{date}'.")
    try:
        then = datetime.datetime.strptime(date + "+0000", AMZ_DATE_FORMAT + "%z")
    except ValueError:
        refuse_signature(f"X-Amz-Date '{date}' is no date.")
    earliest, latest = now - SIGNATURE_WINDOW, now + SIGNATURE_WINDOW
    if then < earliest:
        refuse_signature(expired_message(date, now))
    if then > latest:
        refuse_signature(
            f"Signature not yet current: {date} is still later than {latest:{AMZ_DATE_FORMAT}} "
            f"({now:{AMZ_DATE_FORMAT}} + 5 min.)"
        )


def expired_message(date, now):
    earliest = now - SIGNATURE_WINDOW
    return (
        f"Signature expired: {date} is now earlier than {earliest:{AMZ_DATE_FORMAT}} "
        f"({now:{AMZ_DATE_FORMAT}} - 5 min.)"
    )


def check_signature(request, names, signer, signature):
    headers = request.headers
    # botocore takes this header for the hash of the body, unseen.
    body_hash = hashlib.sha256(request.body).hexdigest()
    if headers.get("x-amz-content-sha256", body_hash) != body_hash:
        refuse_signature("x-amz-content-sha256 is not the hash of the body.")
    signed = {name: headers[name] for name in names}
    url = f"http://{headers['host']}{request.path}"
    aws_request = AWSRequest(request.method, url, headers=signed, data=request.body)
    aws_request.context["timestamp"] = headers["x-amz-date"]
    canonical = signer.canonical_request(aws_request)
    to_sign = signer.string_to_sign(aws_request, canonical)
    if not hmac.compare_digest(signer.signature(to_sign, aws_request), signature):
        refuse_signature(
            "The request signature we calculated does not match the signature you provided. "
            "Check your AWS Secret Access Key and signing method.\n\n"
            f"The Canonical String for this request should have been\n'{canonical}'\n\n"
            f"The String-to-Sign should have been\n'{to_sign}'\n"
        )


# ---- state shared by all connections -------------------------------------------------------------


class Stats:
    COUNTERS = (
        "connections",
        "handshakes",  # completed, resumed ones included
        "resumed_handshakes",
        "failed_handshakes",
        "requests",  # read to the end
        "malformed",
        "signature_failures",
        "forwarded",  # sent to the server, whatever came of it
        "upstream_failures",
        "faults",  # that happened
        "cuts",  # of wires
        "bytes_in",  # of HTTP, within TLS
        "bytes_out",
    )

    def __init__(self):
        self._lock = threading.Lock()
        self.clear()

    def clear(self):
        with self._lock:
            self._counters = dict.fromkeys(self.COUNTERS, 0)
            self._operations = {}

    def add(self, name, amount=1):
        with self._lock:
            self._counters[name] += amount

    def add_request(self, operation, size):
        with self._lock:
            self._counters["requests"] += 1
            entry = self._operations.setdefault(operation, {"requests": 0})
            entry["requests"] += 1
            entry["last_request_bytes"] = size

    def snapshot(self):
        with self._lock:
            operations = {name: dict(entry) for name, entry in self._operations.items()}
            return {**self._counters, "operations": operations}


class FaultQueue:
    """Faults in the order they were asked for. A request meets the first that is meant for it."""

    class Entry:
        def __init__(self, fault, arguments, times, operation):
            self.fault = fault
            self.arguments = arguments  # none or one
            self.times = times
            self.operation = operation  # None: any

    def __init__(self):
        self._lock = threading.Lock()
        self._entries = []

    def add(self, fault, arguments, times, operation):
        with self._lock:
            self._entries.append(self.Entry(fault, arguments, times, operation))

    def clear(self):
        with self._lock:
            self._entries.clear()

    def take(self, operation, before_body):
        """The fault for this request, if it is one that strikes at this stage."""
        with self._lock:
            for entry in self._entries:
                if entry.operation in (None, operation):
                    return self._use(entry) if entry.fault.before_body == before_body else None
        return None

    def _use(self, entry):
        entry.times -= 1
        if entry.times == 0:
            self._entries.remove(entry)
        return entry

    def pending(self):
        with self._lock:
            return sum(entry.times for entry in self._entries)


class Wires:
    """When a connection through a wire is to be cut. Whichever carries the bytes uses it up."""

    def __init__(self):
        self._lock = threading.Lock()
        self.mend()

    def mend(self):
        self.arm(None, 0, False)

    def arm(self, way, count, reset):
        with self._lock:
            self._way, self._left, self._reset = way, count, reset

    def room(self, way):
        """How many bytes may pass before the cut; None: any number."""
        with self._lock:
            return self._left if way == self._way else None

    def passed(self, way, size):
        """Whether the connection is to be cut now, and if so whether by a reset."""
        with self._lock:
            if way != self._way:
                return False, False
            self._left -= size
            if self._left > 0:
                return False, False
            self._way = None
            return True, self._reset


class Proxy:
    def __init__(self, upstream_port, region):
        self.upstream_port = upstream_port
        self.region = region
        self.stats = Stats()
        self.faults = FaultQueue()
        self.wires = Wires()
        self.ports = {}  # by the name of the listener
        self.clock_shift = datetime.timedelta()
        self.slots = threading.BoundedSemaphore(MAX_CONNECTIONS)

    def now(self):
        return datetime.datetime.now(datetime.timezone.utc) + self.clock_shift

    def clear(self):
        self.faults.clear()
        self.wires.mend()
        self.stats.clear()
        self.clock_shift = datetime.timedelta()


# ---- connections ---------------------------------------------------------------------------------


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class HangUp(Exception):
    """This connection ends here and now, as when the peer dies."""


class Upstream:
    """One client connection's way to the server. A connection is used again only while the server
    cannot have closed it, so nothing ever needs to be sent a second time."""

    def __init__(self, proxy):
        self._proxy = proxy
        self._socket = None
        self._used = 0.0

    def exchange(self, request):
        self._proxy.stats.add("forwarded")
        try:
            return self._exchange(request)
        except (OSError, http.client.HTTPException) as error:
            self._proxy.stats.add("upstream_failures")
            self.close()
            raise HangUp from error

    def _exchange(self, request):
        if time.monotonic() - self._used > UPSTREAM_FRESH_SECONDS:
            self.close()
        if not self._socket:
            address = ("127.0.0.1", self._proxy.upstream_port)
            self._socket = socket.create_connection(address, UPSTREAM_SECONDS)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(request.bytes())
        response = http.client.HTTPResponse(self._socket, method=request.method)
        response.begin()
        body = response.read()
        self._used = time.monotonic()
        if response.will_close:
            self.close()
        headers = [
            (name, value) for name, value in response.getheaders() if name.lower() not in HOP_BY_HOP
        ]
        return Answer(response.status, response.reason, headers, body)

    def close(self):
        if self._socket:
            self._socket.close()
            self._socket = None


class Connection:
    """A client's connection, after the TLS handshake if there is one."""

    def __init__(self, proxy, sock):
        self.proxy = proxy
        self.upstream = Upstream(proxy)
        self._socket = sock
        self._received = b""

    def serve(self):
        try:
            self._serve_requests()
            self.close()
        except Malformed as error:
            self._refuse_malformed(error)
            self.close()
        except HangUp:
            pass
        finally:
            self._socket.close()
            self.upstream.close()

    def _serve_requests(self):
        keep_alive = True
        while keep_alive:
            request = self._read_request()
            if not request:
                return
            self._answer(request)
            keep_alive = request.keep_alive

    def _answer(self, request):
        try:
            verify(request, self.proxy.now(), self.proxy.region)
        except Refused as refusal:
            self.proxy.stats.add("signature_failures")
            error_type, message = refusal.args
            self.send_error(request, 400, CORAL + error_type, message)
            return
        if not self._meet_fault(request, before_body=False):
            self.send_answer(self.forward(request))

    def _meet_fault(self, request, before_body):
        entry = self.proxy.faults.take(request.operation, before_body)
        if not entry:
            return False
        self.proxy.stats.add("faults")
        entry.fault.act(self, request, *entry.arguments)
        return True

    def _refuse_malformed(self, error):
        self.proxy.stats.add("malformed")
        answer = error_answer(400, CORAL + "SerializationException", f"Not a request: {error}")
        self._sign_off(answer, keep_alive=False)
        self.send_answer(answer)

    def _sign_off(self, answer, keep_alive):
        answer.set("Date", http_date(self.proxy.now()))
        if not keep_alive:
            answer.set("Connection", "close")

    # What faults are made of.

    def forward(self, request):
        """Sends the request to the server, once, and returns its answer, ready to be sent."""
        answer = self.upstream.exchange(request)
        self._sign_off(answer, request.keep_alive)
        return answer

    def send_answer(self, answer):
        self.send(answer.bytes())

    def send_error(self, request, status, error_type, message):
        answer = error_answer(status, error_type, message)
        self._sign_off(answer, request.keep_alive)
        self.send_answer(answer)

    def send(self, data):
        self.proxy.stats.add("bytes_out", len(data))
        self._socket.sendall(data)

    def renegotiate(self):
        """Which ssl does not offer: the pointer to OpenSSL's object is the second field of its
        own. The handshake begins with the next byte that is sent."""
        if not isinstance(self._socket, ssl.SSLSocket):
            return
        field = id(self._socket._sslobj) + object.__basicsize__ + ctypes.sizeof(ctypes.c_void_p)
        ctypes.CDLL("libssl.so.3").SSL_renegotiate(ctypes.c_void_p.from_address(field))

    def discard_until_closed(self):
        while self._receive():
            self._received = b""

    def close(self):
        """The orderly end: over TLS the goodbye is sent, and the client's waited for briefly."""
        if isinstance(self._socket, ssl.SSLSocket):
            self._socket.settimeout(CLOSE_NOTIFY_SECONDS)
            try:
                self._socket.unwrap()
            except OSError:
                pass  # the client did not wait, or says no goodbye
        self._socket.close()

    def abort(self):
        """The disorderly end: over TLS without a goodbye."""
        self._socket.close()

    def reset(self):
        reset(self._socket)

    # Reading.

    def _read_request(self):
        head = self._read_head()
        if head is None:
            return None
        request = Request(head)
        self._meet_fault(request, before_body=True)
        request.body = self.read(request.body_size)
        self.proxy.stats.add_request(request.operation, len(request.bytes()))
        return request

    def _read_head(self):
        while (end := self._received.find(b"\r\n\r\n", 0, MAX_HEAD)) < 0:
            if len(self._received) >= MAX_HEAD:
                raise Malformed("head too long")
            if not self._receive():
                if self._received:
                    raise Malformed("end within a head")
                return None
        head, self._received = self._received[:end], self._received[end + 4 :]
        return head

    def read(self, size):
        while len(self._received) < size:
            if not self._receive():
                raise Malformed("end within a body")
        data, self._received = self._received[:size], self._received[size:]
        return data

    def _receive(self):
        data = self._socket.recv(65536)
        self.proxy.stats.add("bytes_in", len(data))
        self._received += data
        return data


# ---- faults --------------------------------------------------------------------------------------
# Each is the whole exchange of one verified request, in place of forward() and send_answer().

FAULTS = {}


class Fault(typing.NamedTuple):
    act: typing.Callable  # with the connection, the request and the argument if there is one
    parse: typing.Optional[typing.Callable]  # of the argument; None: takes none
    before_body: bool  # acts on the head alone, before the signature can be checked


def fault(name, parse=None, before_body=False):
    def register(act):
        FAULTS[name] = Fault(act, parse, before_body)
        return act

    return register


def bounded(word, low, high):
    number = int(word)
    if not low <= number <= high:
        raise ValueError(f"{number} is not within {low}..{high}")
    return number


def milliseconds(word):
    """Returns seconds."""
    return bounded(word, 0, 600_000) / 1000


def seconds_of_shift(word):
    return datetime.timedelta(seconds=bounded(word, -(10**9), 10**9))


def byte_count(word):
    return bounded(word, 0, MAX_BODY)


def status_and_type(word):
    status, _, error_type = word.partition(":")
    if not re.fullmatch("[A-Za-z]+", error_type):
        raise ValueError(f"{word} is not STATUS:TYPE")
    return bounded(status, 400, 599), error_type


# The request or the answer is lost.


@fault("drop-request")
def drop_request(connection, request):
    """Not forwarded; the connection ends."""
    raise HangUp


@fault("drop-answer")
def drop_answer(connection, request):
    """Forwarded; the connection ends without an answer."""
    connection.forward(request)
    raise HangUp


@fault("silent")
def silent(connection, request):
    """Not forwarded; the connection stays open and nothing comes."""
    connection.discard_until_closed()
    raise HangUp


@fault("silent-after")
def silent_after(connection, request):
    """Forwarded; the connection stays open and nothing comes."""
    connection.forward(request)
    connection.discard_until_closed()
    raise HangUp


@fault("cut-request", byte_count, before_body=True)
def cut_request(connection, request, count):
    """Not forwarded; the connection is reset after the head and this much of the body."""
    connection.read(min(count, request.body_size))
    connection.reset()
    raise HangUp


@fault("cut-answer", byte_count)
def cut_answer(connection, request, count):
    """Forwarded; the connection ends after this many bytes of the answer, the head's included."""
    connection.send(connection.forward(request).bytes()[:count])
    raise HangUp


@fault("reset-answer", byte_count)
def reset_answer(connection, request, count):
    """As cut-answer, by a reset."""
    connection.send(connection.forward(request).bytes()[:count])
    connection.reset()
    raise HangUp


@fault("truncate", byte_count)
def truncate(connection, request, count):
    """As close-delimited, without so many of the last bytes and, over TLS, without a goodbye."""
    answer = connection.forward(request)
    answer.remove("Content-Length")
    body = answer.body[: max(0, len(answer.body) - count)]
    connection.send(answer.head("HTTP/1.0") + body)
    connection.abort()
    raise HangUp


# It comes late, or twice.


@fault("delay", milliseconds)
def delay(connection, request, seconds):
    """Forwarded later, even when the client has gone by then."""
    time.sleep(seconds)
    connection.send_answer(connection.forward(request))


@fault("delay-answer", milliseconds)
def delay_answer(connection, request, seconds):
    """Forwarded; the answer comes later."""
    answer = connection.forward(request)
    time.sleep(seconds)
    connection.send_answer(answer)


@fault("late", milliseconds)
def late(connection, request, seconds):
    """The connection ends at once; the request reaches the server later."""
    connection.abort()
    time.sleep(seconds)
    connection.forward(request)
    raise HangUp


@fault("duplicate")
def duplicate(connection, request):
    """Forwarded twice; the second answer comes."""
    connection.forward(request)
    connection.send_answer(connection.forward(request))


@fault("repeat", milliseconds)
def repeat(connection, request, seconds):
    """Forwarded and answered; a copy reaches the server later, over a connection of its own."""
    copy = threading.Timer(seconds, forward_alone, (connection.proxy, request))
    copy.daemon = True
    connection.send_answer(connection.forward(request))
    copy.start()


def forward_alone(proxy, request):
    upstream = Upstream(proxy)
    try:
        upstream.exchange(request)
    except HangUp:
        pass  # the server has ended
    finally:
        upstream.close()


# The service says no.


@fault("throttle")
def throttle(connection, request):
    error = DYNAMODB + "ProvisionedThroughputExceededException"
    message = "The level of configured provisioned throughput for the table was exceeded."
    connection.send_error(request, 400, error, message)


def send_internal_error(connection, request):
    connection.send_error(request, 500, DYNAMODB + "InternalServerError", "Internal server error")


def send_service_error(connection, request, status, error_type):
    connection.send_error(request, status, DYNAMODB + error_type, "As was asked for.")


@fault("error", status_and_type)
def service_error(connection, request, error):
    """Not forwarded; STATUS:TYPE comes."""
    send_service_error(connection, request, *error)


@fault("error-after", status_and_type)
def service_error_after(connection, request, error):
    """Forwarded; STATUS:TYPE comes."""
    connection.forward(request)
    send_service_error(connection, request, *error)


@fault("500")
def internal_error(connection, request):
    """Not forwarded."""
    send_internal_error(connection, request)


@fault("500-after")
def internal_error_after(connection, request):
    """Forwarded."""
    connection.forward(request)
    send_internal_error(connection, request)


@fault("denied")
def denied(connection, request):
    message = f"User is not authorized to perform: dynamodb:{request.operation}"
    connection.send_error(request, 400, CORAL + "AccessDeniedException", message)


@fault("expired-token")
def expired_token(connection, request):
    message = "The security token included in the request is expired"
    connection.send_error(request, 400, CORAL + "ExpiredTokenException", message)


@fault("skew", seconds_of_shift)
def skew(connection, request, shift):
    """Says that the signature expired, at a Date so far from ours, whatever the request's."""
    now = connection.proxy.now() + shift
    message = expired_message(request.headers["x-amz-date"], now)
    answer = error_answer(400, CORAL + "InvalidSignatureException", message)
    answer.set("Date", http_date(now))
    connection.send_answer(answer)


@fault("no-item")
def no_item(connection, request):
    """A failed condition's answer lacks the item, as from servers that never send it."""
    answer = connection.forward(request)
    content = json.loads(answer.body)
    if content.get("__type", "").endswith("#ConditionalCheckFailedException"):
        content.pop("Item", None)
        answer.set_body(json.dumps(content).encode())
    connection.send_answer(answer)


# The answer is right, its form unusual or wrong.


@fault("bad-crc")
def bad_crc(connection, request):
    answer = connection.forward(request)
    answer.set("x-amz-crc32", zlib.crc32(answer.body) ^ 1)
    connection.send_answer(answer)


@fault("garbage")
def garbage(connection, request):
    """Forwarded; what comes is not HTTP."""
    connection.forward(request)
    connection.send(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")


@fault("html")
def html(connection, request):
    """Not forwarded; a gateway answers 503 in HTML."""
    body = b"<html><body><h1>503 Service Unavailable</h1></body></html>\n"
    headers = [("Content-Type", "text/html"), ("Content-Length", len(body))]
    connection.send_answer(Answer(503, "Service Unavailable", headers, body))


@fault("chunked")
def chunked(connection, request):
    """In chunks of 1, 3, 5, ... bytes, which arrive in pieces that do not end where chunks do."""
    answer = connection.forward(request)
    answer.remove("Content-Length")
    answer.set("Transfer-Encoding", "chunked")
    send_in_pieces(connection, answer.head() + in_chunks(answer.body), 7)


def in_chunks(body):
    chunks = b""
    size = 1
    while body:
        chunk, body = body[:size], body[size:]
        chunks += b"%x\r\n%s\r\n" % (len(chunk), chunk)
        size += 2
    return chunks + b"0\r\n\r\n"


def send_in_pieces(connection, data, size):
    for start in range(0, len(data), size):
        connection.send(data[start : start + size])


@fault("close-delimited")
def close_delimited(connection, request):
    """As from an HTTP/1.0 server: no length; the orderly end of the connection ends the body."""
    answer = connection.forward(request)
    answer.remove("Content-Length")
    connection.send(answer.head("HTTP/1.0") + answer.body)
    connection.close()
    raise HangUp


@fault("100-continue")
def continue_first(connection, request):
    connection.send(b"HTTP/1.1 100 Continue\r\n\r\n" + connection.forward(request).bytes())


@fault("close-after")
def close_after(connection, request):
    """The answer promises keep-alive; then the idle connection is closed, in order."""
    connection.send_answer(connection.forward(request))
    connection.close()
    raise HangUp


IDLE_MOMENT_SECONDS = 0.02  # the answer is taken before the connection ends


@fault("abort-after")
def abort_after(connection, request):
    """As close-after, a moment later and over TLS without a goodbye."""
    connection.send_answer(connection.forward(request))
    time.sleep(IDLE_MOMENT_SECONDS)
    connection.abort()
    raise HangUp


@fault("reset-after")
def reset_after(connection, request):
    """As close-after, a moment later and by a reset."""
    connection.send_answer(connection.forward(request))
    time.sleep(IDLE_MOMENT_SECONDS)
    connection.reset()
    raise HangUp


@fault("drip", milliseconds)
def drip(connection, request, seconds):
    """Forwarded; the answer comes one byte at a time, each so much later."""
    for byte in connection.forward(request).bytes():
        time.sleep(seconds)
        connection.send(bytes([byte]))


@fault("trickle")
def trickle(connection, request):
    """One byte a write, and over TLS one byte a record."""
    send_in_pieces(connection, connection.forward(request).bytes(), 1)


# The answer is a lie, or none is meant.


@fault("contradiction")
def contradiction(connection, request):
    """Forwarded; the status is 200, the body a failed condition."""
    answer = connection.forward(request)
    error = DYNAMODB + "ConditionalCheckFailedException"
    answer.set_body(json.dumps({"__type": error, "message": "no"}).encode())
    answer.status, answer.reason = 200, "OK"
    connection.send_answer(answer)


@fault("gzip")
def gzipped(connection, request):
    """Forwarded; the body is compressed, which nobody has asked for."""
    answer = connection.forward(request)
    answer.set_body(gzip.compress(answer.body))
    answer.set("Content-Encoding", "gzip")
    connection.send_answer(answer)


@fault("two-lengths")
def two_lengths(connection, request):
    """Forwarded; a second Content-Length says another size."""
    answer = connection.forward(request)
    answer.headers.append(("Content-Length", str(len(answer.body) + 1)))
    connection.send_answer(answer)


@fault("surplus")
def surplus(connection, request):
    """Forwarded; a second answer follows at once, which nobody has asked for."""
    answer = connection.forward(request)
    connection.send(answer.bytes() + Answer(200, "OK", [("Content-Length", 2)], b"{}").bytes())


@fault("endless-head")
def endless_head(connection, request):
    """Forwarded; the headers never end."""
    answer = connection.forward(request)
    connection.send(answer.head()[:-2])
    while True:
        connection.send(b"X-Padding: " + bytes(1000).replace(b"\0", b"x") + b"\r\n")


@fault("endless-body")
def endless_body(connection, request):
    """Forwarded; white space in chunks goes before the body, which never comes."""
    answer = connection.forward(request)
    answer.remove("Content-Length")
    answer.set("Transfer-Encoding", "chunked")
    connection.send(answer.head())
    while True:
        connection.send(b"400\r\n" + b" " * 1024 + b"\r\n")


@fault("renegotiate")
def renegotiate(connection, request):
    """Forwarded; over TLS another handshake is asked for before the answer."""
    answer = connection.forward(request)
    connection.renegotiate()
    connection.send_answer(answer)


# ---- listeners -----------------------------------------------------------------------------------


def serve_plain(proxy, sock):
    Connection(proxy, sock).serve()


def serve_tls(context, proxy, sock):
    sock.settimeout(HANDSHAKE_SECONDS)
    try:
        tls = context.wrap_socket(sock, server_side=True)
    except OSError:
        proxy.stats.add("failed_handshakes")
        return
    tls.settimeout(IDLE_SECONDS)
    proxy.stats.add("handshakes")
    if tls.session_reused:
        proxy.stats.add("resumed_handshakes")
    Connection(proxy, tls).serve()


def serve_nothing(proxy, sock):
    Connection(proxy, sock).discard_until_closed()


TO_SERVER, TO_CLIENT = "to-server", "to-client"


def wire(listener):
    """Carries bytes to and from another listener, until one side ends or the wire is cut."""
    return functools.partial(carry, listener)


def carry(listener, proxy, sock):
    with socket.create_connection(("127.0.0.1", proxy.ports[listener])) as server:
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ways = {
            sock.fileno(): (TO_SERVER, sock, server),
            server.fileno(): (TO_CLIENT, server, sock),
        }
        poller = select.poll()
        for number in ways:
            poller.register(number, select.POLLIN)
        standing = True
        while standing:
            ready = poller.poll(IDLE_SECONDS * 1000)
            standing = ready and all(carry_once(proxy, *ways[number]) for number, _ in ready)


def carry_once(proxy, way, source, target):
    """Whether the connection still stands."""
    room = proxy.wires.room(way)
    if room == 0:
        data, size = source.recv(1, socket.MSG_PEEK), 0
    else:
        data = source.recv(65536 if room is None else min(room, 65536))
        size = len(data)
    if not data:
        return False
    target.sendall(data[:size])
    cut, by_reset = proxy.wires.passed(way, size)
    if cut:
        proxy.stats.add("cuts")
    if by_reset:
        reset(target)
        reset(source)
    return not cut


MODERN = "ECDHE+AESGCM:ECDHE+CHACHA20"
ANCIENT = "ALL:@SECLEVEL=0"  # without which OpenSSL speaks neither TLS 1.0 nor 1.1
warnings.filterwarnings("ignore", "ssl.TLSVersion.TLSv1", DeprecationWarning)  # they are meant


def tls_server(pki, certificate, version=ssl.TLSVersion.TLSv1_2, ciphers=MODERN):
    """Resumes sessions by ID, which small clients can do, and never by ticket."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = context.maximum_version = version
    context.set_ciphers(ciphers)
    context.options |= ssl.OP_NO_TICKET
    context.load_cert_chain(f"{pki}/{certificate}-chain.pem", f"{pki}/{certificate}.key")
    return functools.partial(serve_tls, context)


def all_listeners(pki):
    """What serves the connections of each listener, by the listener's name."""
    return {
        "http": serve_plain,
        "https": tls_server(pki, "ec"),
        "https-rsa": tls_server(pki, "rsa"),
        "https-wrongname": tls_server(pki, "wrongname"),
        "https-expired": tls_server(pki, "expired"),
        "https-notyet": tls_server(pki, "notyet"),
        "https-selfsigned": tls_server(pki, "selfsigned"),
        "https-tls10": tls_server(pki, "ec", ssl.TLSVersion.TLSv1, ANCIENT),
        "https-tls11": tls_server(pki, "ec", ssl.TLSVersion.TLSv1_1, ANCIENT),
        "https-tls13": tls_server(pki, "ec", ssl.TLSVersion.TLSv1_3),
        "https-cbc": tls_server(pki, "ec", ciphers="ECDHE+AES:!AESGCM:!AESCCM"),
        "mute": serve_nothing,
        "wire": wire("http"),
        "wire-tls": wire("https"),
    }


def serve_connection(proxy, serve, sock):
    try:
        sock.settimeout(IDLE_SECONDS)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        serve(proxy, sock)
    except OSError:
        pass  # the client has gone
    finally:
        sock.close()
        proxy.slots.release()


def accept_forever(proxy, listener, serve):
    while True:
        sock, _ = listener.accept()
        proxy.slots.acquire()
        proxy.stats.add("connections")
        threading.Thread(target=serve_connection, args=(proxy, serve, sock), daemon=True).start()


def listen(proxy, serve):
    """Returns the port."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=MAX_CONNECTIONS)
    threading.Thread(target=accept_forever, args=(proxy, listener, serve), daemon=True).start()
    return listener.getsockname()[1]


# ---- control port --------------------------------------------------------------------------------


class Control(socketserver.StreamRequestHandler):
    def handle(self):
        while (line := self.rfile.readline(MAX_COMMAND)).endswith(b"\n"):
            try:
                answer = self.obey(line.decode("ascii").split())
            except ValueError as error:
                answer = f"error: {error}"
            self.wfile.write(answer.encode() + b"\n")
            if answer == "bye":
                os._exit(0)  # whatever the threads are waiting for

    def obey(self, words):
        proxy = self.server.proxy
        if words[:1] == ["fault"] and len(words) > 1:
            proxy.faults.add(*parse_fault(words[1:]))
            return "ok"
        if words[:1] == ["clock"] and len(words) == 2:
            proxy.clock_shift = seconds_of_shift(words[1])
            return "ok"
        if words[:1] == ["wire"] and len(words) == 4:
            proxy.wires.arm(*parse_cut(*words[1:]))
            return "ok"
        if words == ["clear"]:
            proxy.clear()
            return "ok"
        if words == ["stats"]:
            return json.dumps({**proxy.stats.snapshot(), "pending_faults": proxy.faults.pending()})
        if words == ["quit"]:
            return "bye"
        raise ValueError("commands are fault NAME ..., wire ..., clock SECONDS, clear, stats, quit")


def parse_cut(way, count, manner):
    if way not in (TO_SERVER, TO_CLIENT) or manner not in ("end", "reset"):
        raise ValueError("wire to-server|to-client COUNT end|reset")
    return way, byte_count(count), manner == "reset"


def parse_fault(words):
    """Returns the fault, the list of its arguments, how often it happens and on which operation."""
    name, *rest = words
    if name not in FAULTS:
        raise ValueError(f"no fault {name}; there are {' '.join(sorted(FAULTS))}")
    arguments, times, operation = [], 1, None
    for word in rest:
        if re.fullmatch("x[0-9]+", word):
            times = bounded(word[1:], 1, 10**9)
        elif word.startswith("on="):
            operation = word[3:]
        else:
            arguments.append(word)
    parse = FAULTS[name].parse
    if len(arguments) != (1 if parse else 0):
        raise ValueError(f"{name} takes {'one argument' if parse else 'no argument'}")
    return FAULTS[name], [parse(word) for word in arguments], times, operation


class ControlServer(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, proxy):
        super().__init__(("127.0.0.1", 0), Control)
        self.proxy = proxy


def main():
    parser = argparse.ArgumentParser(description="Verifying, failing reverse proxy.")
    parser.add_argument("--upstream", type=int, required=True, help="port of the plain HTTP server")
    parser.add_argument("--pki", default="build/pki", help="what tests/pki.sh made")
    parser.add_argument("--region", default=REGION, help="that signatures must name")
    options = parser.parse_args()

    proxy = Proxy(options.upstream, options.region)
    control = ControlServer(proxy)
    for name, serve in all_listeners(options.pki).items():
        proxy.ports[name] = listen(proxy, serve)
    ports = {"control": control.server_address[1], **proxy.ports}
    print(json.dumps(ports), flush=True)
    try:
        control.serve_forever()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
