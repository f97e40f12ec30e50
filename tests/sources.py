#!/usr/bin/python3
"""Starts servers that give credentials, beside those of harness.py; runs a test.

    tests/sources.py -- COMMAND [ARGUMENT...]

To the variables of harness.py come

    DYNALOCK_TEST_IOT      port of AWS IoT's credential provider: TLS 1.2, an EC certificate, and who
                           has no certificate under DYNALOCK_TEST_CA is refused
    DYNALOCK_TEST_HOSTS    port of a plain server: EC2's metadata (IMDSv2) and a container's /keys
                           (authorization: what /token-N says, N rising with every fetch)

What they give are the proxy's own temporary keys, so that DynamoDB's side proves each of them. The
role alias, or the container's path, chooses the answer: lock-role, short (keys of three seconds),
expired, denied, throttled, failing, garbage, silent. GET /counts: fetches, and TLS sessions resumed.
"""

import datetime
import http.server
import json
import pathlib
import ssl
import subprocess
import sys
import threading
import time

import harness
import proxy

PKI = harness.BUILD / "pki"
KEYS = proxy.CREDENTIALS["ASIALONGTOKEN"]
TOKEN = "a-metadata-token=="
SECONDS = 120

counts = {"fetches": 0, "resumed": 0, "things": []}


def expiry(seconds):
    now = datetime.datetime.now(datetime.timezone.utc)
    return (now + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def say(self, status, body, kind="application/json"):
        data = body if isinstance(body, bytes) else body.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def refused(self, name):
        """Answers for a name that is a refusal."""
        if name == "silent":
            time.sleep(8)
            return True
        answers = {
            "denied": (403, '{"message":"Access Denied"}'),
            "throttled": (429, '{"message":"Rate exceeded"}'),
            "failing": (500, "<html>sorry</html>"),
            "garbage": (200, "\x00\xff{not json"),
        }
        if name in answers:
            self.say(*answers[name])
        return name in answers

    def keys(self, name, capital):
        counts["fetches"] += 1
        seconds = {"short": 3, "expired": -10}.get(name, 3600)
        texts = [KEYS.access_key, KEYS.secret_key, KEYS.token, expiry(seconds)]
        names = ["AccessKeyId", "SecretAccessKey", "Token", "Expiration"]
        if capital:
            self.say(200, json.dumps({"Code": "Success"} | dict(zip(names, texts))))
            return
        names = ["accessKeyId", "secretAccessKey", "sessionToken", "expiration"]
        self.say(200, json.dumps({"credentials": dict(zip(names, texts))}))


class Iot(Handler):
    def do_GET(self):
        counts["resumed"] += self.connection.session_reused
        counts["things"].append(self.headers.get("x-amzn-iot-thingname"))
        prefix, _, alias = self.path.partition("/role-aliases/")
        alias, _, rest = alias.partition("/")
        if prefix or rest != "credentials":
            self.say(404, '{"message":"no such path"}')
        elif not self.refused(alias):
            self.keys(alias, False)


class Hosts(Handler):
    def do_PUT(self):
        if self.path != "/latest/api/token" or not self.headers.get(
            "x-aws-ec2-metadata-token-ttl-seconds"
        ):
            self.say(400, "")
            return
        self.say(200, TOKEN, "text/plain")

    def do_GET(self):
        ec2 = "/latest/meta-data/iam/security-credentials/"
        if self.path == "/counts":
            self.say(200, json.dumps(counts))
        elif self.path.startswith(ec2):
            self.ec2(self.path[len(ec2) :])
        elif self.headers.get("authorization") != f"token-{counts['fetches']}":
            self.say(401, '{"message":"another token, please"}')
        elif not self.refused(self.path[1:]):
            self.keys(self.path[1:], True)

    def ec2(self, role):
        if self.headers.get("x-aws-ec2-metadata-token") != TOKEN:
            self.say(401, "")
        elif not role:
            self.say(200, "lock-role", "text/plain")
        else:
            self.keys(role, True)


class TlsServer(http.server.ThreadingHTTPServer):
    """The handshake takes place in the connection's own thread."""

    daemon_threads = True

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.maximum_version = ssl.TLSVersion.TLSv1_2
        self.context.load_cert_chain(PKI / "ec-chain.pem", PKI / "ec.key")
        self.context.load_verify_locations(PKI / "ca.pem")
        self.context.verify_mode = ssl.CERT_REQUIRED

    def finish_request(self, request, client_address):
        request.settimeout(10)
        try:
            with self.context.wrap_socket(request, server_side=True) as tls:
                super().finish_request(tls, client_address)
                tls.settimeout(1)
                tls.unwrap()  # OpenSSL keeps no session that did not end well
        except OSError:
            pass  # who is refused sees it at the other end


def start(kind, handler):
    server = kind(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return str(server.server_address[1])


def main():
    if sys.argv[1:2] != ["--"] or len(sys.argv) < 3:
        sys.exit("usage: tests/sources.py -- COMMAND [ARGUMENT...]")
    with harness.Servers("dynoxide") as servers:
        environment = servers.environment() | {
            "PATH": "/usr/bin:/bin",
            "HOME": str(pathlib.Path("/nonexistent")),
            "DYNALOCK_TEST_IOT": start(TlsServer, Iot),
            "DYNALOCK_TEST_HOSTS": start(http.server.ThreadingHTTPServer, Hosts),
        }
        for name in harness.CREDENTIALS:
            del environment[name]
        return subprocess.run(sys.argv[2:], env=environment, timeout=SECONDS).returncode


if __name__ == "__main__":
    sys.exit(main())
