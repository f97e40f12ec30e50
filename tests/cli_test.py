#!/usr/bin/python3
"""Drives the command dynalock as people and scripts do. The last line is `N passed, N failed`.

    tests/cli_test.py [--program FILE] [--runs N] [TEST...]

A server runs behind the proxy; the command is run in pipes and on pseudo-terminals. The commands
under the lock say when they run, on the clock that counts suspension, so that two of them can be
told to have overlapped or not. TEST: only those whose name contains it.
"""

import argparse
import contextlib
import json
import os
import pathlib
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

import harness

SECONDS = 30  # the longest that one command may take
USAGE, BAD_TOKEN, NO_TOKEN, SERVICE, NO_CREATE = 64, 65, 66, 69, 73
BUSY, CLOCK_OR_TLS, CREDENTIALS, LOST = 75, 76, 77, 79
LEASE = 2.0
STATIC_BYTES = 256 * 1024
PEAK_KB = 2048
START_MS = 5.0
SETTINGS = ("AWS_", "DYNALOCK_", "SSL_CERT_FILE", "NO_COLOR")

# Writes down when it runs, until it is killed; on TERM it says so and goes on.
STUBBORN = """
import os, signal, sys, time
def say(word):
    os.write(out, b"%s %d\\n" % (word, time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000000))
out = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
signal.signal(signal.SIGTERM, lambda *_: say(b"TERM"))
while True:
    say(b"runs")
    time.sleep(0.01)
"""


def boot_ms():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


class World:
    """What a test gets: servers, a directory, a key of its own, and ways to run the command."""

    def __init__(self, servers, program, folder, name, runs):
        self.servers = servers
        self.program = str(program)
        self.folder = pathlib.Path(folder)
        self.key = name
        self.runs = runs
        self.started = []

    def environment(self, **changes):
        base = {k: v for k, v in os.environ.items() if not k.startswith(SETTINGS)}
        base.update(harness.CREDENTIALS, AWS_ENDPOINT_URL=self.servers.url["https"])
        base.update(AWS_CA_BUNDLE=str(harness.BUILD / "pki/ca.pem"), DYNALOCK_TABLE="locks")
        base.update(HOME=str(self.folder), AWS_EC2_METADATA_DISABLED="true")
        base.update(changes)
        return {name: value for name, value in base.items() if value is not None}

    def start(self, *arguments, changes=None, **options):
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        process = subprocess.Popen(
            [self.program, *map(str, arguments)],
            env=self.environment(**(changes or {})),
            text=True,
            start_new_session=True,
            **options,
        )
        self.started.append(process)
        return process

    def run(self, *arguments, stdin="", changes=None, code=0):
        """Returns its stdout; what it said on stderr is in self.errors."""
        process = self.start(*arguments, changes=changes, stdin=subprocess.PIPE)
        output, self.errors = process.communicate(stdin, SECONDS)
        found = process.returncode
        assert found == code, f"{arguments}: {found}, not {code}: {output}{self.errors}"
        return output

    def refused(self, code, hint, *arguments, changes=None):
        """It ends with that code and one line on stderr that says what to do."""
        self.run(*arguments, changes=changes, code=code)
        lines = self.errors.splitlines()
        assert len(lines) == 1 and re.search(hint, lines[0]), f"{arguments}: {lines}"

    def stubborn(self, name="log"):
        return [sys.executable, "-c", STUBBORN, self.folder / name]

    def log(self, name="log"):
        """[(word, boot ms)]"""
        path = self.folder / name
        lines = path.read_text().splitlines() if path.exists() else []
        return [(line.split()[0], int(line.split()[1])) for line in lines if " " in line]

    def until(self, condition, what, seconds=SECONDS):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"not within {seconds} s: {what}"
            time.sleep(0.005)

    def until_runs(self, name="log"):
        self.until(lambda: self.log(name), f"{name}: the command runs")

    def stop(self):
        for process in self.started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe:
                    pipe.close()


def ends(world, process, code, seconds=SECONDS):
    _, world.errors = process.communicate(timeout=seconds)
    assert process.returncode == code, f"{process.returncode}, not {code}: {world.errors}"


