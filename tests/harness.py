#!/usr/bin/python3
"""Starts what a test talks to, runs the test, and leaves nothing behind.

    tests/harness.py [--server NAME] [--timeout SECONDS] -- COMMAND [ARGUMENT...]

starts a DynamoDB-compatible server (dynoxide, or dynalite, moto or none; tests/setup.sh installs
them) with the tables of TABLES, and in front of it tests/proxy.py with all its listeners; then runs
COMMAND with these variables, each of which is a URL unless said otherwise:

    DYNALOCK_TEST_SERVER            dynoxide, dynalite, moto or none, as given
    DYNALOCK_TEST_DIRECT            the server itself: plain HTTP, no signature is checked
    DYNALOCK_TEST_HTTP              the proxy, plain
    DYNALOCK_TEST_HTTPS             the proxy under TLS 1.2 with an EC certificate, as all below
    DYNALOCK_TEST_HTTPS_RSA         with an RSA certificate
    DYNALOCK_TEST_HTTPS_WRONGNAME, _EXPIRED, _NOTYET, _SELFSIGNED    with that certificate
    DYNALOCK_TEST_HTTPS_TLS10, _TLS11, _TLS13, _CBC    with that version only, or no AEAD
    DYNALOCK_TEST_WIRE              as HTTP, over a wire that the control port can cut
    DYNALOCK_TEST_WIRE_TLS          as HTTPS, over such a wire
    DYNALOCK_TEST_MUTE              accepts connections and says nothing
    DYNALOCK_TEST_REFUSED           refuses connections
    DYNALOCK_TEST_CONTROL           host:port of the proxy's control port (see proxy.py)
    DYNALOCK_TEST_PKI               directory with the certificates (see pki.sh)
    DYNALOCK_TEST_CA                file with the authority that signed them
    AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY    the credentials that the proxy accepts

With --server none, DIRECT is missing and the proxy ends the connection of every verified request.

The exit status is COMMAND's, 128 + N if signal N ended it, 124 when its time was up, 70 when the
servers did not start. Every process started here runs in a session of its own, which is killed as a
whole when the harness ends. If SIGKILL ends it, the kernel still kills the processes started here,
but not their children.

As a module: `with Servers("dynoxide") as servers:`, `with Board("mps2", ...) as board:`, Talker for
a program whose lines are awaited, or Child for a process of another kind. Start them from a thread
that lives longer than they: the kernel kills a child when the thread that started it ends.
"""

import argparse
import http.client
import json
import os
import pathlib
import re
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

TESTS = pathlib.Path(__file__).resolve().parent
BUILD = TESTS.parent / "build"
DYNOXIDE = BUILD / "npm/dynoxide/node_modules/@dynoxide/linux-x64/dynoxide"
DYNALITE = BUILD / "npm/dynalite/node_modules/dynalite/cli.js"
MOTO = BUILD / "moto/bin/python"
SYSTEM_PYTHON = "/usr/bin/python3"  # the one that sees Debian's botocore

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    "AWS_SESSION_TOKEN": "",
}

# Whoever runs a test in the background of a shell, or under nohup, has signals ignored, and its
# children with it.
for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)

START_SECONDS = 10
START_ATTEMPTS = 5
STOP_SECONDS = 1  # between asking and killing
REQUEST_SECONDS = 5
LOG_TAIL = 2000

TABLES = {"locks": {"key": "S"}, "sorted": {"name": "S", "part": "S"}}  # types; sort key last

EXIT_SOFTWARE = 70
EXIT_TIMEOUT = 124


class HarnessError(Exception):
    """The servers cannot be started; says why."""


