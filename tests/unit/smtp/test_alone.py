"""A chunk that is one line or one content goes a shorter way than one that is neither: what comes of both is the same."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from qboxrelay.model.clock import SystemClock
from qboxrelay.model.envelope import Envelope
from qboxrelay.model.reply import Reply
from qboxrelay.settings.schema import ListenerSettings
from qboxrelay.smtp.content import ContentReader, TooLarge, whole_content
from qboxrelay.smtp.limits import Memory
from qboxrelay.smtp.listener import House, SmtpListener
from qboxrelay.smtp.pace import Pace
from qboxrelay.smtp.paths import Path, PathError, read_path
from qboxrelay.smtp.reader import Reader
from qboxrelay.smtp.session import Session
from qboxrelay.smtp.wirelog import WireLog
from qboxrelay.telemetry.metrics_smtp import SmtpMetrics
from tests.contract.smtp.harness import Recording

PIECES = [b"\r\n", b"\n", b"\r", b".", b"..", b"a", b"x" * 30, b".\r\n", b"\r\n.\r\n", b"\n.\r\n", b"\r\n..\r\n"]
TURNS = 20
"""Of the event loop, more than a mail takes without a disk."""
SAID = [
    b"EHLO client\r\n",
    b"HELO other\r\n",
    b"MAIL FROM:<a@example.com>\r\n",
    b"MAIL FROM:<a@example.com> SIZE=100 BODY=8BITMIME\r\n",
    b"MAIL FROM:<a@example.com> SIZE=100000\r\n",
    b"MAIL FROM:<> X\r\n",
    b"RCPT TO:<b@example.net>\r\n",
    b"RCPT TO:<c@example.net> NOTIFY=NEVER\r\n",
    b"RCPT TO:b\r\n",
    b"DATA\r\n",
    b"DATA now\r\n",
    b"Subject: x\r\n\r\nhello\r\n.\r\n",
    b"Subject: x\r\n\r\n..hello\r\n.\r\n",
    b"Subject: x\r\n\r\nbare\nline\r\n.\r\n",
    b".\r\n",
    b"\r\n.\r\n",
    b"y" * 300 + b"\r\n.\r\n",
    b"z" * 1500 + b"\r\n.\r\n",
    b"BDAT 5 LAST\r\nhello",
    b"RSET\r\n",
    b"NOOP\r\n",
    b"noop\n",
    b"nonsense\r\n",
    b"x" * 600 + b"\r\n",
    b"\r\n",
]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join), st.booleans())
def test_whole_content_is_what_the_reader_finds(data: bytes, ended: bool) -> None:
    """Where the short look finds a content, the long one finds the same, with nothing to refuse and nothing behind it."""
    data += b"\r\n.\r\n" if ended else b""
    found = whole_content(data, 90, 40)
    if found is None:
        return
    buffer = bytearray(b"\r\n" + data)
    content = ContentReader(90, 40).take(buffer)

    assert content is not None
    assert (b"".join(content.parts), content.bare_line_feeds, content.line_too_long) == (found, False, False)
    assert not buffer


def test_a_plain_content_is_found_at_once() -> None:
    """The short look sees what is usual; what is at a limit is taken by both, what is over it is left to the long one."""
    assert whole_content(b"Subject: x\r\n\r\nhello\r\n.\r\n", 100, 100) == b"Subject: x\r\n\r\nhello\r\n"
    assert whole_content(b"x" * 98 + b"\r\n.\r\n", 100, 100) == b"x" * 98 + b"\r\n"
    assert whole_content(b"x" * 99 + b"\r\n.\r\n", 100, 200) is None
    with pytest.raises(TooLarge):
        ContentReader(100, 200).take(bytearray(b"\r\n" + b"x" * 99 + b"\r\n.\r\n"))


@given(st.lists(st.sampled_from([b"NOOP", b" x", *PIECES]), max_size=8).map(b"".join))
def test_only_line_is_what_take_line_finds(data: bytes) -> None:
    """Where the short look finds a line, the long one finds the same, and nothing behind it."""
    loop = asyncio.new_event_loop()
    try:
        reader = Reader(loop, Pace())
        line = reader.only_line(data)
        reader.feed(data)
        if line is not None:
            assert reader.take_line(4096) == line
            assert not reader.begun
            assert reader.only_line(b"NOOP\r\n") == b"NOOP"
        elif reader.begun:
            assert reader.only_line(b"NOOP\r\n") is None
    finally:
        loop.close()


@given(
    st.text('ab.-+_@"<> :\\é\x00', max_size=12),
    st.text("ab.-_@[]1> é", max_size=12),
    st.sampled_from(["", " SIZE=1", " size=1 BODY=8BITMIME", "SIZE=1", " ", "\tX=\udcff", " A=<b@c.example>", "\n"]),
)
def test_usual_paths_are_read_like_all_others(local: str, domain: str, rest: str) -> None:
    """A blank behind the colon leaves the short way, and changes nothing."""

    def read(argument: str) -> Path | str:
        try:
            return read_path("FROM", argument)
        except PathError as error:
            return str(error)

    path = f"<{local}@{domain}>{rest}"

    assert read(f"FROM:{path}") == read(f"FROM: {path}")


class Wire(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 40000)})
        self.written = b""
        self.closed = False

    def write(self, data: Any) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def get_write_buffer_size(self) -> int:
        return 0

    def can_write_eof(self) -> bool:
        return False

    def pause_reading(self) -> None:
        """Nothing more comes than is given."""

    resume_reading = pause_reading


class Naming(Recording):
    """Says what it was given."""

    async def admit(self, envelope: Envelope, content: bytes) -> Reply:
        await super().admit(envelope, content)
        await asyncio.sleep(0)
        if b"y" in content:
            raise RuntimeError("a surprise")
        return Reply(250, "2.0.0", f"Ok: {len(content)} bytes")


class Spoilt(Reader):
    """Breaks where it looks at a content."""

    def only_content(self, data: bytes) -> bytes | None:
        raise MemoryError(len(data))


def hear(
    chunks: Sequence[bytes], reader: type[Reader] = Reader, **values: Any
) -> tuple[bytes, list[tuple[str, str, bytes]], int]:
    """What the server says, what admission is given, and the bytes that are held in the end."""

    async def main() -> tuple[bytes, list[tuple[str, str, bytes]], int]:
        admission, memory, clock = Naming(), Memory(3000), SystemClock()
        house = House(
            hostname="relay.example",
            admission=admission,
            clock=clock,
            metrics=SmtpMetrics(CollectorRegistry()),
            memory=memory,
            wire=WireLog(None, clock),
        )
        settings = ListenerSettings.model_validate({"address": "127.0.0.1:0", "max_message_bytes": 1000, **values})
        session: Session = SmtpListener(settings=settings, house=house)._session()
        session._lines = reader(asyncio.get_running_loop(), Pace())
        wire = Wire()
        session.connection_made(wire)
        for chunk in chunks:
            if not wire.closed:
                session.data_received(chunk)
            for _ in range(TURNS):
                await asyncio.sleep(0)
        wire.close()
        session.connection_lost(None)
        given_ = [(envelope.client.helo, str(envelope.sender), content) for envelope, content in admission.got]
        return wire.written, given_, memory.used

    return asyncio.run(main())


@given(st.lists(st.sampled_from(SAID), max_size=14), st.lists(st.integers(1, 40), max_size=20))
def test_any_dialogue_is_the_same_in_any_chunks(said: list[bytes], sizes: list[int]) -> None:
    """One line or content at a time, all at once, in small pieces: the same replies and the same mails."""
    wire, cut, at = b"".join(said), [], 0
    for size in sizes:
        cut.append(wire[at : at + size])
        at += size
    alone = hear(said, max_line_bytes=250)

    assert alone[2] == 0
    assert hear([wire], max_line_bytes=250) == alone
    assert hear([chunk for chunk in [*cut, wire[at:]] if chunk], max_line_bytes=250) == alone


def test_a_new_greeting_holds_for_the_next_mail() -> None:
    """Who the client is is worked out once, and anew after EHLO."""
    mail = [b"MAIL FROM:<a@example.com>\r\n", b"RCPT TO:<b@example.net>\r\n", b"DATA\r\n", b"x\r\n.\r\n"]
    _, given_, _ = hear([b"EHLO one\r\n", *mail, *mail, b"EHLO two\r\n", *mail])

    assert [helo for helo, _, _ in given_] == ["one", "one", "two"]


def test_a_content_alone_that_finds_no_memory_is_refused() -> None:
    """As one that comes in pieces."""
    mail = [b"MAIL FROM:<a@example.com>\r\n", b"RCPT TO:<b@example.net>\r\n", b"DATA\r\n", b"x" * 3100 + b"\r\n.\r\n"]

    assert b"452 4.3.1" in hear(mail, max_message_bytes=10_000)[0]


def test_a_surprise_in_the_short_look_ends_the_connection() -> None:
    """What is left of the content is neither a mail nor a command."""
    mail = [b"MAIL FROM:<a@example.com>\r\n", b"RCPT TO:<b@example.net>\r\n", b"DATA\r\n", b"x\r\n.\r\n", b"NOOP\r\n"]
    said, given_, held = hear(mail, Spoilt)

    assert said.splitlines()[-1].startswith(b"451 4.3.0")
    assert (given_, held) == ([], 0)