def children(pid):
    """Its children and theirs, as far as they have not been orphaned."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            text = path.read_text().rpartition(")")[2].split()
            if int(text[1]) == pid:
                found += [int(path.parent.name), *children(int(path.parent.name))]
    return found


def is_alive(pid):
    with contextlib.suppress(OSError):
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
        return text.rpartition(")")[2].split()[0] not in "ZX"
    return False


# ---- bad input -----------------------------------------------------------------------------------


def test_bad_usage(world):
    for hint, line in {
        "--help": "",
        "no command of it.*--help": "nonsense",
        "KEY": "run",
        "put --": "run k",
        "put -- .*KEY": "run k true",
        "no command behind": "run k --",
        "either -c or --": "run -c true k -- true",
        "--foo is not an option": "run --foo k -- true",
        "-x is not an option": "run -x k -- true",
        "not an option of this command": "status --grace 3 k",
        "takes no value": "run --quiet=3 k -- true",
        "needs a value": "run k -w",
        "a time such as": "run -w soon k -- true",
        "-l 0: .*a time": "run -l 0 k -- true",
        "0 to 255": "run -E 256 k -- true",
        "kill, warn": "run --on-lost=panic k -- true",
        "half of the lease": "run -l 4 --grace 3 k -- true",
        "needs KEY": "status",
        "too many": "status a b",
        "KEY and TOKENFILE": "acquire k",
        "TOKENFILE": "release",
        "lease leaves no time": "run -l 1ms k -- true",
    }.items():
        world.refused(USAGE, hint, *line.split())
    world.refused(USAGE, "AWS_REGION", "run", "k", "--", "true", changes={"AWS_ENDPOINT_URL": None})
    world.refused(USAGE, "http", "status", "--endpoint", "ftp://x", "k")
    world.refused(USAGE, "table name", "status", "-t", "a b", "k")
    world.refused(USAGE, "key", "run", "k" * 2049, "--", "true")


def test_bad_commands(world):
    (world.folder / "plain").write_text("")
    (world.folder / "broken").write_text("#!/no/such/interpreter\n")
    (world.folder / "broken").chmod(0o755)
    world.refused(127, "check its name and PATH", "run", world.key, "--", "no-such-command")
    world.refused(127, "no such command", "run", world.key, "--", world.folder / "missing")
    world.refused(126, "chmod", "run", world.key, "--", world.folder / "plain")
    world.refused(126, "not executable", "run", world.key, "--", world.folder)
    # What only the kernel can tell costs an acquire and a release.
    world.refused(127, "cannot be executed", "run", world.key, "--", world.folder / "broken")
    assert json.loads(world.run("status", "-j", world.key))["status"] == "released"


def test_bad_tokens(world):
    world.refused(NO_TOKEN, "acquire", "release", world.folder / "missing")
    for content in ("", "dynalock-token 1\n", "root:x:0:0\n", "dynalock-token 1\nkey=%zz\n"):
        (world.folder / "token").write_text(content)
        world.refused(BAD_TOKEN, "not a token file", "renew", world.folder / "token")
    world.refused(NO_CREATE, "name another", "acquire", world.key, world.folder / "token")
    world.refused(NO_CREATE, "name another", "acquire", world.key, "/no/such/place")
    token = world.folder / "good"
    world.run("acquire", world.key, token)
    text = token.read_text()
    other = "ff" if "blob=00" in text else "00"
    token.write_text(re.sub("blob=..", f"blob={other}", text))
    world.refused(BAD_TOKEN, "damaged", "release", token)
    token.write_text(text)
    world.run("release", token)


def test_the_table(world):
    run = ["run", world.key, "--", "true"]
    world.refused(SERVICE, "dynalock init", *run, changes={"DYNALOCK_TABLE": "missing"})
    world.refused(SERVICE, "--key-name", *run, changes={"DYNALOCK_TABLE": "sorted"})
    keys = ["--key-name", "name", "--sort-key-name", "part", "--sort-key", "x"]
    world.run(*run[:1], "-t", "sorted", *keys, *run[1:])


def test_the_network(world):
    run = ["run", "-w", "1", world.key, "--", "true"]
    refused = world.servers.url["refused"]
    world.refused(SERVICE, "Connection refused.*doctor", *run, changes={"AWS_ENDPOINT_URL": refused})
    nowhere = "http://no-such-host.invalid"
    world.refused(SERVICE, "not known", *run, changes={"AWS_ENDPOINT_URL": nowhere})
    world.servers.control("fault throttle x100")
    world.refused(SERVICE, "throttling", "run", "-n", *run[3:])
    world.servers.control("clear")
    world.servers.control("fault silent x100 on=UpdateItem")
    world.refused(SERVICE, "may look held", "run", "-l", "4", *run[1:])


def test_credentials(world):
    run = ["run", "-n", world.key, "--", "true"]
    world.refused(CREDENTIALS, "AWS_ACCESS_KEY_ID", *run, changes={"AWS_ACCESS_KEY_ID": None})
    world.refused(CREDENTIALS, "secret", *run, changes={"AWS_SECRET_ACCESS_KEY": "wrong"})
    world.servers.control("fault denied")
    world.refused(CREDENTIALS, "init --policy", *run)
    world.servers.control("fault expired-token x5")  # new ones are asked for once
    world.refused(CREDENTIALS, "fresh ones", *run)


def test_profile(world):
    """Credentials, region and endpoint from the files that AWS' tools read."""
    keys = harness.CREDENTIALS
    (world.folder / ".aws").mkdir()
    (world.folder / ".aws/credentials").write_text(
        "[edge]\n"
        f"aws_access_key_id = {keys['AWS_ACCESS_KEY_ID']}\n"
        f"aws_secret_access_key = {keys['AWS_SECRET_ACCESS_KEY']}\n"
    )
    (world.folder / ".aws/config").write_text(
        f"[profile edge]\nregion = us-east-1\nendpoint_url = {world.servers.url['https']}\n"
        "[profile assumed]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = edge\n"
    )
    nothing = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "AWS_ENDPOINT_URL": None}
    world.run("run", world.key, "--", "true", changes={**nothing, "AWS_PROFILE": "edge"})
    endpoint = {"AWS_ENDPOINT_URL": world.servers.url["https"]}
    run = ["run", "-n", world.key, "--", "true"]
    world.refused(CREDENTIALS, "role_arn", *run, changes={**nothing, **endpoint, "AWS_PROFILE": "assumed"})


