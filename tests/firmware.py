#!/usr/bin/python3
"""Runs dynalock.h as firmware on emulated boards: `make firmware`. The last line is
`N passed, N failed`.

    tests/firmware.py --only TEXT    those checks whose name contains TEXT
    tests/firmware.py --update       all, and put the figures into README.md
    tests/firmware.py --check        all, and compare the figures with README.md

Every board (BOARDS in harness.py) talks over its own TCP and TLS, or its modem's, to a server
behind the proxy that checks every signature; examples/demo_device, a process of this host, is the
other one that wants the lock. Besides: the unit tests and some crashes on a board, and the figures,
which go to build/firmware/figures.json.
"""

import argparse
import concurrent.futures
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import traceback

import harness
import readme
from harness import Board, Missing, Servers, Talker

OUT = harness.BUILD / "firmware"
UNIT = sorted(OUT.glob("unit/*.elf"))
DEVICE = harness.BUILD / "examples/demo_device"
STEP_SECONDS = 20  # the longest that any step may take
JOBS = 2

LEASE_MS = {"mps2": 1000, "lm3s": 1000, "microbit": 3000, "modemtls": 3000}
HOST_LEASE_MS = 2000
LEASES = 10  # so long a board works under its lock
MOST_STACK = 5 * 1024
STATUS_FAULT = 99  # of examples/firmware/startup.c

# Instructions and bytes: the most that a figure may be.
FULL, RESUMED, SIGNATURE = "TLS handshake, full", "TLS handshake, resumed", "signature, cached key"
RENEW, STACK = "renew, open TLS", "stack"
MUSTS = {
    ("mps2", SIGNATURE): 85_000,
    ("mps2", RENEW): 800_000,
    ("mps2", RESUMED): 500_000,
    ("mps2", STACK): MOST_STACK,
}
# Said plainly rather than hidden: what does not reach its must yet, and what it may be meanwhile.
MISSED = {}
TOLERANCE = 1.05  # how the bytes arrive in pieces makes a few per cent
CAPTION = """Bytes and instructions, with arm-none-eabi-gcc -Os; counted by QEMU's `-icount
shift=0`, without what the network and its port take. mps2 and lm3s are Cortex-M3
with lwIP, microbit is a Cortex-M0 with a modem on AT commands, modemtls the same
with a modem that does TLS. Flash and RAM are those of the whole program, its
stack included; the server's certificate is EC where not said to be RSA.
"""
RAM = {"mps2": 128 * 1024, "lm3s": 64 * 1024, "microbit": 16 * 1024, "modemtls": 16 * 1024}

# outcomes, without the minus
LOST_EXPIRED, UNREACHABLE, UNTRUSTED, WRONG_NAME, WRONG_DATE = 32, 50, 61, 62, 63

FAULTS = [  # tests/firmware/faults.c has them
    "write-flash",
    "read-beyond-flash",
    "write-beyond-ram",
    "write-below-stack",
    "stack-overflow",
    "call-nothing",
    "run-data",
]


def require(truth, what):
    if not truth:
        raise Missing(what)


class Stage:
    """Servers, and whoever wants the lock that they keep."""

    def __init__(self):
        self.servers = Servers("dynoxide")
        self._actors = []
        self._folder = tempfile.TemporaryDirectory()

    def __enter__(self):
        self.servers.__enter__()
        return self

    def __exit__(self, *_):
        for actor in self._actors:
            actor.stop()
        self.servers.stop()
        self._folder.cleanup()

    def board(self, name, listener="https", image=None, options="", **settings):
        port = self.servers.url[listener].rpartition(":")[2]
        settings = {"owner": name, "lease": LEASE_MS[name], "wait": 30000, "rounds": 1, **settings}
        words = [f"endpoint=https://localhost:{port}", *(f"{k}={v}" for k, v in settings.items())]
        self._actors.append(Board(name, OUT / f"{image or name}.elf", words, options))
        return self._actors[-1]

    def host(self, wait_ms, work_ms):
        environment = {
            **os.environ,
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        }
        environment.pop("AWS_SESSION_TOKEN", None)
        resource = os.path.join(self._folder.name, f"resource-{len(self._actors)}")
        argv = [DEVICE, "host", self.servers.url["https"], harness.BUILD / "pki/ca.pem", resource]
        argv += [HOST_LEASE_MS, wait_ms, work_ms]
        self._actors.append(Talker("host", argv, env=environment))
        return self._actors[-1]

    def every_signature_was_right(self):
        refused = self.servers.stats()["signature_failures"]
        require(refused == 0, f"{refused} signatures were wrong")


