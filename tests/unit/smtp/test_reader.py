"""Reading a connection's bytes: how they are cut into chunks never changes what is read."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qboxrelay.smtp.content import Content, Pieces, TooLarge, add_piece
from qboxrelay.smtp.pace import Pace
from qboxrelay.smtp.reader import Disconnected, LineTooLong, Reader

T = TypeVar("T")

PIECES = [b"\r\n", b".", b"\r", b"\n", b"a", b"bb\r\n", b"\r\n.", b"\r\n..", b"\r\n.\n", b"\n.\r\n", b"x" * 50]


def feed(chunks: Sequence[bytes], work: Callable[[Reader], Coroutine[Any, Any, T]]) -> T:
    async def main() -> T:
        reader = Reader(asyncio.get_running_loop(), Pace())
        task = asyncio.ensure_future(work(reader))
        for chunk in chunks:
            reader.feed(chunk)
            await asyncio.sleep(0)
        reader.end()
        return await task

    return asyncio.run(main())


def stuffed(content: bytes) -> bytes:
    """What a client sends for content that ends with CRLF (RFC 5321 §4.5.2)."""
    return (b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n"


def cut(data: bytes, sizes: Sequence[int]) -> list[bytes]:
    chunks, start = [], 0
    for size in sizes:
        chunks.append(data[start : start + size])
        start += size
    return [chunk for chunk in (*chunks, data[start:]) if chunk]


async def taken(reader: Reader, limit: int, line_limit: int) -> Content:
    reader.begin_content(limit, line_limit)
    while (content := reader.take_content()) is None:
        await reader._fill()
    return content


async def content_of(reader: Reader, limit: int) -> bytes:
    return await (await taken(reader, limit, limit)).take(asyncio.Semaphore())


@given(st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join), st.lists(st.integers(1, 30), max_size=40))
def test_content_survives_any_chunks(content: bytes, sizes: list[int]) -> None:
    """Content comes out as it went in, and the command behind it is still there."""
    content += b"\r\n"

    async def work(reader: Reader) -> tuple[bytes, bytes]:
        return await content_of(reader, 10_000), await reader.line(100)

    assert feed(cut(stuffed(content) + b"QUIT\r\n", sizes), work) == (content, b"QUIT")


@given(st.binary(max_size=200).filter(lambda data: b"\r\n.\r\n" not in b"\r\n" + data), st.lists(st.integers(1, 30)))
def test_nothing_else_ends_content(data: bytes, sizes: list[int]) -> None:
    """Without CRLF.CRLF there is no content, only a client that went away."""
    with pytest.raises(Disconnected):
        feed(cut(data, sizes), lambda reader: content_of(reader, 10_000))


@pytest.mark.parametrize(("size", "taken"), [(100, True), (101, False), (900, False)])
def test_limit_of_content(size: int, *, taken: bool) -> None:
    """The limit counts the content, line ends included; where the end of what is too large is here already, the next command follows."""

    async def work(reader: Reader) -> tuple[int, bytes]:
        found = await length_of_content(reader)
        return found, await reader.line(100)

    wire = stuffed(b"x" * (size - 2) + b"\r\n") + b"NOOP\r\n"

    assert feed([wire], work) == (size if taken else -1, b"NOOP")


async def length_of_content(reader: Reader) -> int:
    """-1 for what is too large and was read to its end."""
    try:
        return len(await content_of(reader, 100))
    except TooLarge as over:
        return -1 if over.ended else -2


def test_content_too_large_is_not_read_to_its_end() -> None:
    """As soon as the limit is passed; what has arrived by then is all that was ever held."""

    async def work(reader: Reader) -> int:
        with pytest.raises(TooLarge) as over:
            await taken(reader, 100, 100)
        assert not over.value.ended
        return len(reader._buffer)

    assert feed(cut(b"x" * 100_000, [50] * 2000), work) < 300


LINES = [b"", b"short", b"x" * 30, b"x" * 31, b"y" * 70]


@given(
    st.lists(st.tuples(st.sampled_from(LINES), st.sampled_from([b"\r\n", b"\r\n", b"\n", b"\r"])), max_size=8),
    st.lists(st.integers(1, 20), max_size=40),
)
def test_line_ends_are_seen_through_any_chunks(lines: list[tuple[bytes, bytes]], sizes: list[int]) -> None:
    """A bare LF and a line over the limit are noticed however the content is cut, and nothing else is."""
    content = b"".join(line + end for line, end in lines) + b"\r\n"

    async def work(reader: Reader) -> tuple[bytes, bool, bool]:
        found = await taken(reader, 10_000, 31)
        return await found.take(asyncio.Semaphore()), found.bare_line_feeds, found.line_too_long

    data, bare, long = feed(cut(stuffed(content), sizes), work)

    assert data == content
    assert bare == (content.count(b"\n") != content.count(b"\r\n"))
    assert long == any(len(line.removesuffix(b"\r")) > 31 for line in content.split(b"\n"))


@pytest.mark.parametrize("cuts", [[], [1] * 30, [5, 3]])
def test_octets_are_taken_as_they_are(cuts: list[int]) -> None:
    """BDAT's content has no dots to unstuff and no end to find; what follows is the next command."""

    async def work(reader: Reader) -> tuple[bytes, bytes]:
        pieces: Pieces = []
        await reader.octets(6, lambda piece: add_piece(pieces, piece))
        await reader.octets(3, lambda _piece: None)
        line = await reader.line(100)
        await reader.octets(0, lambda piece: add_piece(pieces, piece))
        return b"".join(pieces), line

    assert feed(cut(b"\r\n.\r\n.abcNOOP\r\n", cuts), work) == (b"\r\n.\r\n.", b"NOOP")