class Child:
    """A process in a session of its own. stop() ends the whole of it; so does the kernel, for the
    process itself, when this one dies."""

    signals = None  # set by leave_on_signals: readable when one has come, its number is a byte

    def __init__(self, argv, **options):
        guarded = ["setpriv", "--pdeathsig", "KILL", "--", *map(str, argv)]
        self._process = subprocess.Popen(guarded, start_new_session=True, **options)
        self._pidfd = os.pidfd_open(self._process.pid)
        self.pid = self._process.pid
        self.stdout = self._process.stdout

    def wait(self, seconds):
        """Whether the process has ended by then. Raises SystemExit for a signal's sake."""
        watched = [self._pidfd] if self.signals is None else [self._pidfd, self.signals]
        ready = self._poll(watched, seconds)
        if self.signals in ready:
            sys.exit(128 + os.read(self.signals, 1)[0])
        return bool(ready)

    def stop(self):
        """Ends what is left of the session. Returns the process's status as Popen does."""
        if self._process.returncode is None:
            # Until it is reaped, below, nobody else gets its ID: no stranger is hit.
            if not self._poll([self._pidfd], 0):
                os.killpg(self.pid, signal.SIGTERM)
                self._poll([self._pidfd], STOP_SECONDS)
            os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()
            os.close(self._pidfd)
            if self.stdout:
                self.stdout.close()
        return self._process.returncode

    @staticmethod
    def _poll(descriptors, seconds):
        poller = select.poll()
        for descriptor in descriptors:
            poller.register(descriptor, select.POLLIN)
        return [descriptor for descriptor, _ in poller.poll(seconds * 1000)]


class Missing(Exception):
    """A step of a play that did not happen."""


class Talker(Child):
    """A program that says what happens, one line for each thing."""

    def __init__(self, name, argv, **options):
        super().__init__(argv, stdout=subprocess.PIPE, text=True, **options)
        self.name = name
        self.said = []  # all of it
        self._heard = 0
        self._news = threading.Condition()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def _listen(self):
        for line in self.stdout:
            with self._news:
                self.said.append(line.rstrip("\n"))
                self._news.notify_all()

    def expect(self, pattern, seconds):
        """The next line that fits; whatever else it says meanwhile is passed over."""
        end = time.monotonic() + seconds
        with self._news:
            while True:
                while self._heard < len(self.said):
                    found = re.match(pattern, self.said[self._heard])
                    self._heard += 1
                    if found:
                        return found
                left = end - time.monotonic()
                if left <= 0:
                    raise Missing(f"{self.name} did not say {pattern!r}, but: {self.said}")
                self._news.wait(left)

    def exits(self, status, seconds):
        if not self.wait(seconds):
            raise Missing(f"{self.name} did not end, but said: {self.said}")
        self._listener.join()
        ended = self.stop()
        if ended != status:
            raise Missing(f"{self.name} ended with {ended}, not {status}, having said: {self.said}")

    def kill(self):
        """As a power failure does."""
        os.killpg(self.pid, signal.SIGKILL)


BOARDS = {  # how QEMU emulates it, and what it is connected to
    "mps2": "-M mps2-an385 -serial none -nic user,id=net,model=lan9118",
    "lm3s": "-M lm3s6965evb -serial none -nic user,id=net,model=stellaris",
    "microbit": "-M microbit -nic none",
    "modemtls": "-M microbit -nic none",
}
BOARD_SECONDS = 120  # no run of a board takes longer


class Board(Talker):
    """An emulated board; what it prints are its lines. settings: "name=value" for board_setting().
    Those with a modem have tests/modem.py on their serial line."""

    def __init__(self, name, image, settings, options=""):
        self._folder = tempfile.TemporaryDirectory()
        self._monitor = os.path.join(self._folder.name, "monitor")
        self._modem = None
        argv = ["timeout", "--kill-after=5", BOARD_SECONDS, "qemu-system-arm", "-display", "none"]
        argv += [*shlex.split(BOARDS[name]), *shlex.split(options), "-kernel", image]
        argv += ["-monitor", "none", "-qmp", f"unix:{self._monitor},server=on,wait=off"]
        try:
            if "-serial" not in argv:
                argv += ["-serial", self._start_modem()]
            console = ",".join(["enable=on,target=native,arg=fw", *(f"arg={s}" for s in settings)])
            super().__init__(
                name,
                [*argv, "-semihosting-config", console],
                stdin=subprocess.DEVNULL,
                stderr=subprocess.STDOUT,
            )
        except BaseException:
            self._stop_rest()
            raise

    def _start_modem(self):
        path = os.path.join(self._folder.name, "serial")
        ca = BUILD / "pki/ca.pem"
        argv = [SYSTEM_PYTHON, TESTS / "modem.py", "--ca", ca, path]
        self._modem = Talker("modem", argv, stdin=subprocess.DEVNULL)
        self._modem.expect("ready", START_SECONDS)
        return f"unix:{path}"

    def _stop_rest(self):
        if self._modem:
            self._modem.stop()
        self._folder.cleanup()

    def stop(self):
        status = super().stop()
        self._stop_rest()
        return status

    def cut(self):
        """No byte passes from now on, and nobody is told."""
        self._link(False)

    def mend(self):
        self._link(True)

    def _link(self, up):
        if self._modem:
            os.kill(self._modem.pid, signal.SIGCONT if up else signal.SIGSTOP)
            return
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(REQUEST_SECONDS)
            sock.connect(self._monitor)
            lines = sock.makefile("rw")
            for command in ("qmp_capabilities", "set_link"):
                arguments = {"name": "net", "up": up} if command == "set_link" else {}
                lines.write(json.dumps({"execute": command, "arguments": arguments}))
                lines.flush()
                answer = {}
                while "return" not in answer:
                    answer = json.loads(lines.readline())
                    if "error" in answer:
                        raise HarnessError(f"{command}: {answer}")


