"""Large data a slice at a time says the same as one call on the whole, and no call keeps other threads waiting."""

import queue
import threading
import time
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qboxrelay.intake.compose import compose
from qboxrelay.mime import radix64, slices
from qboxrelay.mime.charset import decode
from qboxrelay.mime.flowed import unflow
from qboxrelay.mime.parse import parse
from qboxrelay.model.address import Address
from qboxrelay.model.reply import Refusal
from qboxrelay.settings.schema.mapping import MappingSettings

_EDGE = slices.DECODED
_MIB = 1 << 20


@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"a", b"bc"]), max_size=20), st.integers(1, 5))
@example([b"ab", b"\r\n"], 3)
@example([b"\r", b"\r", b"\r", b"\n"], 2)
def test_lines_are_cut_behind_their_ends(written: list[bytes], size: int) -> None:
    """Nothing is lost; a cut between CR and LF happens only where a slice would hold nothing else."""
    raw = b"".join(written)

    found = list(slices.line_slices(raw, 0, len(raw), size))

    assert b"".join(found) == raw
    assert all(0 < len(piece) <= size for piece in found)
    for piece, behind in pairwise(found):
        assert not (piece.endswith(b"\r") and behind.startswith(b"\n") and piece.strip(b"\r"))


@pytest.mark.parametrize("before", [slices.SLICE - 2, slices.SLICE - 1, slices.SLICE])
@pytest.mark.parametrize(("old", "new"), [("\r\n", "\n"), ("\r", "\n"), ("\x00", "")])
def test_text_is_replaced_also_where_a_cut_would_be(before: int, old: str, new: str) -> None:
    """As one call would do it."""
    text = "x" * before + "\r\n\x00\r\r\n" * 3

    assert slices.replace(text, old, new) == text.replace(old, new)


@pytest.mark.parametrize("before", range(_EDGE - 4, _EDGE + 1))
@pytest.mark.parametrize(
    ("label", "written", "read"),
    [
        ("utf-8", "é😀".encode(), "é😀"),
        ("utf-8", b"\xed\xa0\xbd\xed\xb8\x80", "😀"),
        ("utf-8", b"\xc3\xa9\xff", "é\ufffd"),
        (None, b"\xed\xa0\xbd\xed\xb8\x80", "😀"),
        ("gb18030", "你".encode("gb18030"), "你"),
        ("iso-2022-jp", b'\x1b$B$"$$\x1b(B', "あい"),
        ("iso-2022-jp", b'\x1b$B-!$"\x1b(I1\x1b(B', "①あｱ"),
        ("utf-7", b"\n+2D3eAA-\n+2D0-", "\n😀\n\ufffd"),
    ],
)  # fmt: skip
def test_text_is_decoded_also_where_a_cut_would_be(before: int, label: str | None, written: bytes, read: str) -> None:
    """Characters, surrogate pairs and shifts that begin in one slice and end in the next."""
    assert decode(b"a" * before + written, label)[0] == "a" * before + read


@pytest.mark.parametrize("encoding", ["8bit", "quoted-printable"])
@pytest.mark.parametrize("before", [(1 << 18) - 1, (1 << 20) - 1])
def test_a_line_end_is_one_also_where_a_cut_would_be(encoding: str, before: int) -> None:
    """A file of text with a line as long as a slice."""
    head = (
        f"From: a@b.example\r\nContent-Type: text/csv; name=a\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n".encode()
    )
    text = b"x" * before + b"\r\n" + b"y" * _MIB + b"\n"

    (attachment,) = parse(head + text).attachments

    assert attachment.content.data() == b"x" * before + b"\r\n" + b"y" * _MIB + b"\r\n"


@pytest.mark.parametrize("before", range(32))
@pytest.mark.parametrize("behind", [b"", b"=", b"==", b"==\nQUJD", b"=QUJDRA==", b"==\n-- footer"])
def test_base64_of_any_size_is_read_as_a_small_one(before: int, behind: bytes) -> None:
    """Padding in the middle of a large part: whole quanta before it change nothing."""
    tail = b"QUJD" * 8 + b"Q" * before + behind

    small = radix64.decode_loosely(b"Q=" + tail)
    large = radix64.decode_loosely(b"QQ==" + b"QUJD" * (_EDGE // 4) + tail)

    assert large == b"A" + b"ABC" * (_EDGE // 4) + small if b"footer" not in behind else large == b"A"


def test_quote_marks_beyond_all_measure_are_text() -> None:
    """A depth that nobody quotes to is not counted."""
    assert (
        unflow("> a \n> b\n" + ">" * 1_500 + "c\n", delete_space=False)
        == "> a b\n" + ">" * 1_000 + " " + ">" * 500 + "c\n"
    )


_HEAD = b"From: a@b.example\r\nTo: a@x.example\r\nContent-Type: "
_HTML = b"\r\n--b\r\nContent-Type: text/html\r\n\r\n<b>x</b>\r\n--b--\r\n"
_LARGE: dict[str, tuple[bytes, bytes, bytes]] = {
    "one line of ISO-2022-JP": (b"text/plain; charset=iso-2022-jp\r\n\r\n\xff\x1b$B", b'$"', b""),
    "halves of surrogate pairs in UTF-7": (b"text/plain; charset=utf-7\r\n\r\n", b"+2AA-", b""),
    "halves of surrogate pairs in UTF-8": (b"text/plain; charset=utf-8\r\n\r\n", b"\xed\xa0\xbd\xed\xb8\x80", b""),
    "base64 of padding": (b"text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n", b"Q=", b""),
    "text beside HTML": (b"multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n", b"<>&", _HTML),
}


def _longest_hold(raw: bytes) -> float:
    """The most processor time, in seconds, that mapping took without letting this thread run."""
    clocks: queue.Queue[int] = queue.Queue()
    mapper = threading.Thread(target=_map, args=(raw, clocks))
    mapper.start()
    clock = clocks.get()
    longest = last = 0.0
    # The clock goes with its thread.
    with suppress(OSError):
        while mapper.is_alive():
            now = time.clock_gettime(clock)
            longest, last = max(longest, now - last), now
            time.sleep(0.0005)
    mapper.join()
    return longest


def _map(raw: bytes, clocks: queue.Queue[int]) -> None:
    clocks.put(time.pthread_getcpuclockid(threading.get_ident()))
    with suppress(Refusal):
        compose(
            parse(raw),
            transaction_id="T",
            sender=None,
            recipients=[Address("a", "x.example")],
            settings=MappingSettings(),
            max_submission_bytes=49_000_000,
        )


@pytest.mark.parametrize("made", [pytest.param(made, id=name) for name, made in _LARGE.items()])
def test_no_call_keeps_other_threads_waiting(made: tuple[bytes, bytes, bytes]) -> None:
    """Mapping runs beside the event loop: another thread gets its turn at least after 60 ms of the mapper's processor time.

    On a busy machine that thread may itself be late, so one good run of twenty is enough.
    """
    before, unit, after = made
    raw = _HEAD + before + unit * (16 * _MIB // len(unit)) + after

    assert any(_longest_hold(raw) < 0.06 for _ in range(20))