def test_clock_and_tls(world):
    run = ["run", "-n", world.key, "--", "true"]
    world.servers.control("clock 7200")
    world.refused(CLOCK_OR_TLS, "NTP", *run, changes={"AWS_ENDPOINT_URL": world.servers.url["http"]})
    world.servers.control("clear")
    for name in ("selfsigned", "wrongname", "expired", "notyet", "tls13"):
        url = world.servers.url[f"https-{name}" if f"https-{name}" in world.servers.url else name]
        world.refused(CLOCK_OR_TLS, "certificate|TLS", *run, changes={"AWS_ENDPOINT_URL": url})
    world.refused(CLOCK_OR_TLS, "--ca", *run, changes={"AWS_CA_BUNDLE": "/no/such/file"})
    world.refused(CLOCK_OR_TLS, "certificate.*--ca", *run, changes={"AWS_CA_BUNDLE": "/dev/null"})


# ---- run -----------------------------------------------------------------------------------------


def test_status_is_passed_on(world):
    for code in (0, 1, 42, 255):
        world.run("run", world.key, "--", "sh", "-c", f"exit {code}", code=code)
        assert world.errors == "", world.errors
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV):
        world.run("run", world.key, "-c", f"kill -{int(number)} $$", code=128 + number)


def test_stdin_and_environment(world):
    assert world.run("run", world.key, "--", "cat", stdin="from a pipe") == "from a pipe"
    lines = world.run("run", "-l", "30", world.key, "--", "env", changes={"HERE": "too"})
    found = dict(line.split("=", 1) for line in lines.splitlines() if "=" in line)
    assert found["HERE"] == "too" and found["DYNALOCK_KEY"] == world.key
    assert found["DYNALOCK_TABLE"] == "locks" and found["DYNALOCK_LEASE_MS"] == "30000"
    assert re.fullmatch(re.escape(socket.gethostname()) + r":\d+", found["DYNALOCK_OWNER"])
    assert 28000 < int(found["DYNALOCK_DEADLINE"]) - boot_ms() < 30000
    status = json.loads(world.run("status", "-j", world.key))
    assert status["status"] == "released" and status["fence"] == int(found["DYNALOCK_FENCE"])


def test_the_child_is_as_found(world):
    """No descriptor, signal or process group leaks into the command."""
    script = "ls /proc/self/fd; grep -E 'Sig(Blk|Ign|Cgt)' /proc/self/status"
    shell = ["sh", "-c", script]
    plain = subprocess.run(shell, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    process = world.start("run", world.key, "--", *shell, stdin=subprocess.DEVNULL)
    output, _ = process.communicate(timeout=SECONDS)
    assert output == plain.stdout, f"{output}\n{plain.stdout}"
    output = world.run("run", world.key, "--", "sh", "-c", "ps -o pid=,pgid= -p $$")
    assert len(set(output.split())) == 1, output
    output = world.run("run", "--foreground", world.key, "--", "sh", "-c", "ps -o pid=,pgid= -p $$")
    assert len(set(output.split())) == 2, output


def test_nohup_stays(world):
    process = world.start(
        "run", world.key, "--", *world.stubborn(), preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)
    )
    world.until_runs()
    process.send_signal(signal.SIGHUP)
    time.sleep(0.2)
    assert process.poll() is None and len(children(process.pid)) == 2


def test_busy(world):
    process = world.start("run", "--owner", "the-holder", world.key, "--", *world.stubborn())
    world.until_runs()
    world.run("run", "-n", world.key, "--", "true", code=BUSY)
    assert "held by the-holder" in world.errors, world.errors
    world.run("run", "-q", "-n", "-E", "3", world.key, "--", "true", code=3)
    assert world.errors == "", world.errors
    before = time.monotonic()
    world.run("run", "-w", "1.5", "-E0", world.key, "--", "true", code=0)
    assert 1.4 < time.monotonic() - before < 3
    assert "waiting" in world.errors and "the-holder" in world.errors, world.errors
    world.run("run", "-jw1200ms", world.key, "--", "true", code=BUSY)
    events = [json.loads(line) for line in world.errors.splitlines()]
    assert events[0]["event"] == "waiting" and events[0]["holder"] == "the-holder", events
    process.send_signal(signal.SIGKILL)


def test_waits_its_turn(world):
    world.start("run", world.key, "--", "sh", "-c", f"echo >{world.folder}/on; sleep 1; date >>{world.folder}/a")
    world.until((world.folder / "on").exists, "the first runs")
    world.run("run", "--poll", "0.1", world.key, "--", "cat", world.folder / "a")


def test_three_round_trips(world):
    world.servers.control("clear")
    world.run("run", world.key, "--", "true")
    requests = world.servers.stats()["requests"]
    assert requests == 2, f"{requests} requests"


def test_signals_reach_the_command(world):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
        script = f"import os, signal\nsignal.signal({int(number)}, lambda *_: os._exit(5))\nprint('on', flush=True)\nsignal.pause()"
        process = world.start("run", world.key, "--", sys.executable, "-c", script)
        assert process.stdout.readline() == "on\n"
        process.send_signal(number)
        ends(world, process, 5, 2)
    process = world.start("run", world.key, "-c", "echo on; sleep 100")
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    ends(world, process, 128 + signal.SIGTERM)
    assert json.loads(world.run("status", "-j", world.key))["status"] == "released"


def test_signal_ends_the_wait(world):
    world.start("run", world.key, "--", *world.stubborn())
    world.until_runs()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        process = world.start("run", world.key, "--", "touch", world.folder / "started")
        time.sleep(0.3)
        process.send_signal(number)
        ends(world, process, 128 + number, 3)
    assert not (world.folder / "started").exists()


