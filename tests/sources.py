#!/usr/bin/python3
"""Starts servers that give credentials, beside those of harness.py; runs a test.

    tests/sources.py [--server dynoxide|moto] -- COMMAND [ARGUMENT...]

To the variables of harness.py come

    DYNALOCK_TEST_IOT      port of AWS IoT's credential provider: TLS 1.2, an EC certificate, and who
                           has no certificate under DYNALOCK_TEST_CA is refused
    DYNALOCK_TEST_HOSTS    port of a plain server: EC2's metadata (IMDSv2) and a container's /keys
                           (authorization: what /token-N says, N rising with every fetch);
                           _TLS: of the same under TLS

What they give are the proxy's own temporary keys, so that DynamoDB's side proves each of them. The
role alias, or the container's path, chooses the answer: lock-role, strange (a secret of every
character, a token of 5 KB), short (keys of three seconds), expired, denied, absent, throttled,
failing, garbage, cut, silent. GET /counts: fetches, TLS
sessions resumed, and requests to AUTH, below.

With moto, whose IAM and STS then issue all keys and whose DynamoDB checks each signature, token and
right from then on, there is also

    DYNALOCK_TEST_AUTH     URL of a server under TLS in front of it. moto refuses in XML; DynamoDB
                           says the same in JSON, by names of its own, and so does this one.
    DYNALOCK_TEST_USER     "ID SECRET" of a user with the rights that README.md gives a device;
                           _READER: with GetItem alone; _NOBODY: with none; _GONE: deleted
    DYNALOCK_TEST_ROLE     "ID SECRET TOKEN" of a session of a role with a device's rights; _OTHER:
                           of another session

The alias wrong gives keys of one session with the token of another; GET /mix does that to the next
keys that are fetched. GET /deny and /allow withdraw the role's rights and give them back.
"""

import argparse
import datetime
import http.client
import http.server
import json
import pathlib
import re
import ssl
import subprocess
import sys
import threading
import time

import botocore.session

import harness
import proxy

PKI = harness.BUILD / "pki"
KEYS = proxy.CREDENTIALS["ASIALONGTOKEN"]
STRANGE = proxy.CREDENTIALS["ASIASTRANGE"]
TOKEN = "a-metadata-token=="
SECONDS = 120

counts = {"fetches": 0, "resumed": 0, "requests": 0, "mixed": 0, "things": []}
issuer = None  # a Moto: who issues keys in place of KEYS


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
            "absent": (404, '{"message":"no such role"}'),
            "throttled": (429, '{"message":"Rate exceeded"}'),
            "failing": (500, "<html>sorry</html>"),
            "garbage": (200, "\x00\xff{not json"),
            "cut": (200, '{"credentials":{"accessKeyId":"ASIA","secretAccessKey":"hal'),
        }
        if name in answers:
            self.say(*answers[name])
        return name in answers

    def keys(self, name, capital):
        counts["fetches"] += 1
        seconds = {"short": 3, "expired": -10}.get(name, 3600)
        given = STRANGE if name == "strange" else KEYS
        session = [given.access_key, given.secret_key, given.token]
        if issuer:
            session = issuer.assume_role()
        if name == "wrong" or counts["mixed"]:
            session[2] = issuer.assume_role()[2]
            counts["mixed"] = 0
        texts = [*session, expiry(seconds)]
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
        counts["resumed"] += getattr(self.connection, "session_reused", False)
        ec2 = "/latest/meta-data/iam/security-credentials/"
        if self.path == "/counts":
            self.say(200, json.dumps(counts))
        elif self.path in ("/deny", "/allow"):
            issuer.set_rights(self.path == "/allow")
            self.say(200, "")
        elif self.path == "/mix":
            counts["mixed"] = 1
            self.say(200, "")
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
    verify_mode = ssl.CERT_REQUIRED

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.maximum_version = ssl.TLSVersion.TLSv1_2
        self.context.load_cert_chain(PKI / "ec-chain.pem", PKI / "ec.key")
        self.context.load_verify_locations(PKI / "ca.pem")
        self.context.verify_mode = self.verify_mode

    def finish_request(self, request, client_address):
        request.settimeout(10)
        try:
            with self.context.wrap_socket(request, server_side=True) as tls:
                super().finish_request(tls, client_address)
                tls.settimeout(1)
                tls.unwrap()  # OpenSSL keeps no session that did not end well
        except OSError:
            pass  # who is refused sees it at the other end


class AnybodysTlsServer(TlsServer):
    verify_mode = ssl.CERT_NONE


# ---- moto ----

REGION = "us-east-1"
NAMES = {  # of DynamoDB, for moto's
    "InvalidClientTokenId": "UnrecognizedClientException",
    "SignatureDoesNotMatch": "InvalidSignatureException",
    "AccessDenied": "AccessDeniedException",
}
TRUST = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}


