"""Starts one server of the stack so that it dies with its parent, and never runs PostgreSQL as root.

Run as a script by the plain interpreter (`python -I -S launch.py …`), it prepares the process and then replaces itself by the command,
so the pid stays the server's own. It imports only the standard library, and nothing of this package.
"""

import argparse
import contextlib
import ctypes
import os
import select
import signal
import sys

PR_SET_PDEATHSIG = 1
PR_SET_SECUREBITS = 28
SECBIT_NO_SETUID_FIXUP = 1 << 2
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CLONE_NEWUSER = 0x10000000
CAPABILITY_VERSION_3 = 0x20080522
CAP_DAC_OVERRIDE = 1
MAPPED_ID = 1000
MAPPED = "mapped"


def main() -> None:
    """Prepare this process as the options say and become the command."""
    options = _options()
    os.umask(0o077)
    if options.identity == MAPPED:
        map_root_to_user()
    elif options.identity is not None:
        become(int(options.identity))
    # After the change of identity, which would clear it.
    die_with_parent(options.parent, signal.Signals[options.death_signal])
    if options.directory is not None:
        os.chdir(options.directory)
    os.execv(options.command[0], options.command)  # noqa: S606 - a shell would only stand between


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="launch.py")
    parser.add_argument("--parent", type=int, required=True, help="pid of the process that must outlive this one")
    parser.add_argument("--death-signal", default="SIGKILL", help="what this process gets when its parent dies")
    parser.add_argument("--identity", help=f"{MAPPED!r}, or the number of the user to become with root's file access")
    parser.add_argument("--directory", help="working directory")
    parser.add_argument("command", nargs="+")
    return parser.parse_args()


def map_root_to_user() -> None:
    """Enter a user namespace in which this process is an ordinary user; outside it keeps its id and owns its files.

    Raises OSError where the kernel gives no user namespaces.
    """
    user, group = os.geteuid(), os.getegid()
    libc = _libc()
    if libc.unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "no user namespace")
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{MAPPED_ID} {user} 1")
    _write("/proc/self/gid_map", f"{MAPPED_ID} {group} 1")


def become(user: int) -> None:
    """Become the user with this number, keeping from root only the right to reach and write files below a closed folder.

    Raises OSError where this process isn't root or lacks the capabilities.
    """
    libc = _libc()
    # Without it the change of user drops the capabilities, and access(2), which initdb asks, goes on ignoring them.
    _check(libc.prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0), "keep capabilities")
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    kept = 1 << CAP_DAC_OVERRIDE
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)(kept, kept, kept, 0, 0, 0)
    _check(libc.capset(header, data), "set capabilities")
    _check(libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0), "keep capabilities through exec")


def die_with_parent(parent: int, death_signal: signal.Signals) -> None:
    """Have the kernel send `death_signal` to this process when its parent ends; where the kernel can't, leave a guard that does."""
    libc = _libc()
    if hasattr(libc, "prctl"):
        _check(libc.prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0), "die with the parent")
    else:
        leave_guard(parent, death_signal)
    if os.getppid() != parent:
        sys.exit("launch.py: the parent is gone")


def leave_guard(parent: int, death_signal: signal.Signals) -> None:
    """Fork a process that signals this one once `parent` is gone, and ends when this one has ended."""
    guarded = os.getpid()
    if os.fork() != 0:
        return
    os.closerange(0, 256)
    while os.getppid() == guarded:
        if not _exists(parent):
            with contextlib.suppress(ProcessLookupError):
                os.kill(guarded, death_signal)
            break
        select.select([], [], [], 0.5)
    os._exit(0)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), f"cannot {what}")


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:  # noqa: PTH123 - pathlib costs a third of this script's start
        file.write(text)


if __name__ == "__main__":
    main()
