"""Limits that take more than one dialogue to see: pace, connections, memory, clients that do not read."""

import gc
import smtplib
import socket
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest

from tests.contract.smtp.harness import HOST, LOOPS, Running, door
from tests.support.processes import wait_until

each_loop = pytest.mark.parametrize("loop", LOOPS)
BEGIN = b"EHLO a\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n"


@contextmanager
def connected(running: Running) -> Iterator[socket.socket]:
    with socket.create_connection((HOST, running.port), timeout=60) as raw:
        yield raw


def until(raw: socket.socket, wanted: bytes) -> bytes:
    received = b""
    while wanted not in received:
        chunk = raw.recv(65536)
        assert chunk, received
        received += chunk
    return received


def rest(raw: socket.socket) -> bytes:
    received = b""
    try:
        while chunk := raw.recv(65536):
            received += chunk
    except ConnectionError:
        pass
    return received


@each_loop
def test_transfer_that_goes_on_is_not_cut(loop: str) -> None:
    """A mail that takes far longer than data_timeout, but keeps coming, is taken whole."""
    with door(loop=loop, data_timeout="1500ms", min_data_rate=10) as running:
        with connected(running) as raw:
            raw.sendall(BEGIN)
            until(raw, b"354")
            for _ in range(30):
                raw.sendall(b"x" * 20 + b"\r\n")
                time.sleep(0.1)  # the client's pace is what is tested
            raw.sendall(b".\r\n")
            until(raw, b"250 2.0.0 Ok: queued")
        (_, content), *_ = running.got
    assert content == (b"x" * 20 + b"\r\n") * 30


@each_loop
def test_what_a_client_sent_that_is_gone_takes_no_memory(loop: str) -> None:
    """At once: it does not wait until the collector looks at the connections that are over."""
    before = 0
    with door(loop=loop) as running, without_collector():
        for number in range(20):
            with connected(running) as raw:
                raw.sendall(BEGIN)
                until(raw, b"354")
                raw.sendall((b"x" * 98 + b"\r\n") * 20_000)
            wait_until(lambda: running.metric("qboxrelay_smtp_sessions_open", listener="smtp") == 0)
            if number == 0:
                before = tracemalloc.get_traced_memory()[0]
        assert tracemalloc.get_traced_memory()[0] - before < 10_000_000, "less than five of nineteen contents"


@contextmanager
def without_collector() -> Iterator[None]:
    """Only counting references frees what is freed; what is in use is counted."""
    gc.disable()
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()
        gc.enable()


@each_loop
def test_refused_chunk_that_goes_on_is_not_cut(loop: str) -> None:
    """A chunk that is read for nothing has its pace, too: the client hears why it was refused, not that it was slow."""
    with door(loop=loop, data_timeout="1500ms", min_data_rate=10) as running, connected(running) as raw:
        raw.sendall(b"EHLO a\r\nBDAT 600 LAST\r\n")
        for _ in range(30):
            raw.sendall(b"x" * 20)
            time.sleep(0.1)  # the client's pace is what is tested
        assert b"503 5.5.1 Send MAIL first" in until(raw, b"503 5.5.1 Send MAIL first\r\n")
        raw.sendall(b"NOOP\r\n")
        until(raw, b"250 2.0.0 Ok\r\n")


@each_loop
def test_transfer_that_drips_is_cut(loop: str) -> None:
    """A byte now and then does not keep a connection for ever."""
    with door(loop=loop, data_timeout="500ms", min_data_rate=1000) as running:
        with connected(running) as raw:
            raw.sendall(BEGIN)
            until(raw, b"354")
            raw.settimeout(0.05)
            received = b""
            while b"421" not in received:
                raw.sendall(b"x")
                try:
                    received += raw.recv(1000)
                except TimeoutError:
                    continue
        assert b"421 4.4.2 The mail arrives too slowly" in received
        assert running.metric("qboxrelay_smtp_limited_total", limit="data_timeout") == 1
        assert not running.got


@each_loop
def test_connections_in_all(loop: str) -> None:
    """The one too many is told so; when another one leaves there is room."""
    with door(loop=loop, max_connections=2, max_connections_per_client=0) as running, ExitStack() as stack:
        first, _ = (stack.enter_context(smtplib.SMTP(HOST, running.port, timeout=60)) for _ in range(2))
        with connected(running) as third:
            assert rest(third).startswith(b"421 4.3.2 Too many connections")
        assert running.metric("qboxrelay_smtp_limited_total", limit="max_connections") == 1
        first.quit()
        wait_until(lambda: running.metric("qboxrelay_smtp_sessions_open", listener="smtp") == 1)
        with connected(running) as fourth:
            until(fourth, b"220")


@each_loop
def test_connections_of_one_client(loop: str) -> None:
    """One address cannot take all of them."""
    with door(loop=loop, max_connections_per_client=1) as running:
        with connected(running) as first:
            until(first, b"220")
            with connected(running) as second:
                assert rest(second).startswith(b"421 4.7.0 Too many connections from your address")
            assert running.metric("qboxrelay_smtp_limited_total", limit="max_connections_per_client") == 1
            with socket.create_connection((HOST, running.port), timeout=60, source_address=("127.0.0.9", 0)) as other:
                until(other, b"220")
        wait_until(lambda: running.metric("qboxrelay_smtp_sessions_open", listener="smtp") == 0)
        with connected(running) as again:
            until(again, b"220")