def acquired(actor, seconds=STEP_SECONDS):
    """Waits until it holds the lock; returns the fence."""
    return int(actor.expect(r"acquired .*fence=(\d+)", seconds)[1])


# ---- the plays: each returns a remark ----


def play_contention(name):
    """Waits for a host's process, takes the lock when it is released, keeps it for ten leases with
    the host waiting, gives it back."""
    with Stage() as stage:
        host = stage.host(0, 1500)
        fence = acquired(host)
        board = stage.board(name, work=LEASES * LEASE_MS[name])
        board.expect(r"waits holder=host lease_ms=2000", STEP_SECONDS)
        host.expect("released", STEP_SECONDS)
        released = time.monotonic()
        require(acquired(board) > fence, "the board's fence is higher")
        waited = time.monotonic() - released
        require(waited < 1, f"the board has the lock {waited:.2f} s after the release")
        waiter = stage.host(60000, 0)
        waiter.expect(f"waits holder={name} lease_ms={LEASE_MS[name]}", STEP_SECONDS)
        board.expect("released", LEASES * LEASE_MS[name] / 1000 + STEP_SECONDS)
        renewals = sum(line.startswith("renewed") for line in board.said)
        require(renewals >= 2 * LEASES, f"{renewals} renewals")
        acquired(waiter, 2)
        board.exits(0, STEP_SECONDS)
        waiter.exits(0, STEP_SECONDS)
        stage.every_signature_was_right()
        return f"{renewals} renewals; {stack(board)}"


def play_dead_holder(name):
    """Takes over from a host's process that was killed, once its lease has run out."""
    with Stage() as stage:
        host = stage.host(0, 60000)
        fence = acquired(host)
        board = stage.board(name, work=0)
        board.expect("waits holder=host", STEP_SECONDS)
        host.kill()
        killed = time.monotonic()
        require(acquired(board) > fence, "the board's fence is higher")
        waited = time.monotonic() - killed
        # it renewed at most a third of the lease before; a poll of 250 ms may come on top
        lease = HOST_LEASE_MS / 1000
        require(lease * 0.6 < waited < lease + 1.5, f"it took over after {waited:.2f} s")
        board.exits(0, STEP_SECONDS)
        return f"after {waited:.2f} s"


def play_cut_link(name):
    """Knows that it has lost the lock when its link is cut, within its lease; the host gets it then;
    takes it again when the link is back. (Which of the two is first by some 40 ms, the order in
    which their lines are read on a busy machine does not tell; the simulator does.)"""
    with Stage() as stage:
        board = stage.board(name, work=3 * LEASE_MS[name], rounds=2)
        fence = acquired(board)
        board.expect("renewed", STEP_SECONDS)
        host = stage.host(60000, 200)
        host.expect(f"waits holder={name}", STEP_SECONDS)
        board.cut()
        cut = time.monotonic()
        board.expect(f"lost outcome=-{LOST_EXPIRED} ", STEP_SECONDS)
        lost = time.monotonic()
        require(lost - cut < LEASE_MS[name] / 1000 + 0.5, f"lost after {lost - cut:.2f} s")
        fence_host = acquired(host)
        require(fence_host > fence, "the host's fence is higher")
        board.mend()
        require(acquired(board) > fence_host, "the board's second fence is the highest")
        board.exits(0, STEP_SECONDS)
        host.exits(0, STEP_SECONDS)
        return f"lost after {lost - cut:.2f} s"


