"""What the Python sides of `make interop` have in common: the modes of device.c.

A side is a class whose objects have acquire() (waits), try_once() (whether it was had), release(),
is_held(), and perhaps look(), which returns a line.
"""

import os
import socket
import sys
import time

POLL_SECONDS = 0.02


def values():
    return dict(word.split("=", 1) for word in sys.argv[2:])


def work(side, given):
    with socket.create_connection(("127.0.0.1", int(given["witness"]))) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        witness = connection.makefile("rw")

        def tell(line):
            print(line, file=witness, flush=True)
            return witness.readline().strip() if line[0] in "el" else None

        print(given["name"], os.getpid(), file=witness, flush=True)
        answer = "on"
        while answer != "stop":
            side.acquire()
            counter, milliseconds = map(int, tell("enter 0").split())
            time.sleep(milliseconds / 1000)
            answer = tell(f"leave {counter + 1}" if side.is_held() else "lost 0")
            side.release()
            time.sleep(int(given.get("pause", 60)) / 1000)


def hold(side):
    side.acquire()
    print("held 0", flush=True)
    sys.stdin.readline()
    side.release()
    print("released", flush=True)


def try_once(side):
    if not side.try_once():
        print("busy")
        return
    print("held 0")
    side.release()


def run(side, given):
    if sys.argv[1] == "work":
        work(side, given)
    elif sys.argv[1] == "hold":
        hold(side)
    elif sys.argv[1] == "try":
        try_once(side)
    else:
        print(side.look())