@each_loop
def test_memory_over_all_connections(loop: str) -> None:
    """What several clients send together is bounded; the one above it is told to come back, and the others are taken."""
    with door(loop=loop, memory=1_000_000) as running, ExitStack() as stack:
        begun = [stack.enter_context(connected(running)) for _ in range(3)]
        for raw in begun:
            raw.sendall(BEGIN)
            until(raw, b"354")
        for raw in begun[:2]:
            raw.sendall((b"x" * 98 + b"\r\n") * 4000)
        wait_until(lambda: running.memory.used >= 800_000, what="two contents are in memory")
        with suppress(ConnectionError):  # told and cut off before it has sent all
            begun[2].sendall((b"x" * 98 + b"\r\n") * 4000)
        assert rest(begun[2]).startswith(b"452 4.3.1")
        for raw in begun[:2]:
            raw.sendall(b".\r\n")
            until(raw, b"250 2.0.0 Ok: queued")
        assert running.metric("qboxrelay_smtp_limited_total", limit="max_receiving_bytes") == 1
        wait_until(lambda: running.memory.used == 0, what="nothing is left in memory")
        assert [len(content) for _, content in running.got] == [400_000, 400_000]


@each_loop
def test_memory_of_a_client_that_vanishes_comes_back(loop: str) -> None:
    """In the middle of DATA, and between two chunks of BDAT."""
    with door(loop=loop, memory=1_000_000) as running:
        for begin, go_on in ((BEGIN, b"x" * 1000), (BEGIN.replace(b"DATA", b"BDAT 1000"), b"y" * 1000)):
            with connected(running) as raw:
                raw.sendall(begin + go_on)
                wait_until(lambda: running.memory.used > 0, what="the content is in memory")
            wait_until(lambda: running.memory.used == 0, what="nothing is left in memory")
        assert not running.got


@each_loop
def test_client_that_never_reads(loop: str) -> None:
    """Replies that nobody takes are not heaped up, and the connection ends with its time limit, read or not."""
    with door(loop=loop, idle_timeout="300ms", command_timeout="300ms") as running:
        with socket.socket() as raw:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            raw.settimeout(1)
            raw.connect((HOST, running.port))
            try:
                for _ in range(2000):
                    raw.sendall(b"EHLO someone\r\n" * 1000)
            except (TimeoutError, ConnectionError):
                pass
            wait_until(lambda: running.metric("qboxrelay_smtp_sessions_open", listener="smtp") == 0)
        with connected(running) as other:
            until(other, b"220")


@each_loop
def test_client_that_sends_mails_and_never_reads(loop: str) -> None:
    """Mails take time and clear the clock for it; a client that then reads no answer is cut all the same."""
    mails = (BEGIN.replace(b"EHLO a\r\n", b"").replace(b"DATA\r\n", b"BDAT 2 LAST\r\n") + b"hi") * 200
    with door(loop=loop, idle_timeout="300ms", command_timeout="300ms") as running, socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.settimeout(1)
        raw.connect((HOST, running.port))
        try:
            for _ in range(1000):
                raw.sendall(mails)
        except (TimeoutError, ConnectionError):
            pass
        else:
            pytest.fail("the relay took everything and heaped up its answers")
        wait_until(lambda: running.metric("qboxrelay_smtp_sessions_open", listener="smtp") == 0)


@each_loop
def test_commands_that_come_in_halves(loop: str) -> None:
    """Each command has its own time, also when every packet ends one and begins the next."""
    with door(loop=loop, command_timeout="2s") as running, connected(running) as raw:
        until(raw, b"220")
        raw.sendall(b"NO")
        end = time.monotonic() + 5
        while time.monotonic() < end:
            raw.sendall(b"OP\r\nNO")
            until(raw, b"250 2.0.0 Ok\r\n")
            time.sleep(0.01)  # the client's pace is what is tested


@each_loop
def test_flood_of_commands_does_not_keep_others_waiting(loop: str) -> None:
    """A hundred thousand commands in one write: another client is served in between, and each is answered."""
    with door(loop=loop) as running, connected(running) as flood:
        flood.sendall(b"NOOP\r\n" * 5000)
        with smtplib.SMTP(HOST, running.port, timeout=60) as client:
            assert client.noop()[0] == 250
        received = b""
        while received.count(b"\n") < 5001:
            received += flood.recv(65536)
        assert received.count(b"250 2.0.0 Ok\r\n") == 5000


@each_loop
def test_lines_without_an_end(loop: str) -> None:
    """A command of a hundred megabytes is refused with a few kilobytes of memory, a content of it with the limit's."""
    with door(loop=loop, max_message_bytes=1_000_000) as running:
        with connected(running) as raw:
            for _ in range(100):
                raw.sendall(b"x" * 100_000)
            raw.sendall(b"\r\nNOOP\r\n")
            answers = until(raw, b"250 2.0.0 Ok")
        assert b"500 5.5.2 Command line too long" in answers
        with connected(running) as raw:
            raw.sendall(BEGIN)
            until(raw, b"354")
            try:
                for _ in range(100):
                    raw.sendall(b"x" * 100_000)
            except ConnectionError:
                pass
            assert b"552 5.3.4" in rest(raw)
        wait_until(lambda: running.memory.used == 0, what="nothing is left in memory")