def test_signal_while_the_grant_is_under_way(world):
    """What is granted after the signal is given back, and starts nothing."""
    world.servers.control("fault delay-answer 800 on=UpdateItem")
    process = world.start("run", world.key, "--", "touch", world.folder / "started")
    time.sleep(0.4)
    process.send_signal(signal.SIGINT)
    ends(world, process, 130, 4)
    assert not (world.folder / "started").exists()
    assert json.loads(world.run("status", "-j", world.key))["status"] == "released"


def test_leftovers_hold_the_lock(world):
    script = "sleep 1.5 & exit 7"
    process = world.start("run", world.key, "--", "sh", "-c", script, stdout=subprocess.DEVNULL)
    time.sleep(0.7)
    world.run("run", "-n", world.key, "--", "true", code=BUSY)
    ends(world, process, 7)
    assert "has ended" in world.errors, world.errors
    world.run("run", "-n", world.key, "--", "true")


# ---- never without the lock ----------------------------------------------------------------------


def heir(world, name="heir"):
    """Another host that wants the lock: its command says when it began."""
    direct = {"AWS_ENDPOINT_URL": world.servers.url["direct"]}
    script = f"echo began $(awk '{{print int($1*1000)}}' /proc/uptime) >{world.folder / name}"
    return world.start("run", "-q", "-l", LEASE, "--poll", "0.05", world.key, "-c", script, changes=direct)


def check_no_overlap(world, first="log", second="heir"):
    last = world.log(first)[-1][1]
    began = world.log(second)[0][1]
    # /proc/uptime has steps of 10 ms
    assert last < began + 10, f"ran until {last}, the next one began at {began}"
    return began - last


def silence(world):
    world.servers.control("fault silent x1000 on=UpdateItem")


def test_killed_when_the_network_goes_silent(world):
    holder = world.start("run", "-l", LEASE, world.key, "--", *world.stubborn())
    world.until_runs()
    time.sleep(0.8)  # a renewal or two
    silence(world)
    began = boot_ms()
    next_one = heir(world)
    ends(world, holder, LOST)
    assert "could not be renewed" in world.errors, world.errors
    ends(world, next_one, 0)
    log = world.log()
    term = [at for word, at in log if word == "TERM"]
    assert len(term) == 1, f"TERM came {len(term)} times"
    # TERM a quarter of the lease before its end, KILL 5 % before it
    assert 0.15 < (log[-1][1] - term[0]) / 1000 / LEASE < 0.25, log[-1][1] - term[0]
    assert log[-1][1] - began < LEASE * 1000
    assert check_no_overlap(world) < LEASE * 1000, "killed far too early"


def test_ended_by_term_when_it_obeys(world):
    holder = world.start("run", "-l", LEASE, world.key, "--", "sh", "-c", "echo on; exec sleep 100")
    holder.stdout.readline()
    silence(world)
    ends(world, holder, LOST)


def test_on_lost(world):
    silence_after = "echo on; sleep 3; exit 4"
    for how, code in (("warn", 4), ("signal:USR1", 9)):
        world.servers.control("clear")
        script = f"trap 'exit 9' USR1; {silence_after}" if code == 9 else silence_after
        script = script.replace("sleep 3", "for i in 1 2 3 4 5 6; do sleep 0.5; done")
        arguments = ["-l", "1.5", "--on-lost", how, world.key + how, "-c", script]
        holder = world.start("run", *arguments)
        holder.stdout.readline()
        silence(world)
        ends(world, holder, code)
        assert "lease" in world.errors, world.errors


def test_stolen(world):
    """Somebody rewrites the item: TERM at once, at the renewal that tells."""
    holder = world.start("run", "-l", "3", "--lost-exit-code", "33", world.key, "--", *world.stubborn())
    world.until_runs()
    item = {"key": world.key, "ownerName": "thief", "leaseDuration": "20000", "recordVersionNumber": "x"}
    call = {"TableName": "locks", "Item": {name: {"S": value} for name, value in item.items()}}
    port = int(world.servers.url["direct"].rpartition(":")[2])
    assert harness.call(port, "PutItem", call)[0] == 200
    ends(world, holder, 33, 5)
    assert "another owner" in world.errors, world.errors
    assert "TERM" in [word for word, _ in world.log()]


def test_the_wrapper_is_stopped_past_the_lease(world):
    holder = world.start("run", "-l", LEASE, world.key, "--", *world.stubborn())
    world.until_runs()
    holder.send_signal(signal.SIGSTOP)
    next_one = heir(world)
    ends(world, next_one, 0)
    check_no_overlap(world)
    assert [word for word, _ in world.log()].count("TERM") == 1, "the guard asks first"
    holder.send_signal(signal.SIGCONT)
    ends(world, holder, LOST, 3)


def test_all_is_stopped_past_the_lease(world):
    """As by a suspension: nothing runs meanwhile. On waking the guard comes first or next to it."""
    holder = world.start("run", "-l", LEASE, world.key, "--", *world.stubborn())
    world.until_runs()
    everybody = [holder.pid, *children(holder.pid)]
    assert len(everybody) == 3, everybody
    for pid in everybody:
        os.kill(pid, signal.SIGSTOP)
    ends(world, heir(world), 0)
    assert all(map(is_alive, everybody)), "nobody has died while all were stopped"
    awake = boot_ms()
    for pid in everybody:
        with contextlib.suppress(ProcessLookupError):  # one that is awake ends the next
            os.kill(pid, signal.SIGCONT)
    ends(world, holder, LOST, 3)
    ran = world.log()[-1][1] - awake  # negative: it was dead before it could run
    assert ran < 100, f"it ran on for {ran} ms"


