"""The witness of `make interop`: outside of both libraries, it sees who works when.

Each contender keeps one connection, says its side and process ID once ("java 123"), and then, while
it holds the lock:

    enter FENCE     answered by "COUNTER MS": work so long, then
    leave COUNTER+1 answered by "on" or "stop"
    lost OUTCOME    instead of leave: the library has told it that the lock is lost

Two within at once, or a counter that is not one more than the last, is what no lock may allow. On
some entries the witness does not answer: it kills the process that has just entered (SIGKILL), and
lets nobody off the clock: who enters next must have waited for the lease.
"""

import collections
import dataclasses
import os
import signal
import socket
import socketserver
import threading
import time

Entry = collections.namedtuple("Entry", "side fence at")


@dataclasses.dataclass
class Plan:
    """What a contention is to have: so many hand-overs each way, and so many kills of each side,
    whose dead holder's lock is left alone for least_wait[side] seconds; or a new process of its
    name walks in. Every so many entries of a side its work is a long one (long_work[side]
    milliseconds): longer than its lease, if it renews."""

    handovers: int
    kills: int
    least_wait: dict
    long_work: dict
    walks_in: tuple = ()  # sides
    long_every: int = 61
    seconds: int = 240  # at most

    KILL_EVERY = 29  # entries of a side
    SHORT_WORK = 2


class Witness:
    """Serves contenders until close(). What it saw is in its attributes."""

    def __init__(self, plan, contenders):
        self.plan = plan
        self.within = None  # the Entry of who is within
        self.counter = 0
        self.entries = collections.Counter()  # by side
        self.handovers = collections.Counter()  # by (from, to)
        self.kills = collections.Counter()  # by side
        self.waits = []  # (killed side, next side, seconds between)
        self.doubles = []  # (who was within, who entered, when)
        self.lost_updates = []
        self.lost = []  # (side, outcome, when): told by the library
        self.fences = []  # ours, in the order of the grants
        self.stopping = False
        self.processes = {}  # pid: side, of those who are connected
        self._contenders = contenders  # sides, two
        self._last = None
        self._killed = None  # (side, when), nobody has entered since
        self._lock = threading.Lock()
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def is_done(self):
        one, other = self._contenders
        return (
            min(self.handovers[one, other], self.handovers[other, one]) >= self.plan.handovers
            and min(self.kills[one], self.kills[other]) >= self.plan.kills
            and self._killed is None
        )

    def _handler(self):
        witness = self

        class Handler(socketserver.StreamRequestHandler):
            disable_nagle_algorithm = True

            def handle(self):
                self.side, pid = self.rfile.readline().decode().split()
                self.pid = int(pid)
                witness.processes[self.pid] = self.side
                for line in self.rfile:
                    word, number = line.decode().split()
                    answer = witness.hear(self, word, int(number))
                    if answer is not None:
                        self.wfile.write(f"{answer}\n".encode())

            def finish(self):
                witness.processes.pop(self.pid, None)
                with witness._lock:
                    if witness.within is not None and witness.within.at is self:
                        witness.within = None
                try:
                    super().finish()
                except OSError:
                    pass

        return Handler

    def hear(self, who, word, number):
        with self._lock:
            if word == "enter":
                return self._enter(who, number)
            if word == "leave" and number != self.counter + 1:
                self.lost_updates.append((who.side, self.counter, number))
            if word == "leave":
                self.counter = number
            else:
                self.lost.append((who.side, number, time.monotonic()))
            if self.within is not None and self.within.at is who:
                self.within = None
            self.stopping = self.stopping or self.is_done()
            return "stop" if self.stopping else "on"

    def _enter(self, who, fence):
        side = who.side
        if self.within is not None:
            self.doubles.append((self.within.side, side, time.monotonic()))
        if self._killed is not None:
            self.waits.append((self._killed[0], side, time.monotonic() - self._killed[1]))
            self._killed = None
        if self._last not in (None, side):
            self.handovers[self._last, side] += 1
        if fence:
            self.fences.append(fence)
        self.within = Entry(side, fence, who)
        self._last = side
        self.entries[side] += 1
        if self.entries[side] % Plan.KILL_EVERY == 0 and self.kills[side] < self.plan.kills:
            self._kill(who)
            return None
        long_work = self.plan.long_work.get(side, 0)
        is_long = long_work and self.entries[side] % self.plan.long_every == 0
        return f"{self.counter} {long_work if is_long else Plan.SHORT_WORK}"

    def _kill(self, who):
        self.kills[who.side] += 1
        self._killed = (who.side, time.monotonic())
        self.within = None
        os.kill(who.pid, signal.SIGKILL)