def device_policy():
    """What README.md gives a device that takes locks; moto knows no resources."""
    text = (harness.TESTS.parent / "README.md").read_text()
    policy = re.search(r"A device that takes locks:\n\n```json\n(.*?)```", text, re.S)[1]
    return re.sub(r'"arn:[^"]*"', '"*"', policy)


def policy(*actions):
    statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


class Moto:
    """Its IAM and STS, and the keys that they have issued."""

    def __init__(self, url):
        self._url = url
        self.rights = device_policy()
        keys = {"user": self.rights, "reader": policy("dynamodb:GetItem"), "nobody": None}
        self._iam = self._client("iam", ["AKIDEXAMPLE", "any"])
        self.users = {name: self._new_user(name, rights) for name, rights in keys.items()}
        self.users["gone"] = self._new_user("gone", self.rights)
        self._iam.delete_access_key(UserName="gone", AccessKeyId=self.users["gone"][0])
        administrator = self._new_user("administrator", policy("*"))
        trust = json.dumps({"Version": "2012-10-17", "Statement": [TRUST]})
        role = self._iam.create_role(RoleName="lock-role", AssumeRolePolicyDocument=trust)
        self._role = role["Role"]["Arn"]
        self._iam = self._client("iam", administrator)
        self._sts = self._client("sts", administrator)
        self._check_from_now_on()
        self.set_rights(True)
        self.users["role"] = self.assume_role()
        self.users["other"] = self.assume_role()

    def _client(self, service, keys):
        session = botocore.session.Session()
        session.set_credentials(*keys)
        return session.create_client(service, region_name=REGION, endpoint_url=self._url)

    def _new_user(self, name, rights):
        self._iam.create_user(UserName=name)
        if rights:
            self._iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=rights)
        key = self._iam.create_access_key(UserName=name)["AccessKey"]
        return [key["AccessKeyId"], key["SecretAccessKey"]]

    def _check_from_now_on(self):
        connection = http.client.HTTPConnection(self._url.partition("//")[2])
        connection.request("POST", "/moto-api/reset-auth", "0")
        if connection.getresponse().status != 200:
            raise harness.HarnessError("moto does not begin to check")
        connection.close()

    def assume_role(self):
        keys = self._sts.assume_role(RoleArn=self._role, RoleSessionName="device")["Credentials"]
        return [keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"]]

    def set_rights(self, given):
        where = {"RoleName": "lock-role", "PolicyName": "all"}
        if given:
            self._iam.put_role_policy(**where, PolicyDocument=self.rights)
        else:
            self._iam.delete_role_policy(**where)

    def forward(self, headers, body):
        """One request to DynamoDB. Returns status and body, as DynamoDB would have them."""
        connection = http.client.HTTPConnection(self._url.partition("//")[2], timeout=10)
        connection.putrequest("POST", "/", skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        response = connection.getresponse()
        status, answer = response.status, response.read()
        connection.close()
        refusal = re.search(rb"<Code>(\w+)</Code><Message>(.*?)</Message>", answer, re.S)
        if refusal:
            name, words = (part.decode() for part in refusal.groups())
            answer = {"__type": f"com.amazon.coral.service#{NAMES[name]}", "message": words}
            return 400, json.dumps(answer)
        return status, answer


class Auth(Handler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        counts["requests"] += 1
        self.say(*issuer.forward(self.headers, body), "application/x-amz-json-1.0")


def start_moto(servers):
    """Returns the variables for it."""
    global issuer
    issuer = Moto(servers.url["direct"])
    variables = {name.upper(): " ".join(keys) for name, keys in issuer.users.items()}
    variables["AUTH"] = f"https://localhost:{start(AnybodysTlsServer, Auth)}"
    return {f"DYNALOCK_TEST_{name}": value for name, value in variables.items()}


# ---- the command ----


def start(kind, handler):
    server = kind(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return str(server.server_address[1])


def main():
    parser = argparse.ArgumentParser(description="Runs a test with servers that give credentials.")
    parser.add_argument("--server", choices=["dynoxide", "moto"], default="dynoxide")
    parser.add_argument("command", nargs="+", metavar="COMMAND")
    options = parser.parse_args()
    with harness.Servers(options.server) as servers:
        environment = servers.environment() | {
            "PATH": "/usr/bin:/bin",
            "HOME": str(pathlib.Path("/nonexistent")),
            "DYNALOCK_TEST_IOT": start(TlsServer, Iot),
            "DYNALOCK_TEST_HOSTS": start(http.server.ThreadingHTTPServer, Hosts),
            "DYNALOCK_TEST_HOSTS_TLS": start(AnybodysTlsServer, Hosts),
        }
        for name in harness.CREDENTIALS:
            del environment[name]
        if options.server == "moto":
            environment |= start_moto(servers)
        return subprocess.run(options.command, env=environment, timeout=SECONDS).returncode


if __name__ == "__main__":
    sys.exit(main())