def test_the_wrapper_is_killed(world):
    script = f"echo $$; {sys.executable} -c '{STUBBORN}' {world.folder}/log & echo $!; wait"
    holder = world.start("run", world.key, "--", "sh", "-c", script)
    family = [int(holder.stdout.readline()), int(holder.stdout.readline())]
    world.until_runs()
    assert all(map(is_alive, family))
    family += children(holder.pid)
    holder.kill()
    world.until(lambda: not any(map(is_alive, family)), "the command and its children die", 1)


def test_the_guard_is_killed(world):
    """The wrapper still sees to the lease."""
    holder = world.start("run", "-l", LEASE, world.key, "--", *world.stubborn())
    world.until_runs()
    guard = [pid for pid in children(holder.pid) if "guard" in pathlib.Path(f"/proc/{pid}/comm").read_text()]
    assert len(guard) == 1
    os.kill(guard[0], signal.SIGKILL)
    silence(world)
    ends(world, heir(world), 0)
    ends(world, holder, LOST)
    check_no_overlap(world)


def test_ten_leases(world):
    holder = world.start("run", "-l", "0.5", world.key, "--", "sleep", "5")
    time.sleep(0.2)
    for _ in range(10):
        world.run("run", "-n", "-l", "0.5", world.key, "--", "true", code=BUSY)
        time.sleep(0.4)
    ends(world, holder, 0)


def test_a_thousand_increments(world):
    """Eight contenders add one to a number in a file, as no program may without a lock."""
    number = world.folder / "number"
    number.write_text("0")
    contenders = 8
    each = world.runs // contenders
    step = f"read n <{number}; echo $((n + 1)) >{number}.new; mv {number}.new {number}"
    loop = f"i=0; while [ $i -lt {each} ]; do {world.program} run -q --poll 0.02 -l 5 {world.key} -c '{step}' || exit; i=$((i+1)); done"
    environment = world.environment(AWS_ENDPOINT_URL=world.servers.url["direct"])
    before = time.monotonic()
    loops = [subprocess.Popen(["sh", "-c", loop], env=environment) for _ in range(contenders)]
    assert [process.wait(180) for process in loops] == [0] * contenders
    found = int(number.read_text())
    print(f"       {each * contenders} increments in {time.monotonic() - before:.1f} s")
    assert found == each * contenders, f"{found} of {each * contenders}"


# ---- terminal ------------------------------------------------------------------------------------


class Terminal:
    """An interactive shell on a pseudo-terminal."""

    def __init__(self, world):
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            environment = world.environment(PS1="$ ", TERM="xterm")
            os.chdir(world.folder)
            os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], environment)
        self.said = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.descriptor)

    def type(self, text):
        os.write(self.descriptor, text.encode())

    def expect(self, pattern, seconds=10):
        end = time.monotonic() + seconds
        while True:
            found = re.search(pattern, self.said)
            if found:
                self.said = self.said[found.end() :]
                return found
            left = end - time.monotonic()
            ready = select.select([self.descriptor], [], [], max(0, left))[0]
            assert ready, f"no {pattern!r} in {self.said!r}"
            self.said += os.read(self.descriptor, 4096).decode(errors="replace")


def test_terminal_is_handed_over(world):
    with Terminal(world) as terminal:
        terminal.type(f"{world.program} run {world.key} -- sh -c 'echo re\"\"ady; read x; echo got $x'; echo status $?\n")
        terminal.expect("ready\r")
        terminal.type("some text\n")
        terminal.expect("got some text")
        terminal.expect("status 0")


def test_interrupt_from_the_terminal(world):
    with Terminal(world) as terminal:
        script = r'trap "kill \$!; exit 6" INT; sleep 100 & echo re""ady; wait'
        (world.folder / "script").write_text(script.replace('""', ""))
        terminal.type(f"{world.program} run {world.key} -- bash script; echo status $?\n")
        terminal.expect("ready\r")
        terminal.type("\x03")
        terminal.expect("status 6")
        terminal.type(f"{world.program} run {world.key} -- sleep 100; echo status $?\n")
        time.sleep(0.5)
        terminal.type("\x03")
        terminal.expect("status 130")
        terminal.type("echo still a shell\n")
        terminal.expect("still a shell\r")


def test_suspend_from_the_terminal(world):
    with Terminal(world) as terminal:
        terminal.type(f"{world.program} run -l 10 {world.key} -- sh -c 'echo re\"\"ady; exec cat'\n")
        terminal.expect("ready\r")
        terminal.type("once\n")
        terminal.expect("once\r\nonce")
        terminal.type("\x1a")
        terminal.expect("Stopped")
        terminal.type("echo shell\n")
        terminal.expect("shell\r\n.*\\rshell\r")
        terminal.type("fg\n")
        terminal.expect("exec cat")
        terminal.type("twice\n")
        terminal.expect("twice\r\ntwice")
        terminal.type("\x04")
        terminal.expect(r"\$ ")
        terminal.type("echo status $?\n")
        terminal.expect("status 0")


