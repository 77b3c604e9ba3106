"""Whatever a client sends, in whatever pieces: replies that are SMTP, no surprise inside, nothing taken that was not ended, nothing left."""

import re
import socket
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.smtp.harness import HOST, LOOPS, Running, door
from tests.support.processes import wait_until

LINES = [
    b"EHLO client\r\n",
    b"HELO\r\n",
    b"MAIL FROM:<a@example.com>\r\n",
    b"MAIL FROM:<> SIZE=100\r\n",
    b"RCPT TO:<b@example.net>\r\n",
    b"RCPT TO:<>\r\n",
    b"DATA\r\n",
    b"Subject: x\r\n\r\nhello\r\n",
    b".\r\n",
    b"\r\n.\r\n",
    b"..\r\n",
    b"\n.\n",
    b"\n.\r\n",
    b"\r\n.\n",
    b"\r.\r",
    b"BDAT 5\r\n",
    b"BDAT 5 LAST\r\n",
    b"BDAT 0 LAST\r\n",
    b"BDAT -1\r\n",
    b"hello",
    b"RSET\r\n",
    b"NOOP x\r\n",
    b"VRFY a\r\n",
    b"STARTTLS\r\n",
    b"AUTH PLAIN AGEAYg==\r\n",
    b"AUTH LOGIN\r\n",
    b"\x00\xff\xfe\r\n",
    b"x" * 5000 + b"\r\n",
    b"QUIT\r\n",
]
REPLY = re.compile(rb"[2-5][0-9][0-9][ -][\x20-\x7e]*")


@pytest.fixture(scope="module", params=LOOPS)
def running(request: pytest.FixtureRequest) -> Iterator[Running]:
    with door(loop=request.param, max_message_bytes=2000, max_bad_commands=100) as found:
        yield found


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    pieces=st.lists(st.one_of(st.sampled_from(LINES), st.binary(max_size=30)), max_size=25),
    cuts=st.lists(st.integers(1, 60), max_size=20),
)
def test_any_dialogue(running: Running, pieces: list[bytes], cuts: list[int]) -> None:
    """The connection ends when the client's does; every line of the server is a reply, and none speaks of an internal error."""
    wire = b"".join(pieces)
    taken = len(running.got)
    with socket.create_connection((HOST, running.port), timeout=60) as raw:
        received, whole = _talk(raw, wire, cuts)
    lines = received.split(b"\r\n")
    assert lines.pop() == b"", received
    assert all(REPLY.fullmatch(line) for line in lines), lines
    assert not any(line.startswith(b"451") for line in lines), lines
    queued = sum(line.startswith(b"250 2.0.0 Ok: queued") for line in lines)
    # A client that is cut off while it sends may not get to read the last replies.
    assert len(running.got) - taken == queued or (not whole and len(running.got) - taken > queued)
    wait_until(lambda: running.memory.used == 0, what="nothing is left in memory")


def _talk(raw: socket.socket, wire: bytes, cuts: list[int]) -> tuple[bytes, bool]:
    """What the server said, and whether that was all of it."""
    received = b""
    try:
        for size in cuts:
            raw.sendall(wire[:size])
            wire = wire[size:]
            time.sleep(0.0005)  # so that the pieces arrive as pieces
        raw.sendall(wire)
        raw.shutdown(socket.SHUT_WR)
    except OSError:
        return b"", False
    try:
        while chunk := raw.recv(65536):
            received += chunk
    except ConnectionError:
        return received[: received.rfind(b"\n") + 1], False
    return received, True
