"""Mail made to take long: what it costs grows as it does, and what is mapped on the event loop stays small work.

Judged are ratios of processor time and counts of calls, never a time on the clock.
"""

import sys
import time
from collections.abc import Callable
from types import FrameType

import pytest

from qboxrelay.intake.compose import compose
from qboxrelay.mime.charset import codec_for
from qboxrelay.mime.header import own_key
from qboxrelay.mime.parse import parse
from qboxrelay.mime.weight import is_light
from qboxrelay.model.address import Address
from qboxrelay.model.reply import Refusal
from qboxrelay.settings.schema.mapping import MappingSettings

_HEAD = b"From: a@b.example\nTo: a@x.example\n"
_MIXED = _HEAD + b"Content-Type: multipart/mixed; boundary=b\n\n"
_SETTINGS = MappingSettings()

Maker = Callable[[int], bytes]


def _field(name: str, unit: str, before: str = "", after: str = "") -> Maker:
    """A mail with one long field."""
    return lambda size: _HEAD + f"{name}: {before}{_filled(unit, size)}{after}\n\nbody\n".encode()


def _part(field: str, unit: str, after: str = "") -> Maker:
    """A mail with one long field in the header of a part: what stands there is no address."""
    return lambda size: _MIXED + f"--b\n{field}{_filled(unit, size)}{after}\n\nbody\n--b--\n".encode()