def test_suspended_past_the_lease(world):
    with Terminal(world) as terminal:
        terminal.type(f"{world.program} run -l {LEASE} {world.key} -- sh -c 'echo re\"\"ady; exec cat'\n")
        terminal.expect("ready\r")
        terminal.type("once\n")
        terminal.expect("once\r\nonce")
        terminal.type("\x1a")
        terminal.expect("Stopped")
        ends(world, heir(world), 0)
        terminal.type("fg; echo status $?\n")
        terminal.expect(f"status {LOST}")


def test_background_job_wants_the_terminal(world):
    with Terminal(world) as terminal:
        terminal.type(f"{world.program} run -l 10 {world.key} -- sh -c 'read x; echo got $x' &\n")
        time.sleep(0.7)  # it has asked for the terminal by now, and is stopped
        terminal.type("jobs\n")
        terminal.expect("Stopped")
        terminal.type("fg\n")
        terminal.expect("read x")
        terminal.type("late\n")
        terminal.expect("got late")


def test_waiting_on_a_terminal(world):
    world.start("run", "--owner", "holder-with-\x1b[31m-in-it", world.key, "--", *world.stubborn())
    world.until_runs()
    with Terminal(world) as terminal:
        terminal.type(f"{world.program} run {world.key} -- true; echo status $?\n")
        terminal.expect(r"waiting for .*held by holder-with-\?\[31m-in-it")
        terminal.expect(r"\r\x1b\[K.*waiting")
        terminal.type("\x03")
        terminal.expect("status 130")


def test_colour(world):
    world.run("run", world.key, "--", "true")
    assert "\x1b" not in world.run("status", world.key)
    with Terminal(world) as terminal:
        terminal.type(f"{world.program} status {world.key}\n")
        terminal.expect("\x1b\\[32mreleased")
        terminal.type(f"NO_COLOR=1 {world.program} status {world.key}\n")
        terminal.expect(r"status +released")


# ---- tokens --------------------------------------------------------------------------------------


def test_token(world):
    token = world.folder / "token"
    fence = int(world.run("acquire", world.key, token))
    assert oct(token.stat().st_mode)[-3:] == "600"
    world.refused(NO_CREATE, "release", "acquire", world.key, token)
    world.run("acquire", "-n", world.key, world.folder / "other", code=BUSY)
    assert not (world.folder / "other").exists()
    fences = [fence] + [int(world.run("renew", token)) for _ in range(3)]
    assert fences == sorted(set(fences)), fences
    found = json.loads(world.run("renew", "--json", "-l", "30", token))
    assert found["key"] == world.key and found["lease_ms"] == 30000
    assert 28000 < found["remaining_ms"] <= 30000
    # where it is, the token itself says
    world.run("release", token, changes={"DYNALOCK_TABLE": None, "AWS_ENDPOINT_URL": None})
    assert not token.exists() and not list(world.folder.glob("token*"))
    world.run("run", "-n", world.key, "--", "true")


def test_token_that_is_lost(world):
    token = world.folder / "token"
    world.run("acquire", "-l", "0.5", world.key, token)
    time.sleep(0.6)
    world.run("renew", token, code=LOST)
    assert "lease ran out" in world.errors and not token.exists(), world.errors
    world.run("acquire", "-l", "0.5", world.key, token)
    ends(world, heir(world), 0)
    world.run("release", "--lost-exit-code", "9", token, code=9)
    assert not token.exists()


def test_token_when_the_service_fails(world):
    token = world.folder / "token"
    world.run("acquire", world.key, token)
    refused = world.servers.url["refused"]
    world.refused(SERVICE, "doctor", "renew", "--endpoint", refused, token)
    assert token.exists()
    world.run("release", token)


def test_strange_keys(world):
    for key in ("a b\tc", "percent%20", "ünï/côdé=1", 'quo"te\\back', "line\nbreak"):
        token = world.folder / "token"
        world.run("acquire", key, token)
        status = json.loads(world.run("status", "-j", key))
        assert status["key"] == key and status["status"] == "locked", status
        world.run("renew", token)
        world.run("release", token)


# ---- looking, breaking, setting up -------------------------------------------------------------


def test_list(world):
    table = {"DYNALOCK_TABLE": "sorted"}
    keys = ["--key-name", "name", "--sort-key-name", "part"]
    expected = {}
    for number in range(60):  # more than a page
        key, part = f"{world.key}-{number:02}", "p" * (number * 15 + 1)
        world.run("run", *keys, "--sort-key", part, key, "--", "true", changes=table)
        expected[key] = part
    world.run("acquire", *keys, "--sort-key", "x", "--owner", "me", "held\tone", world.folder / "token", changes=table)
    lines = world.run("list", *keys, changes=table).splitlines()
    rows = [line.split("\t") for line in lines]
    assert all(len(row) == 7 for row in rows), lines
    mine = {row[0]: row[1] for row in rows if row[0].startswith(world.key)}
    assert mine == expected and {row[2] for row in rows if row[0] in mine} == {"released"}
    assert [row[1:5] for row in rows if row[0] == "held?one"] == [["x", "locked", "me", "20000"]], lines
    found = [json.loads(line) for line in world.run("list", "-j", *keys, changes=table).splitlines()]
    assert {item["key"]: item["sort_key"] for item in found if item["key"] in mine} == expected
    world.refused(SERVICE, "--key-name", "list", changes=table)
    with Terminal(world) as terminal:
        terminal.type(f"{world.program} list -t sorted {' '.join(keys)}\n")
        terminal.expect("STATUS +LEASE")
        terminal.expect("locked.*20 s .*me .*held")