@given(st.lists(st.binary(min_size=1, max_size=20), max_size=50))
def test_small_pieces_are_few(pieces: list[bytes]) -> None:
    """A client that sends byte by byte does not make a list that takes more than its mail."""
    kept: Pieces = []
    for piece in pieces:
        add_piece(kept, piece)

    assert b"".join(kept) == b"".join(pieces)
    assert len(kept) <= 1


def test_a_line_without_end_is_bounded() -> None:
    """A content that is one line is handed on in pieces: no more than a chunk of it waits in the buffer."""
    held: list[int] = []

    async def work(reader: Reader) -> bytes:
        async def watch() -> None:
            while True:
                held.append(len(reader._buffer))
                await asyncio.sleep(0)

        watching = asyncio.ensure_future(watch())
        try:
            return await content_of(reader, 50_000_000)
        finally:
            watching.cancel()

    line = b"x" * 3_000_000
    content = feed([line[start : start + 65536] for start in range(0, len(line), 65536)] + [b"\r\n.\r\n"], work)

    assert content == line + b"\r\n"
    assert max(held) < 300_000


@pytest.mark.parametrize(
    ("wire", "first"),
    [(b"NOOP\r\nX\r\n", b"NOOP"), (b"NOOP\nX\r\n", b"NOOP"), (b"\r\nX\r\n", b""), (b"a\rb\r\nX\r\n", b"a\rb")],
)
def test_command_lines(wire: bytes, first: bytes) -> None:
    """CRLF or LF ends a command line; CR inside it is a character like any other."""

    async def work(reader: Reader) -> tuple[bytes, bool, bytes]:
        return await reader.line(100), reader.begun, await reader.line(100)

    assert feed([wire], work) == (first, True, b"X")


def test_a_command_line_too_long_is_passed_over() -> None:
    """The error comes once the line has ended; the next line is read as always, and memory stays bounded."""

    async def work(reader: Reader) -> bytes:
        with pytest.raises(LineTooLong):
            await reader.line(100)
        return await reader.line(100)

    assert feed(cut(b"x" * 100_000 + b"\r\nNOOP\r\n", [1000] * 200), work) == b"NOOP"


def test_discard_forgets_what_came_early() -> None:
    """After STARTTLS nothing that came in clear text counts."""

    async def work(reader: Reader) -> bytes:
        await reader.line(100)
        reader.discard()
        with pytest.raises(Disconnected):
            await reader.line(100)
        return b"done"

    assert feed([b"STARTTLS\r\nMAIL FROM:<evil@example.com>\r\n"], work) == b"done"


def test_nothing_of_a_content_stays() -> None:
    """A connection that is kept after its mail holds none of it, whether it was taken, too large or given up."""

    async def work(reader: Reader) -> list[object]:
        held: list[object] = []
        await content_of(reader, 1000)
        held.append(reader._content)
        with pytest.raises(TooLarge):
            await content_of(reader, 10)
        held.append(reader._content)
        reader.begin_content(10, 10)
        reader.drop_content()
        return [*held, reader._content]

    assert feed([stuffed(b"x" * 500 + b"\r\n") * 2], work) == [None, None, None]


@pytest.mark.parametrize(
    ("chunks", "ended", "at_rest"),
    [
        ([], False, True),
        ([b"NOOP\r\n"], False, True),
        ([b"NO"], False, False),
        ([b"NOOP\r\nNO"], False, False),
        ([], True, False),
    ],
)
def test_at_rest_is_where_nothing_is_left_to_do(chunks: Sequence[bytes], *, ended: bool, at_rest: bool) -> None:
    """A part of a line is something, and so is an end."""

    async def main() -> bool:
        reader = Reader(asyncio.get_running_loop(), Pace())
        for chunk in chunks:
            reader.feed(chunk)
        reader.take_line(100)
        if ended:
            reader.end()
        return reader.at_rest

    assert asyncio.run(main()) is at_rest
