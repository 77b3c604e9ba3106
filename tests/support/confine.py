"""Run a command under a unit's system call filter and W^X rule, as far as a process can impose them on itself: systemd need not run.

In: the unit's file, a command. Out: the command in this process's place. Never: the relay's own code. Users, capabilities and mounts are
for who calls this (setpriv, unshare).
"""

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

_ALLOW, _EPERM = 0x7FFF0000, 0x00050001
_SET_MDWE, _REFUSE_EXEC_GAIN = 65, 1


def main() -> None:
    unit, *command = sys.argv[1:]
    lines = Path(unit).read_text().splitlines()
    allowed = set(_allowed(lines))
    if "MemoryDenyWriteExecute=yes" in lines:
        # Linux 6.3; older kernels say EINVAL and go without.
        ctypes.CDLL(None).prctl(_SET_MDWE, _REFUSE_EXEC_GAIN, 0, 0, 0)
    seccomp = ctypes.CDLL("libseccomp.so.2")
    seccomp.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(seccomp.seccomp_init(_EPERM))
    for name in allowed:
        number = seccomp.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:
            seccomp.seccomp_rule_add(context, _ALLOW, number, 0)
    # Without CAP_SYS_ADMIN this needs no-new-privileges, which libseccomp sets.
    assert seccomp.seccomp_load(context) == 0
    os.execvp(command[0], command)


def _allowed(lines: list[str]) -> Iterator[str]:
    wanted: set[str] = set()
    for line in lines:
        key, _, value = line.partition("=")
        if key == "SystemCallFilter" and value.startswith("~"):
            wanted -= {call for group in value[1:].split() for call in _calls(group)}
        elif key == "SystemCallFilter":
            wanted |= {call for group in value.split() for call in _calls(group)}
    # systemd always allows what its own exec needs.
    yield from wanted | {"execve", "exit", "exit_group", "getrlimit", "rt_sigreturn", "sigreturn"}


def _calls(group: str) -> Iterator[str]:
    """The calls of a group such as @system-service, as the installed systemd has them."""
    if not group.startswith("@"):
        yield group
        return
    run = subprocess.run(["systemd-analyze", "syscall-filter", group], capture_output=True, text=True, check=True)
    for line in run.stdout.splitlines()[1:]:
        word = line.strip()
        if word and not word.startswith("#"):
            yield from _calls(word)


if __name__ == "__main__":
    main()