def test_long_key_is_listed(world):
    key = "k" * 2040
    world.run("run", key, "--", "true")
    assert key in [json.loads(line)["key"] for line in world.run("list", "-j").splitlines()]


def test_watch(world):
    watch = world.start("watch", "-j", "--poll", "0.1", world.key)
    first = json.loads(watch.stdout.readline())
    assert first["status"] == "free" and first["owner"] is None, first
    holder = world.start("run", "-l", LEASE, "--owner", "me", world.key, "--", "sleep", "2")
    found = json.loads(watch.stdout.readline())
    assert found["status"] == "locked" and found["owner"] == "me" and found["lease_ms"] == 2000
    ends(world, holder, 0)
    assert json.loads(watch.stdout.readline())["status"] == "released"  # and no line for a heartbeat
    watch.send_signal(signal.SIGINT)
    ends(world, watch, 130, 3)


def test_watch_counts_down(world):
    world.run("acquire", "-l", "4", "--owner", "me", world.key, world.folder / "token")
    with Terminal(world) as terminal:
        terminal.type(f"{world.program} watch --poll 0.2 {world.key}\n")
        terminal.expect("locked.*by me")
        terminal.expect("at most 3 s", 3)
        terminal.expect("at most 2 s", 3)
        terminal.expect("whoever wants the lock may take it", 5)
        terminal.type("\x03")
        terminal.type("echo status $?\n")
        terminal.expect("status 130")


def test_break(world):
    world.refused(USAGE, "--if VERSION is needed.*status", "break", world.key)
    holder = world.start("run", "-l", LEASE, world.key, "--", *world.stubborn())
    world.until_runs()
    old = json.loads(world.run("status", "-j", world.key))["version"]
    world.until(lambda: json.loads(world.run("status", "-j", world.key))["version"] != old, "a heartbeat")
    world.refused(BUSY, "nothing was broken.*version", "break", "--if", old, world.key)
    version = json.loads(world.run("status", "-j", world.key))["version"]
    world.run("break", "--if", version, world.key)
    ends(world, holder, LOST)
    assert "somebody released it" in world.errors, world.errors


def test_init(world):
    table = {"DYNALOCK_TABLE": "fresh"}
    world.run("status", "k", changes=table, code=SERVICE)
    for _ in range(2):
        policy = json.loads(world.run("init", changes=table))
        assert policy["Statement"][0]["Resource"] == "arn:aws:dynamodb:us-east-1:*:table/fresh"
        assert "ready" in world.errors
    world.run("run", "k", "--", "true", changes=table)
    world.servers.control("clear")
    region = {"AWS_REGION": "us-gov-west-1"}
    lines = world.run("init", "--policy", "-j", changes=region)
    assert lines.count("\n") == 1 and "aws-us-gov" in json.loads(lines)["Statement"][0]["Resource"]
    assert world.servers.stats()["requests"] == 0
    world.refused(SERVICE, "name", "init", changes={"DYNALOCK_TABLE": "sorted"})


def test_doctor(world):
    def states(code, **changes):
        lines = world.run("doctor", "-j", changes=changes, code=code).splitlines()
        found = [json.loads(line) for line in lines]
        assert [item["check"] for item in found] == (
            "settings certificates credentials network TLS clock credentials table".split()
        ), lines
        failed = [item for item in found if item["state"] == "FAILED"]
        return [item["state"][0] for item in found], failed[0]["text"] if failed else ""

    assert states(0) == (["w"] * 8, "")
    for code, at, text, changes in (
        (USAGE, 0, "AWS_REGION", {"AWS_ENDPOINT_URL": None}),
        (CLOCK_OR_TLS, 1, "", {"AWS_CA_BUNDLE": "/no/such/file"}),
        (CREDENTIALS, 2, "AWS_ACCESS_KEY_ID", {"AWS_ACCESS_KEY_ID": None}),
        (SERVICE, 3, "refused", {"AWS_ENDPOINT_URL": world.servers.url["refused"]}),
        (CLOCK_OR_TLS, 4, "--ca", {"AWS_CA_BUNDLE": "/etc/ssl/certs/ca-certificates.crt"}),
        (CREDENTIALS, 6, "secret", {"AWS_SECRET_ACCESS_KEY": "wrong"}),
        (SERVICE, 7, "dynalock init", {"DYNALOCK_TABLE": "missing"}),
        (SERVICE, 7, "--key-name", {"DYNALOCK_TABLE": "sorted"}),
    ):
        found, said = states(code, **changes)
        assert found == ["w"] * at + ["F"] + ["n"] * (7 - at) and text in said, (found, said)
    world.servers.control("clock 7200")
    found, said = states(CLOCK_OR_TLS, AWS_ENDPOINT_URL=world.servers.url["http"])
    assert found[5] == "F" and "NTP" in said
    world.servers.control("clear")
    world.servers.control("fault denied on=DescribeTable")
    assert states(0)[0] == ["w"] * 8 and "DescribeTable" in world.errors


# ---- the rest ------------------------------------------------------------------------------------


def test_help_fits_a_screen(world):
    for words in ([], *([name] for name in "run acquire renew release status list watch break init doctor".split())):
        lines = world.run(*words, "--help").splitlines()
        assert 3 <= len(lines) <= 24, f"{words}: {len(lines)} lines"
        assert max(map(len, lines)) <= 79, max(lines, key=len)
    assert re.fullmatch(r"dynalock \d+\.\d+\.\d+\n", world.run("--version"))


