#!/usr/bin/python3
"""A modem as examples/firmware/port_at.h has it: TCP, or TLS, on AT commands over a serial line.

    tests/modem.py --ca FILE SOCKET

waits at a Unix socket for the serial line (`qemu -serial unix:SOCKET`), says "ready", serves one and
ends with it. Names are resolved here, certificates of AT+OPEN's third argument checked against
FILE. Sent SIGSTOP it is a modem that has lost its network, and its mind.
"""

import argparse
import re
import select
import socket
import ssl
import sys
import time

ESC = b"\x1b"
CONNECT_SECONDS = 5
MOST_KEPT = 4096  # bytes taken off the network before the device reads them
RECEIVE_SIZE = 2048

REFUSED, UNTRUSTED = 1, 2  # errors of +OPEN


class Modem:
    def __init__(self, line, authority):
        self._line = line
        self._tls = ssl.create_default_context(cafile=authority)
        self._network = None
        self._kept = b""
        self._ended = False
        self._input = b""
        self._wanted = 0  # bytes that AT+SEND has announced

    def run(self):
        while True:
            for ready in self._wait():
                if ready is self._line:
                    data = self._line.recv(RECEIVE_SIZE)
                    if not data:
                        return
                    self._input += data
                    self._take_input()
                elif ready is self._network:  # and was not closed just now
                    self._take_network()

    def _wait(self):
        watched = [self._line]
        if self._network and not self._ended and len(self._kept) < MOST_KEPT:
            watched.append(self._network)
            if isinstance(self._network, ssl.SSLSocket) and self._network.pending():
                return [self._network]
        return select.select(watched, [], [])[0]

    def _say(self, text):
        self._line.sendall(f"\r\n{text}\r\n".encode())

    # ---- from the network ----

    def _take_network(self):
        had_some = bool(self._kept)
        try:
            data = self._network.recv(RECEIVE_SIZE)
        except ssl.SSLWantReadError:
            return
        except OSError:
            data = b""
        self._kept += data
        self._ended = not data
        if data and not had_some:
            self._say("+RECV")
        if not data:
            self._say("+CLOSED")

    # ---- from the device ----

    def _take_input(self):
        while self._input:
            if self._wanted:
                if not self._take_data():
                    return
                continue
            command, end, rest = self._input.partition(b"\r")
            if not end:
                return
            self._input = rest
            self._execute(command.replace(ESC, b"").decode("latin-1"))

    def _take_data(self):
        """Whether all that AT+SEND announced is there, or it was given up."""
        if self._input[:1] == ESC and len(self._input) < self._wanted:
            self._input, self._wanted = self._input[1:], 0
            return True
        if len(self._input) < self._wanted:
            return False
        data, self._input = self._input[: self._wanted], self._input[self._wanted :]
        self._wanted = 0
        try:
            self._network.sendall(data)
            self._say("SEND OK")
        except (AttributeError, OSError):
            self._say("SEND FAIL")
        return True

    def _execute(self, command):
        for pattern, act in COMMANDS:
            match = re.fullmatch(pattern, command)
            if match:
                act(self, *match.groups())
                return
        if command:
            self._say("ERROR")

    def _open(self, host, port, secure):
        self._close()
        self._say("OK")
        try:
            network = socket.create_connection((host, int(port)), CONNECT_SECONDS)
            if secure == "1":
                network = self._tls.wrap_socket(network, server_hostname=host)
            network.settimeout(CONNECT_SECONDS)
        except ssl.SSLError:
            self._say(f"+OPEN: {UNTRUSTED}")
            return
        except OSError:
            self._say(f"+OPEN: {REFUSED}")
            return
        self._network, self._kept, self._ended = network, b"", False
        self._say("+OPEN: 0")

    def _send(self, size):
        self._wanted = int(size)
        self._line.sendall(b"\r\n> ")

    def _read(self, size):
        data, self._kept = self._kept[: int(size)], self._kept[int(size) :]
        self._line.sendall(b"\r\n+READ: %d\r\n" % len(data) + data + b"\r\nOK\r\n")
        if self._kept:
            self._say("+RECV")

    def _close(self):
        if self._network:
            self._network.close()
        self._network, self._kept = None, b""

    def _close_and_say(self):
        self._close()
        self._say("OK")

    def _clock(self):
        self._say(time.strftime('+CCLK: "%y/%m/%d,%H:%M:%S+00"', time.gmtime()))
        self._say("OK")


COMMANDS = [
    (r'AT\+OPEN="([^"]+)",(\d+),([01])', Modem._open),
    (r"AT\+SEND=(\d+)", Modem._send),
    (r"AT\+READ=(\d+)", Modem._read),
    (r"AT\+CLOSE", Modem._close_and_say),
    (r"AT\+CCLK\?", Modem._clock),
]


def main():
    parser = argparse.ArgumentParser(description="A modem for emulated boards.")
    parser.add_argument("--ca", required=True, metavar="FILE")
    parser.add_argument("socket", metavar="SOCKET")
    options = parser.parse_args()
    with socket.create_server(options.socket, family=socket.AF_UNIX) as server:
        print("ready", flush=True)
        line, _ = server.accept()
    with line:
        try:
            Modem(line, options.ca).run()
        except ConnectionError:
            pass  # the device was switched off
    return 0


if __name__ == "__main__":
    sys.exit(main())