class Servers:
    """A server with its tables and the proxy, for a `with` statement.

    url                  by name: direct, refused, and proxy.py's listeners: http, https, ...
    server_pid           the server's process, to measure it; None if there is no server
    control("COMMAND")   sends a line to the proxy's control port, returns the answer
    stats()              the proxy's counters
    environment()        the variables for a command
    """

    def __init__(self, server="dynoxide", region="us-east-1"):
        self.server = server
        self.region = region
        self.url = {}
        self.server_pid = None
        self._children = []
        self._control = None
        # Bound and not listening: connections are refused, and nobody else gets the port.
        self._refusing = socket.socket()

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        while self._children:
            self._children.pop().stop()
        self._refusing.close()

    def control(self, command):
        with socket.create_connection(self._control, REQUEST_SECONDS) as sock:
            sock.sendall(command.encode() + b"\n")
            answer = sock.makefile().readline().rstrip("\n")
        if not answer or answer.startswith("error"):
            raise ValueError(f"{command}: {answer or 'no answer'}")
        return answer

    def stats(self):
        return json.loads(self.control("stats"))

    def environment(self):
        variables = {name.upper().replace("-", "_"): url for name, url in self.url.items()}
        variables["SERVER"] = self.server
        variables["CONTROL"] = "%s:%d" % self._control
        variables["PKI"] = str(BUILD / "pki")
        variables["CA"] = str(BUILD / "pki/ca.pem")
        return CREDENTIALS | {f"DYNALOCK_TEST_{name}": value for name, value in variables.items()}

    def _start(self):
        self._refusing.bind(("127.0.0.1", 0))
        upstream = refused = self._refusing.getsockname()[1]
        self.url["refused"] = f"http://127.0.0.1:{refused}"
        if self.server != "none":
            upstream = self._start_server()
            self.url["direct"] = f"http://127.0.0.1:{upstream}"
        proxy = self._start_proxy(upstream)
        if self.server != "none":
            create_tables(upstream, TABLES)  # while the proxy starts
        self._read_ports(proxy)

    def _start_server(self):
        """Returns its port. It can be taken between our choice and the server's bind, then the
        server ends; only a server that did bind announces itself."""
        for _ in range(START_ATTEMPTS):
            port = free_port()
            argv, announcement = server_command(self.server, port)
            with tempfile.TemporaryFile() as log:
                child = Child(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
                self._children.append(child)
                if wait_for_text(log, announcement, child):
                    self.server_pid = child.pid
                    return port
                output = read_tail(log)
        raise HarnessError(f"{self.server} does not start:\n{output}")

    def _start_proxy(self, upstream):
        make_pki = subprocess.run([TESTS / "pki.sh"], timeout=60)
        if make_pki.returncode != 0:
            raise HarnessError("tests/pki.sh failed")
        argv = [SYSTEM_PYTHON, TESTS / "proxy.py", "--upstream", upstream, "--pki", BUILD / "pki"]
        argv += ["--region", self.region]
        child = Child(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self._children.append(child)
        return child

    def _read_ports(self, proxy):
        if not select.select([proxy.stdout], [], [], START_SECONDS)[0]:
            raise HarnessError("tests/proxy.py does not start")
        line = proxy.stdout.readline()
        if not line:
            raise HarnessError("tests/proxy.py ended at once")
        ports = json.loads(line)
        self._control = ("127.0.0.1", ports.pop("control"))
        for name, port in ports.items():
            # Certificates need the name; plain HTTP must work without name resolution.
            plain = name in ("http", "wire")
            base = "http://127.0.0.1" if plain else "https://localhost"
            self.url[name] = f"{base}:{port}"


def server_command(name, port):
    """Returns the command line and the text it prints once it listens."""
    if name == "dynoxide":
        command = [DYNOXIDE, "serve", "--host", "127.0.0.1", "--port", port]
        program, announcement = DYNOXIDE, "Dynoxide listening"
    elif name == "moto":
        command = [MOTO, "-m", "moto.server", "--host", "127.0.0.1", "--port", port]
        program, announcement = MOTO, "Running on"
    else:
        command = ["node", DYNALITE, "--host", "127.0.0.1", "--port", port, "--createTableMs", "10"]
        program, announcement = DYNALITE, "Dynalite listening"
    if not program.exists():
        raise HarnessError(f"{name} is not installed; run tests/setup.sh test")
    return command, announcement


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def wait_for_text(log, text, child):
    """Whether the child wrote the text to its log before it ended or its time was up."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        ended = child.wait(0.002)
        if text in read_tail(log):
            return True
        if ended:
            return False
    return False


def read_tail(log):
    # pread: the file offset is the child's too.
    size = os.fstat(log.fileno()).st_size
    return os.pread(log.fileno(), LOG_TAIL, max(0, size - LOG_TAIL)).decode(errors="replace")


def create_tables(port, tables):
    """tables: by name, the types of its keys by their names."""
    for name, keys in tables.items():
        status, answer = call(port, "CreateTable", table_definition(name, keys))
        if status != 200:
            raise HarnessError(f"CreateTable {name}: {answer}")
    for name in tables:
        wait_until_active(port, name)


def table_definition(name, keys):
    return {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            {"AttributeName": key, "AttributeType": key_type} for key, key_type in keys.items()
        ],
        "KeySchema": [
            {"AttributeName": key, "KeyType": key_type}
            for key, key_type in zip(keys, ["HASH", "RANGE"])
        ],
    }


def wait_until_active(port, name):
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        _, answer = call(port, "DescribeTable", {"TableName": name})
        if answer.get("Table", {}).get("TableStatus") == "ACTIVE":
            return
        time.sleep(0.005)
    raise HarnessError(f"table {name} does not become ACTIVE: {answer}")


def call(port, operation, body):
    """One call to the server itself, which wants a signature and does not look at it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=REQUEST_SECONDS)
    headers = {
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Target": f"DynamoDB_20120810.{operation}",
        "X-Amz-Date": "20250101T000000Z",
        "Authorization": "AWS4-HMAC-SHA256 "
        "Credential=AKIDEXAMPLE/20250101/us-east-1/dynamodb/aws4_request, "
        "SignedHeaders=host, Signature=0",
    }
    try:
        connection.request("POST", "/", json.dumps(body), headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def run(command, environment, seconds):
    """Runs a command to its end or for so long. Returns its exit status as a shell would."""
    child = Child(command, env={**os.environ, **environment})
    try:
        in_time = child.wait(seconds)
    finally:
        status = child.stop()
    if not in_time:
        print(f"harness: {command[0]} took more than {seconds:g} s", file=sys.stderr)
        return EXIT_TIMEOUT
    return 128 - status if status < 0 else status


def leave_on_signals():
    """A signal ends the current or next Child.wait() and no other call: an exception while a process
    is being started or stopped would leave it behind."""
    Child.signals, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)


def parse_arguments():
    parser = argparse.ArgumentParser(
        description="Runs a command with a test server behind the verifying proxy."
    )
    servers = ["dynoxide", "dynalite", "moto", "none"]
    parser.add_argument("--server", choices=servers, default="dynoxide")
    parser.add_argument("--timeout", type=float, default=600, metavar="SECONDS")
    parser.add_argument("command", nargs="+", metavar="COMMAND")
    return parser.parse_args()


def main():
    options = parse_arguments()
    leave_on_signals()
    try:
        with Servers(options.server) as servers:
            return run(options.command, servers.environment(), options.timeout)
    except HarnessError as error:
        print(f"harness: {error}", file=sys.stderr)
        return EXIT_SOFTWARE


if __name__ == "__main__":
    sys.exit(main())