def test_manual_and_completion(world):
    """They name every command and every long option that --help shows, and no other."""
    source = harness.TESTS.parent / "examples/dynalock"
    checked = subprocess.run(
        ["groff", "-man", "-t", "-ww", "-z", source / "dynalock.1"], stderr=subprocess.PIPE, text=True
    )
    assert checked.returncode == 0 and not checked.stderr, checked.stderr
    manual = (source / "dynalock.1").read_text().replace("\\-", "-")
    everything = set()
    for name in "run acquire renew release status list watch break init doctor".split():
        shown = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", world.run(name, "--help")))
        offered = set(complete(world, source, f"dynalock {name} --"))
        # What has a letter, too, is shown by that where the line is full.
        extra = {"--conflict-exit-code", "--command"}
        assert shown - {"--help"} <= offered and offered <= shown | extra | {"--help"}, (
            name,
            shown ^ offered,
        )
        assert f"dynalock {name}" in manual
        everything |= offered
    assert all(option in manual for option in everything), everything
    assert "watch" in complete(world, source, "dynalock w")
    assert complete(world, source, "dynalock run --on-lost w") == ["warn"]


def complete(world, source, line):
    words = line.split(" ")
    script = f"""source {source}/completion.bash
        COMP_WORDS=({' '.join(f"'{word}'" for word in words)}); COMP_CWORD={len(words) - 1}
        _dynalock; printf '%s\\n' "${{COMPREPLY[@]}}\""""
    result = subprocess.run(["bash", "-c", script], stdout=subprocess.PIPE, text=True, timeout=SECONDS)
    return result.stdout.split()


def test_install(world):
    """In the places that PREFIX and DESTDIR ask for."""
    variables = [f"DESTDIR={world.folder}", "PREFIX=/opt/x"]
    make = ["make", "--no-print-directory", "-C", harness.TESTS.parent, "install", *variables]
    assert subprocess.run(make, stdout=subprocess.DEVNULL, timeout=300).returncode == 0
    found = {str(path.relative_to(world.folder)) for path in world.folder.rglob("*") if path.is_file()}
    assert found == {
        "opt/x/bin/dynalock",
        "opt/x/share/man/man1/dynalock.1",
        "opt/x/share/bash-completion/completions/dynalock",
    }, found


def test_footprint(world):
    """What the process itself says, when the command has been started over TLS."""
    store = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")
    bundle = world.folder / "bundle"
    bundle.write_text(store.read_text() + (harness.BUILD / "pki/ca.pem").read_text())
    script = "grep VmHWM /proc/$PPID/status"
    output = world.run("run", world.key, "-c", script, changes={"AWS_CA_BUNDLE": str(bundle)})
    kilobytes = int(output.split()[1])
    size = os.stat(world.program).st_size
    header = subprocess.run(["readelf", "-l", world.program], stdout=subprocess.PIPE, text=True).stdout
    is_static = "INTERP" not in header
    print(f"       {'static' if is_static else 'shared'}, {size} bytes, peak RSS {kilobytes} KB")
    if is_static:
        assert size <= STATIC_BYTES and kilobytes <= PEAK_KB


def test_start(world):
    """From the making of the process to the first byte of it on the wire, with a whole store: what
    the process computes, since what it waits for others of this machine is not its doing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        for scheme, first in (("http", b"POST"), ("https", b"\x16\x03")):
            took, computed = [], []
            for _ in range(15):
                before = time.perf_counter()
                changes = {"AWS_ENDPOINT_URL": f"{scheme}://127.0.0.1:{port}", "AWS_CA_BUNDLE": None}
                process = world.start("status", "k", changes=changes)
                connection, _ = listener.accept()
                head = connection.recv(4)
                took.append((time.perf_counter() - before) * 1000)
                on_cpu = pathlib.Path(f"/proc/{process.pid}/schedstat").read_text().split()[0]
                computed.append(int(on_cpu) / 1e6)
                assert head.startswith(first), head
                process.kill()
                connection.close()
            half = len(took) // 2
            print(
                f"       {scheme}: {sorted(computed)[half]:.1f} ms computed, "
                f"{min(took):.1f} to {sorted(took)[half]:.1f} ms passed"
            )
            assert sorted(computed)[half] <= START_MS, computed


TESTS = {name[5:]: test for name, test in list(globals().items()) if name.startswith("test_")}


def run_test(name, test, servers, options):
    with tempfile.TemporaryDirectory() as folder:
        servers.control("clear")
        world = World(servers, options.program, folder, name, options.runs)
        try:
            test(world)
        except (AssertionError, subprocess.TimeoutExpired, OSError, ValueError, LookupError):
            traceback.print_exc(file=sys.stdout)
            return False
        finally:
            world.stop()
    return True


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", default=harness.BUILD / "dynalock", type=pathlib.Path)
    parser.add_argument("--runs", default=1000, type=int)
    parser.add_argument("tests", nargs="*")
    options = parser.parse_args()
    options.program = options.program.resolve()
    passed = failed = 0
    with harness.Servers("dynoxide") as servers:
        for name, test in TESTS.items():
            if options.tests and not any(word in name for word in options.tests):
                continue
            before = time.monotonic()
            well = run_test(name, test, servers, options)
            print(f"{'ok' if well else 'FAILED':6} {name} ({time.monotonic() - before:.1f} s)", flush=True)
            passed += well
            failed += not well
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
