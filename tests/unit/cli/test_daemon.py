"""What the daemon says of errors."""

import asyncio
import errno
import os
import socket
from typing import Any

import pytest

from qboxrelay.cli.daemon import in_words, quiet_without_descriptors
from qboxrelay.spool.port import SpoolError


def test_errors_of_the_system_are_told_without_numbers() -> None:
    """People read the words; the address that Python adds to them stands in the line already."""
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(OSError, match=r"attempting to bind") as refused,
    ):
        socket.create_server(taken.getsockname())

    assert in_words(refused.value) == os.strerror(errno.EADDRINUSE)
    assert in_words(FileNotFoundError(errno.ENOENT, "No such file or directory", "a.pem")) == (
        "a.pem: No such file or directory"
    )
    assert in_words(OSError("only words")) == "only words"
    assert in_words(SpoolError("the spool is in use")) == "the spool is in use"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.EMFILE, "Too many open files"), False),
        (OSError(errno.ENFILE, "File table overflow"), False),
        (OSError(errno.EPIPE, "Broken pipe"), True),
        (ValueError("a surprise"), True),
        (None, True),
    ],
)
def test_accept_without_descriptors_is_left_to_the_watch(error: Exception | None, *, told: bool) -> None:
    """asyncio would say it each second for each listener; everything else is said as ever."""

    class Loop(asyncio.SelectorEventLoop):
        said = False

        def default_exception_handler(self, context: dict[str, Any]) -> None:
            self.said = True

    loop = Loop()
    quiet_without_descriptors(loop, {"message": "m"} if error is None else {"message": "m", "exception": error})
    loop.close()

    assert loop.said is told
