#!/usr/bin/env -S python3 -I
"""Debian's Chromium, kept from knowing what becomes of the machine's networks.

Beside tests with Engines of their own, interfaces come and go. Chromium then breaks off what it is
loading (ERR_NETWORK_CHANGED), though loopback stays as it was. Nothing switches that off, so this
file is also a program: it becomes a Chromium to which the kernel gives no netlink socket, and
without one Chromium takes the network to be always there.
"""

import ctypes
import os
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PROGRAM = "/usr/bin/chromium"
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
QUIET += ["--disable-component-update", "--disable-sync"]
# The number of the system call `socket`, by machine.
SOCKET = {"x86_64": 41, "aarch64": 198}
NETLINK, NOT_SUPPORTED = 16, 97
# From linux/bpf_common.h, seccomp.h and prctl.h.
LOAD_WORD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | NOT_SUPPORTED
CALL, FIRST_ARGUMENT = 0, 16
SET_SECCOMP, SET_NO_NEW_PRIVILEGES, FILTER = 22, 38, 2


@contextmanager
def chromium() -> Iterator["Browser"]:
    """Start it, and end it before other tests use the database."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        program = playwright.chromium.launch(executable_path=__file__, args=QUIET)
        yield program
        program.close()


class Filter(ctypes.Structure):
    """A filter of system calls, as the kernel takes it."""

    _fields_ = [("length", ctypes.c_ushort), ("steps", ctypes.c_void_p)]


def refuse_netlink(socket: int) -> None:
    """Let this process and all that it starts get no netlink socket."""
    steps = [
        (LOAD_WORD, 0, 0, CALL),
        (JUMP_IF_EQUAL, 0, 3, socket),
        (LOAD_WORD, 0, 0, FIRST_ARGUMENT),
        (JUMP_IF_EQUAL, 0, 1, NETLINK),
        (RETURN, 0, 0, REFUSE),
        (RETURN, 0, 0, ALLOW),
    ]
    packed = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    wanted = Filter(len(steps), ctypes.addressof(packed))
    control = ctypes.CDLL(None).prctl
    if control(SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0) or control(
        SET_SECCOMP, FILTER, ctypes.byref(wanted), 0, 0
    ):
        sys.exit("The kernel takes no filter of system calls.")


if __name__ == "__main__":
    if number := SOCKET.get(os.uname().machine):
        refuse_netlink(number)
    os.execv(PROGRAM, [PROGRAM, *sys.argv[1:]])
