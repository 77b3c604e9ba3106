"""A spool in a process of its own, to be killed, limited or tampered with: `python -m tests.unit.spool.child DIRECTORY ACTION…`.

In: actions, in order. Out: a line for each on standard output. Never: a test's assertion.
"""

import asyncio
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from qboxrelay.model.clock import SystemClock
from qboxrelay.settings.schema import SpoolSettings
from qboxrelay.spool.port import SpoolError
from qboxrelay.spool.sqlite import SqliteSpool
from tests.contract.spool.harness import mail

_tracers: list[subprocess.Popen[bytes]] = []


async def act(spool: SqliteSpool, action: str) -> object:
    """`put:NAME`, `large:NAME` (10 MB), `claim`, `count`, `wait`, and the faults below."""
    verb, _, word = action.partition(":")
    match verb:
        case "put":
            await spool.put([mail(word)])
        case "large":
            await spool.put([mail(word, payload=b"x" * 10_000_000)])
        case "claim":
            return await spool.claim("default", max_messages=9, max_bytes=9, lease=timedelta(minutes=5)) is not None
        case "count":
            return sum((await spool.depth()).messages.values())
        case "wait":
            await asyncio.sleep(600)
        case _:
            return FAULTS[verb](word)
    return None


def limit(size: str) -> None:
    """No file may grow beyond so many bytes; none: the limit is lifted."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(size) if size else hard, hard))


def inject(fault: str) -> str:
    """Let calls of the system fail in the writer's thread, as `strace --inject` is told."""
    (writer,) = [thread.native_id for thread in threading.enumerate() if thread.name == "spool-writer"]
    command = ["strace", "-p", str(writer), "-e", f"inject={fault}"]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE)
    assert tracer.stderr is not None
    _tracers.append(tracer)
    return tracer.stderr.readline().decode().strip()


def heal(_: str) -> None:
    tracer = _tracers.pop()
    tracer.send_signal(signal.SIGINT)
    tracer.communicate()


def die(_: str) -> None:
    for tracer in _tracers:
        tracer.kill()
    os.kill(os.getpid(), signal.SIGKILL)


FAULTS: dict[str, Callable[[str], object]] = {"limit": limit, "inject": inject, "heal": heal, "die": die}


async def main(directory: Path, actions: list[str]) -> None:
    settings = SpoolSettings.model_validate({"min_free_bytes": 0})
    try:
        spool = await SqliteSpool.open(directory / "spool.db", settings=settings, clock=SystemClock())
    except SpoolError as error:
        print(f"open {type(error).__name__} {error}", flush=True)
        return
    print("open", flush=True)
    for action in actions:
        try:
            print(action, await act(spool, action), flush=True)
        except SpoolError as error:
            print(action, type(error).__name__, error, flush=True)
    await spool.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2:]))
