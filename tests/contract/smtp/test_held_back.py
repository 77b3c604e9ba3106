"""A client that was held back because it sent faster than it was read is heard again, whatever ended its content."""

import socket

import pytest

from tests.contract.smtp.harness import HOST, LOOPS, door
from tests.contract.smtp.test_limits import BEGIN, until

each_loop = pytest.mark.parametrize("loop", LOOPS)
_BYTES = 600_000
"""Several times what may wait to be read."""


@each_loop
@pytest.mark.parametrize("by_chunks", [False, True])
def test_the_command_behind_a_large_content_is_read(loop: str, *, by_chunks: bool) -> None:
    """Mail after mail on one connection, by DATA and by BDAT; then QUIT."""
    lines = b"x" * 78 + b"\r\n"
    content = lines * (_BYTES // len(lines))
    with door(loop=loop) as running:
        with socket.create_connection((HOST, running.port), timeout=60) as raw:
            until(raw, b"220 ")
            for _ in range(10):
                if by_chunks:
                    raw.sendall(BEGIN.removesuffix(b"DATA\r\n") + b"BDAT %d LAST\r\n" % len(content) + content)
                else:
                    raw.sendall(BEGIN)
                    until(raw, b"354")
                    raw.sendall(content + b".\r\n")
                until(raw, b"250 2.0.0 Ok: queued")
            raw.sendall(b"QUIT\r\n")
            until(raw, b"221 ")
        assert [len(whole) for _, whole in running.got] == [len(content)] * 10
