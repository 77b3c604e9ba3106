"""`python -m qboxrelay.cli.worker`: the process of a worker, started by the relay with sockets that it inherits. Nobody else has a use for it.

In: its number, the descriptors of the channel, of the door, of the board. Out: exit status 0 when main has let it go, or is gone itself. Never:
an end by a signal that goes to the whole group, such as Ctrl-C or systemd's: main says when.
"""

import asyncio
import os
import signal
import socket
import sys

from qboxrelay.cli.process import STOP_SIGNALS, prepare


def main(arguments: list[str]) -> None:
    """`NUMBER CHANNEL DOOR BOARD`."""
    prepare([])
    for number in (*STOP_SIGNALS, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    from qboxrelay.cli.relay import UNUSED
    from qboxrelay.memory import collect_rarely, keep_large_apart, left_out

    with left_out(*UNUSED):
        from qboxrelay.cli.daemon import quiet_without_descriptors
        from qboxrelay.cli.event_loop import RelayLoop
        from qboxrelay.descriptors import raise_limit
        from qboxrelay.model.clock import SystemClock
        from qboxrelay.workers.board import Board
        from qboxrelay.workers.worker import Worker

    own, channel, door, board = map(int, arguments)

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(quiet_without_descriptors)
        worker = Worker(
            number=own,
            door=socket.socket(fileno=door),
            board=Board(board),
            clock=SystemClock(),
            break_off=lambda: os._exit(os.EX_UNAVAILABLE),
        )
        await worker.run(socket.socket(fileno=channel))

    raise_limit()
    keep_large_apart()
    collect_rarely()
    with asyncio.Runner(loop_factory=RelayLoop) as runner:
        runner.run(run())


if __name__ == "__main__":
    main(sys.argv[1:])
