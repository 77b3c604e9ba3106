"""Runs `tests.unit.spool.child`."""

import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CHILD = [sys.executable, "-m", "tests.unit.spool.child"]


def run_child(directory: Path, *actions: str, limit: int | None = None) -> list[str]:
    """Its output, a line an action; it may have been killed. `limit`: no file may grow beyond so many bytes, from the start on."""

    def narrow() -> None:
        if limit is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = subprocess.run(
        [*_CHILD, str(directory), *actions],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        preexec_fn=narrow,
    )
    lines = done.stdout.splitlines()
    assert lines, done.stderr
    return lines


@contextmanager
def running_child(directory: Path, *actions: str) -> Iterator[subprocess.Popen[str]]:
    """A child that has opened the spool and done all actions; killed with signal 9 at the end."""
    with subprocess.Popen([*_CHILD, str(directory), *actions, "wait"], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        try:
            assert child.stdout.readline() == "open\n"
            for _ in actions:
                assert child.stdout.readline()
            yield child
        finally:
            child.kill()