def _body(head: str, unit: bytes, before: bytes = b"", after: bytes = b"") -> Maker:
    """A mail with a long body."""
    return lambda size: _HEAD + head.encode() + b"\n\n" + before + unit * (size // len(unit)) + after


def _filled(unit: str, size: int) -> str:
    return unit * (size // len(unit))


_FILE = "begin 644 f\n"
_TEXT = "Content-Type: text/plain; charset="
_ENCODED = "Content-Transfer-Encoding: "
_IMAGE = "Content-Type: image/png\n" + _ENCODED
_NAMED = "Content-Disposition: attachment; filename"
_MARKED = "Content-Type: multipart/mixed; boundary="
_RELATED = (
    b"--b\nContent-Type: text/html\n\n",
    b"\n--b\nContent-Type: image/png\nContent-ID: <c@x>\n\nx\n--b--",
)

_ADDRESSES: dict[str, Maker] = {
    "one endless atom": _field("To", "x"),
    "one endless quoted string": _field("To", "x", '"'),
    "a quoted string of escapes": _field("To", '\\"', '"', '" <a@x.example>'),
    "dots": _field("To", "a.", after="a@x.example"),
    "words": _field("To", "a "),
    "commas": _field("To", ","),
    "open comments": _field("To", "("),
    "comments": _field("To", "(a)"),
    "open brackets": _field("To", "<"),
    "open literals": _field("To", "["),
    "groups": _field("To", "g: a@b.example;, "),
    "names without addresses": _field("To", "Doe, "),
    "addresses and one odd end": _field("To", "a@b.example, ", after="a@"),
    "encoded words": _field("To", "=?utf-8?q?a?= "),
    "open encoded words": _field("To", "=?utf-8?q?a"),
    "beginnings of encoded words": _field("To", "=?a"),
}
_OTHERS: dict[str, Maker] = {
    "a field of folds": _field("X-A", "\n "),
    "a field of carriage returns": _field("X-A", "a\r"),
    "a field of control characters": _field("X-A", "a\x01"),
    "many lines that are no fields": _field("X-A", "\nabc", after="\nX-B: 1"),
    "one endless name of a field": _field("X-A", "x", "\n"),
    "a subject of encoded words": _field("Subject", "=?utf-8?b?YQ==?= "),
    "a subject of open encoded words": _field("Subject", "=?utf-8?q?"),
    "an encoded word of padding": _field("Subject", "=", "=?utf-8?b?Q", "?="),
    "an encoded word of equals signs": _field("Subject", "=", "=?utf-8?q?", "?="),
    "carriage returns only": lambda size: (_HEAD + b"\n").replace(b"\n", b"\r") + b"a\r" * (size // 2),
    "two carriage returns a line": lambda size: (_HEAD + b"\n" * (size // 3)).replace(b"\n", b"\r\r\n"),
    "blank lines before the header": lambda size: b"\n" * size + _HEAD + b"\nbody",
    "parameters": _part(_NAMED, "; a=b"),
    "a file name of percent signs": _part(_NAMED + "*=utf-8''", "%"),
    "a file name of percent escapes": _part(_NAMED + "*=utf-8''", "%41"),
    "a file name of escapes": _part(_NAMED + '="', '\\"'),
    "an open file name": _part(_NAMED + '="', "x"),
    "a file name without a slash": _part(_NAMED + "=", "x"),
    "a file name of slashes": _part(_NAMED + "=", "a/"),
    "a type of comments": _part("Content-Type: text/plain", "(a)("),
    "continuations": _part(_NAMED, "; filename*0*=a"),
    "a type without end": _part("Content-Type: text/", "x"),
    "a charset without end": _part(_TEXT, "_-"),
    "a content id of brackets": _part("Content-ID: ", "<"),
    "lines like a delimiter": _body(_MARKED + "b", b"--bb\n"),
    "final delimiters": _body(_MARKED + "b", b"--b--\n"),
    "blanks behind a delimiter": _body(_MARKED + "b", b"--b" + b" " * 900 + b"x\n"),
    "lines like the boundary of another": _body(_MARKED + "q", b"--a" + b" " * 150 + b"b\n"),
    "a line like a boundary and blanks": _body(_MARKED + "q", b" ", b"--a"),
    "a long boundary": _body(_MARKED + "-" * 900, b"\n" + b"-" * 890),
    "multiparts in multiparts": lambda size: (
        _HEAD
        + b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(45))
        + b"\n"
        + b"--x\n" * (size // 4)
    ),
    "base64 of padding": _body(_ENCODED + "base64", b"="),
    "base64 of padded characters": _body(_IMAGE + "base64", b"Q="),
    "base64 of padded quanta": _body(_IMAGE + "base64", b"QQ=="),
    "base64 of noise": _body(_IMAGE + "base64", b"Q!", after=b"="),
    "quoted-printable of equals signs": _body(_ENCODED + "quoted-printable", b"="),
    "quoted-printable of open escapes": _body(_ENCODED + "quoted-printable", b"=\r"),
    "quoted-printable of blanks": _body(_ENCODED + "quoted-printable", b"= " + b" " * 500 + b"x"),
    "uuencode of short lines": _body(_IMAGE + "x-uuencode", b"M\n"),
    "beginnings of files": _body("X: y", _FILE.encode()),
    "a file of empty lines": _body("X: y", b"\n", _FILE.encode() + b"#0V%T\n", b"end\n"),
    "a file without end": _body("X: y", b"#0V%T\n", _FILE.encode() * 500),
    "flowed lines": _body("Content-Type: text/plain; format=flowed; delsp=yes", b"a \n"),
    "flowed quotes": _body("Content-Type: text/plain; format=flowed", b">" * 500 + b" \n"),
    "references to parts": lambda size: _MIXED + _RELATED[0] + b"cid:a " * (size // 6) + _RELATED[1],
    "an endless reference": lambda size: _MIXED + _RELATED[0] + b"cid:" + b"&#" * (size // 2) + _RELATED[1],
    "meta elements": _body("Content-Type: text/html", b"<meta ", after=b"\xff"),
    "escapes of JIS": _body(_TEXT + "iso-2022-jp", b"\x1b$B"),
    "junk in JIS": _body(_TEXT + "iso-2022-jp", b"\x1b$B\xff"),
    "lines in JIS": _body(_TEXT + "iso-2022-jp", b"\x1b$B!\n"),
    "plus signs in UTF-7": _body(_TEXT + "utf-7", b"+"),
    "an open shift in UTF-7": _body(_TEXT + "utf-7", b"A", b"+"),
    "lone surrogates": _body(_TEXT + "utf-16be", b"\xd8\x00"),
    "halves of characters": _body(_TEXT + "utf-8", b"\xc3"),
    "octets that are no text": _body(_TEXT + "utf-8", b"\x81"),
    "octets that are no GB 18030": _body(_TEXT + "gb18030", b"\x81"),
}  # fmt: skip


def _map(raw: bytes) -> None:
    try:
        compose(
            parse(raw),
            transaction_id="T",
            sender=None,
            recipients=[Address("a", "x.example")],
            settings=_SETTINGS,
            max_submission_bytes=40_000_000,
        )
    except Refusal as refusal:
        if refusal.reply.code not in {552, 554}:
            raise


def _cost(raw: bytes) -> float:
    """Processor time of this thread, the least of three runs."""
    times = []
    for _ in range(3):
        start = time.thread_time()
        _map(raw)
        times.append(time.thread_time() - start)
    return min(times)


@pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in (_ADDRESSES | _OTHERS).items()])
def test_what_a_mail_costs_grows_as_it_does(make: Maker) -> None:
    """Four times the octets take about four times as long, not sixteen times; what takes no time at all is not judged."""
    small, large = make(20_000), make(80_000)
    for _ in range(3):
        cost, more = _cost(small), _cost(large)
        if more < 0.002 or more < 9 * cost:
            return
    pytest.fail(f"{cost * 1000:.1f} ms became {more * 1000:.1f} ms")


def _calls(raw: bytes) -> int:
    """Calls of functions, Python's and C's: the work that has a number."""
    count = 0

    def counted(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(counted)
    try:
        _map(raw)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in _OTHERS.items()])
def test_what_is_mapped_on_the_event_loop_is_little_work(make: Maker) -> None:
    """A mail of 64 KB, unless it looks laborious, takes fewer calls than would hold the loop for long."""
    raw = make(64_000)
    if not is_light(raw):
        raw = make(7_000)
    assert _calls(raw) < 250_000


@pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in _ADDRESSES.items()])
def test_a_header_that_is_mapped_on_the_event_loop_is_little_work(make: Maker) -> None:
    """Addresses cost most of all; a long header goes to a thread."""
    assert is_light(make(7_500))
    assert not is_light(make(9_000))
    assert _calls(make(7_500)) < 50_000


def test_what_looks_laborious_is_told_at_a_glance() -> None:
    """Many parts, a long header, a header that never ends."""
    assert is_light(b"From: a@b.example\r\n\r\nbody")
    assert is_light(b"From: a@b.example\n\n--\nAnn\n" + b"x" * 60_000)
    assert not is_light(_MIXED + b"--b\n\n" * 101)
    # Line ends that are repaired only later, as there is none but CR at the beginning.
    assert not is_light((_MIXED + b"--b\n\n" * 101).replace(b"\n", b"\r") + b"\n\r\n")
    assert not is_light(_HEAD + b"X-A: 1\n" * 2_000 + b"\nbody")
    assert not is_light(b"From: a@b.example\r\rbody")


def test_a_part_that_grows_when_it_is_decoded_is_refused() -> None:
    """Two octets of uuencode stand for forty-five; neither memory nor time goes with them."""
    raw = _HEAD + b"Content-Transfer-Encoding: x-uuencode\n\n" + b"M\n" * 2_500_000

    with pytest.raises(Refusal, match=r"554 5\.6\.0 .*too large when it is decoded"):
        parse(raw)


@pytest.mark.parametrize("unit", ["x y, ", "g:;", "a@b.example, "])
def test_of_many_losses_some_are_told(unit: str) -> None:
    """What is lost is counted and logged one by one, on the event loop."""
    raw = f"From: {unit * 30_000}\nTo: {unit * 30_000}\n\nbody".encode()

    assert 100 < len(parse(raw).losses) <= 1_000


def test_long_names_are_not_remembered() -> None:
    """What a client makes up must not stay in memory."""
    parse(b"x" * 100_000 + b": 1\n\nbody")
    fields, labels = own_key.cache_info().currsize, codec_for.cache_info().currsize
    for number in range(20):
        name = b"x" * 1_000 + b"%d" % number
        parse(name + b": 1\nContent-Type: text/plain; charset=" + name + b"\n\nbody")

    assert own_key.cache_info().currsize == fields
    assert codec_for.cache_info().currsize == labels
