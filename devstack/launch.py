"""Become the given program, as another user if asked, tied to the life of the process that started
it.

Run by path with the bare interpreter, so it imports the standard library only. Belongs here: what
has to happen between fork and exec. Does not: anything that outlives exec.

usage: launch.py SIGNAL USER PROGRAM ARGUMENT…   (USER "-" keeps the user)
"""

import ctypes
import os
import pwd
import signal
import sys

PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAPABILITY_VERSION_3 = 0x20080522
CAP_DAC_OVERRIDE = 1


class Header(ctypes.Structure):
    """struct __user_cap_header_struct."""

    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class Data(ctypes.Structure):
    """struct __user_cap_data_struct."""

    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def become(name: str) -> None:
    """Drop root for user `name`, keeping only the right to pass folders that are closed to others.

    The programs and the data folder may lie below a folder that only root may enter (a home, a
    mkdtemp); that is no reason to open it to everybody. Where the capability cannot be kept, the
    program itself says what it could not read.
    """
    entry = pwd.getpwnam(name)
    linux = sys.platform == "linux"
    libc = ctypes.CDLL(None, use_errno=True)
    if linux:
        libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
    if linux:
        header, data = Header(CAPABILITY_VERSION_3, 0), (Data * 2)()
        bit = 1 << CAP_DAC_OVERRIDE
        data[0] = Data(bit, bit, bit)
        libc.capset(ctypes.byref(header), ctypes.byref(data))
        libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0)
    os.environ["HOME"] = "/"
    os.environ["USER"] = os.environ["LOGNAME"] = name


def tie_to_parent(number: int, parent: int) -> None:
    """Get signal `number` when the parent dies. After become(): changing users clears it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:
            raise SystemExit("the process that started this one is gone")


def main() -> None:
    parent = os.getppid()
    number, user, *command = sys.argv[1:]
    if user != "-":
        become(user)
    tie_to_parent(int(number), parent)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.execvp(command[0], command)  # noqa: S606 - the command comes from our own supervisor, no shell


if __name__ == "__main__":
    main()