def play_restart(name):
    """Restarts while it holds the lock, and takes it back at once."""
    with Stage() as stage:
        board = stage.board(name, work=LEASE_MS[name], restart=LEASE_MS[name] // 2)
        board.expect("started life=1$", STEP_SECONDS)
        fence = acquired(board)
        board.expect("started life=2$", STEP_SECONDS)
        started = time.monotonic()
        require(acquired(board) > fence, "the fence rises over the restart")
        took = time.monotonic() - started
        require("restored" in board.said, "it knew its earlier life")
        require(took < LEASE_MS[name] / 2000, f"it has its lock back after {took:.2f} s")
        board.exits(0, STEP_SECONDS)
        return f"after {took:.2f} s"


def play_resumption(name):
    """The server ends every connection after an answer: all handshakes but one are resumed."""
    with Stage() as stage:
        stage.servers.control("fault close-after x1000 on=UpdateItem")
        board = stage.board(name, work=0, rounds=4)
        board.exits(0, STEP_SECONDS)
        stats = stage.servers.stats()
        full = stats["handshakes"] - stats["resumed_handshakes"]
        require(full == 1, f"{full} full handshakes")
        require(stats["resumed_handshakes"] >= 6, "six resumed handshakes and more")
        return f"{stats['resumed_handshakes']} of {stats['handshakes']} handshakes"


def play_rsa(name):
    """A server with an RSA certificate."""
    with Stage() as stage:
        board = stage.board(name, listener="https-rsa", work=0)
        acquired(board)
        board.exits(0, STEP_SECONDS)
        return stack(board)


def play_impostor(name, listener, outcome):
    with Stage() as stage:
        board = stage.board(name, listener=listener, wait=0, work=0)
        board.expect(f"failed outcome=-{outcome} ", STEP_SECONDS)
        board.exits(1, STEP_SECONDS)
        return ""


def play_fault(fault, status, line):
    """A program does what it must not, and the board notices."""
    board = Board("mps2", OUT / "faults.elf", [f"fault={fault}"])
    try:
        board.expect("started", STEP_SECONDS)
        board.exits(status, STEP_SECONDS)
        board.expect(line, 1)
        return board.said[-1]
    finally:
        board.stop()


def play_unit(image):
    """cmocka's program on the board."""
    board = Board("mps2", image, [])
    try:
        board.exits(0, harness.BOARD_SECONDS)
        text = "\n".join(board.said)
        begun = re.search(r"Running (\d+) test", text)
        passed = re.search(r"PASSED  \] (\d+) test", text)
        require(begun and passed and begun[1] == passed[1], f"all of its tests passed: {text}")
        return f"{passed[1]} tests"
    finally:
        board.stop()


def play_threads():
    """The port for threads, on this host."""
    with Stage() as stage:
        argv = [OUT / "threads", stage.servers.url["https"], 50]
        with Talker("threads", argv, stderr=subprocess.STDOUT) as threads:
            threads.exits(0, STEP_SECONDS)
            return threads.said[-1]


FIGURES = {}  # by board, by name


def play_figures(name, listener):
    with Stage() as stage:
        board = stage.board(
            name, listener, f"figures-{name}", "-icount shift=0", lease=20000
        )
        board.exits(0, STEP_SECONDS)
        found = (re.fullmatch(r"figure (.+)=(\d+)", line) for line in board.said)
        figures = {match[1]: int(match[2]) for match in found if match}
        require(FULL in figures and STACK in figures, f"all figures: {board.said}")
        if listener == "https-rsa":
            figures = {f"{FULL}, RSA": figures[FULL], f"{STACK}, RSA": figures[STACK]}
        FIGURES.setdefault(name, {}).update(figures)
        for figure, number in figures.items():
            key = (name, figure.replace(", RSA", "") if STACK in figure else figure)
            most = MUSTS.get(key, number)
            require(number <= MISSED.get(key, most), f"{figure}: {number:,}, at most {most:,}")
            require(key not in MISSED or number > most, f"{figure} is met: take it off MISSED")
        return ""


def play_memory(name):
    """Static memory, the stack in it, as the linker laid it out."""
    size = subprocess.run(
        ["arm-none-eabi-size", OUT / f"{name}.elf"], stdout=subprocess.PIPE, text=True, check=True
    )
    text, data, bss = map(int, size.stdout.split("\n")[1].split()[:3])
    FIGURES.setdefault(name, {}).update({"flash": text + data, "static RAM": data + bss})
    require(data + bss <= RAM[name], f"{data + bss} bytes of RAM")
    return f"flash {text + data:,}, RAM {data + bss:,} of {RAM[name]:,}"


def stack(board):
    used, size = board.expect(r"stack used=(\d+) of=(\d+)", 1).groups()
    require(int(used) <= MOST_STACK, f"{used} bytes of stack used")
    require(int(used) < int(size), "the stack was used up")
    return f"stack {used} of {size}"


def figures_table():
    """Rows are figures, columns boards, as README.md has them; the same goes out as JSON."""
    (OUT / "figures.json").write_text(json.dumps(FIGURES, indent=4) + "\n")
    names = dict.fromkeys(figure for figures in FIGURES.values() for figure in figures)
    rows = []
    for name in names:
        most = MUSTS.get(("mps2", name))
        note = f"{most:,} on mps2" if most else ""
        note += ", missed" if ("mps2", name) in MISSED else ""
        rows.append([name, *(readme.number(f.get(name, "")) for f in FIGURES.values()), note])
    return readme.table(["figure", *FIGURES, "at most"], rows)


def figures_grown():
    """Those over README.md's by more than TOLERANCE, or missing there."""
    published = readme.figures("boards")
    for board, figures in FIGURES.items():
        for figure, number in figures.items():
            before = published.get((figure, board))
            if before is None:
                yield f"{board}, {figure}: not in README.md (make firmware UPDATE=1)"
            elif number > before * TOLERANCE:
                yield f"{board}, {figure}: {number:,}, README.md says {before:,}"


def plays():
    """Yields names and functions, the longest first."""
    for name in ("microbit", "modemtls", "mps2", "lm3s"):
        yield f"{name}: contention", play_contention, name
        yield f"{name}: cut link", play_cut_link, name
        yield f"{name}: dead holder", play_dead_holder, name
        yield f"{name}: restart", play_restart, name
        yield f"{name}: memory", play_memory, name
        if name == "modemtls":
            continue
        yield f"{name}: resumption", play_resumption, name
        yield f"{name}: RSA server", play_rsa, name
    for name in ("mps2", "microbit"):
        yield f"{name}: selfsigned", play_impostor, name, "https-selfsigned", UNTRUSTED
        yield f"{name}: wrong name", play_impostor, name, "https-wrongname", WRONG_NAME
        yield f"{name}: expired", play_impostor, name, "https-expired", WRONG_DATE
        yield f"{name}: figures", play_figures, name, "https"
        yield f"{name}: figures, RSA", play_figures, name, "https-rsa"
    # the modem refuses such a server: no connection
    yield "modemtls: selfsigned", play_impostor, "modemtls", "https-selfsigned", UNREACHABLE
    yield "host: two threads", play_threads
    yield "mps2: no fault", play_fault, "none", 0, "survived"
    for fault in FAULTS:
        yield f"mps2: {fault}", play_fault, fault, STATUS_FAULT, "fault "
    for image in UNIT:
        yield f"mps2: {image.stem}", play_unit, image


def perform(play):
    """Returns the name, what went wrong (nothing if all is well), a remark and the time it took."""
    name, function, *arguments = play
    started = time.monotonic()
    try:
        remark, wrong = function(*arguments), ""
    except Missing as step:
        remark, wrong = "", str(step)
    except Exception:  # of the test itself: the others go on
        remark, wrong = "", traceback.format_exc()
    return name, wrong, remark, time.monotonic() - started


def main():
    parser = argparse.ArgumentParser(description="Runs the firmware on emulated boards.")
    parser.add_argument("--only", default="", metavar="TEXT")
    parser.add_argument("--update", action="store_true")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    chosen = [play for play in plays() if options.only in play[0]]
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for ended in [pool.submit(perform, play) for play in chosen]:
            name, wrong, remark, seconds = ended.result()
            print(f"{'FAILED' if wrong else 'ok':6} {seconds:5.1f} s  {name}  {remark}".rstrip())
            for line in wrong.splitlines():
                print(f"       | {line}")
            sys.stdout.flush()
            failed += bool(wrong)
            passed += not wrong
    table = figures_table() if FIGURES else ""
    print(f"\n{table}")
    if options.update:
        readme.update("boards", f"{CAPTION}\n{table}")
    for grown in figures_grown() if options.check else ():
        print(f"FAILED {grown}")
        failed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
