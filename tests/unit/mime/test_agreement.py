"""Where a quick reader applies, the tolerant one says the same; cutting by search says the same as walking the lines."""

import base64
import quopri
import re

from hypothesis import example, given
from hypothesis import strategies as st

from qboxrelay.mime import address, address_tolerant, boundary, header, quoted_printable, radix64
from qboxrelay.mime.entity import read_entity
from qboxrelay.mime.limits import DEFAULT
from qboxrelay.mime.lines import with_line_ends
from qboxrelay.mime.parse import parse
from qboxrelay.mime.reading import Reading
from qboxrelay.mime.weight import is_light

_FIELD_NAMES = st.sampled_from(["From", "Subject", "X-Odd_Name!", "content-type", "Received"])
_VALUES = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=40
) | st.sampled_from(["", " ", "=?utf-8?q?a?=", "folded\n more", "tab\n\tmore", "end \n "])
_SECTIONS = st.lists(st.tuples(_FIELD_NAMES, _VALUES), min_size=1, max_size=6)


@given(_SECTIONS, st.sampled_from(["\n", "\r\n"]))
def test_the_quick_header_reader_agrees_with_the_tolerant_one(section: list[tuple[str, str]], line_end: str) -> None:
    """The quick reader may decline; what it does read, the tolerant reader reads alike."""
    raw = "".join(f"{name}: {value}\n" for name, value in section).replace("\n", line_end).encode()

    quick = header.read_quickly(raw, 0, len(raw), len(raw))

    assert quick is None or quick == header.read_tolerantly(Reading(raw, DEFAULT), 0, len(raw), len(raw))


@given(st.binary(max_size=200))
@example(b"A: b\r\n\x0bc: d\n")
@example(b"A: b\r\nc: d")
def test_the_quick_header_reader_declines_or_agrees_on_any_octets(raw: bytes) -> None:
    """Octets without any order are declined, or read alike."""
    section = raw.replace(b"\n\n", b"\n").replace(b"\n\r\n", b"\n")
    end = len(section)

    quick = header.read_quickly(section, 0, end, end)

    assert quick is None or quick == header.read_tolerantly(Reading(section, DEFAULT), 0, end, end)


_ADDRESS_TEXT = st.lists(
    st.sampled_from(
        [
            "a@b.example", "Ann", "Bob", '"Quoted, Name"', "<c@d.example>", "<e.f@g-h.example>", ",", ", ", " ", "\t", "  ", "=?utf-8?q?=C3=A9?=",
            "'x'", "ü", ".", "J.", "@", "(note)", ";", "group:", '"', "\\", "<", ">", "=?utf-8?b?w6k=?= =?utf-8?b?w6k=?=", "mailto:",
        ]
    ),
    max_size=12,
)  # fmt: skip


@given(_ADDRESS_TEXT)
@example(["Ann", " ", "<c@d.example>", ", ", "a@b.example"])
def test_the_quick_address_reader_agrees_with_the_tolerant_one(pieces: list[str]) -> None:
    """The common forms are read alike by both."""
    value = "".join(pieces)

    quick = address.read_quickly(value)

    if quick is not None:
        found = address_tolerant.read_tolerantly(value)
        assert (quick, [], []) == (found.mailboxes, found.groups, found.unusable)


@given(
    st.lists(
        st.sampled_from([b"=", b"=3D", b"=C3=A9", b"text ", b"\r\n", b"\n", b"\r", b" ", b"\t", b"3D", b"=\r\n"]),
        max_size=12,
    )
)
def test_quoted_printable_is_decoded_alike_by_both_ways(pieces: list[bytes]) -> None:
    """Counting equals signs tells clean quoted-printable from the rest."""
    piece = b"".join(pieces)

    assert quoted_printable.decode_piece(piece) == quoted_printable.decode_tolerantly(piece)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\r\x00"), max_size=300))
def test_quoted_printable_of_the_standard_library_is_read_back(text: str) -> None:
    """What an encoder by the book writes is decoded to what it was."""
    encoded = quopri.encodestring(text.encode()).replace(b"\n", b"\r\n")

    octets = b"".join(quoted_printable.decode_quoted_printable(encoded, 0, len(encoded)))

    assert octets.replace(b"\r\n", b"\n") == text.encode()


@given(st.binary(max_size=400), st.sampled_from([b"\r\n", b"\n"]), st.binary(max_size=3), st.integers(0, 400))
def test_base64_is_passed_on_unchanged_but_for_line_ends_and_noise(
    octets: bytes, line_end: bytes, noise: bytes, at: int
) -> None:
    """What an encoder by the book writes keeps its characters; what is no base64 is not there."""
    encoded = base64.encodebytes(octets).replace(b"\n", line_end)
    noise = noise.translate(None, bytes(range(0x2B, 0x7B)))
    noisy = encoded[:at] + noise + encoded[at:]

    assert b"".join(radix64.passed_on(encoded, 0, len(encoded))) == base64.b64encode(octets)
    if b"=" not in encoded[:at]:
        assert b"".join(radix64.passed_on(noisy, 0, len(noisy))) == base64.b64encode(octets)


@given(
    st.lists(st.sampled_from([b"Q2F0", b"Q", b"QQ", b"=", b"==", b"\r\n", b" ", b"!", b"-- footer"]), max_size=12),
    st.integers(0, 3),
)
def test_base64_passed_on_says_what_the_decoder_reads(pieces: list[bytes], large: int) -> None:
    """Whatever stands there: passing on and decoding agree, and strict decoders take what is passed on."""
    raw = b"Q2F0\n" * 30_000 * large + b"".join(pieces)

    passed = b"".join(radix64.passed_on(raw, 0, len(raw)))

    assert base64.b64decode(passed, validate=True) == b"".join(radix64.decoded(raw, 0, len(raw)))
    assert base64.b64encode(base64.b64decode(passed)) == passed


_BODY_LINES = st.lists(
    st.sampled_from([b"--b", b"--b--", b"--bb", b"--b ", b"--b--x", b"text", b"", b"-- b", b" --b", b"--b\t", b"--"]),
    max_size=14,
)


@given(_BODY_LINES, st.sampled_from([b"\n", b"\r\n"]), st.booleans())
def test_parts_are_cut_where_a_line_by_line_reader_cuts(lines: list[bytes], line_end: bytes, ends: bool) -> None:
    """Searching for delimiters finds the same parts as RFC 2046 §5.1.1 read line by line."""
    body = line_end.join(lines) + (line_end if ends else b"")
    raw = b"Content-Type: x\n\n" + body

    spans = boundary.split_parts(Reading(raw, DEFAULT), len(raw) - len(body), len(raw), b"b")

    has_delimiter = any(line.rstrip(b" \t\r\n") in {b"--b", b"--b--"} for line in body.splitlines())
    assert (spans is not None) == has_delimiter
    assert [raw[start:end] for start, end in spans or []] == _walked(body)


def _walked(body: bytes) -> list[bytes]:
    parts: list[bytes] = []
    current: bytes | None = None
    for line in body.splitlines(keepends=True):
        mark = line.rstrip(b" \t\r\n")
        if mark in {b"--b", b"--b--"}:
            if current is not None:
                parts.append(re.sub(rb"\r?\n\Z", b"", current))
            current = b"" if mark == b"--b" else None
        elif current is not None:
            current += line
    return [*parts, current] if current is not None else parts


@given(
    st.sampled_from(["", "charset=utf-8", "charset=us-ascii", "charset=utf-16", "format=flowed", "format=flowed; delsp=yes; name=a.txt"]),
    st.sampled_from(["7bit", "8bit", "quoted-printable", "base64", "uuencode"]),
    st.lists(
        st.sampled_from(
            [b"text", b"caf\xc3\xa9", b"\xff", b"\x1b$B", b"\x00", b" ", b"\r\n", b"\n", b"\r", b"> ", b"-- ", b"=3D", b"begin 644 a\n#0V%T\n`\nend\n"]
        ),
        max_size=12,
    ),
)  # fmt: skip
def test_a_mail_of_one_text_is_read_as_any_other(parameters: str, encoding: str, pieces: list[bytes]) -> None:
    """A disposition that says nothing new sends it the way of all other mails."""
    head = f"From: a@b.example\r\nContent-Type: text/plain; {parameters}\r\nContent-Transfer-Encoding: {encoding}\r\n".encode()
    body = b"\r\n" + b"".join(pieces)

    assert parse(head + body) == parse(head + b"Content-Disposition: inline\r\n" + body)


_HEAD_LINES = st.lists(
    st.sampled_from(
        [
            b"", b"\xef\xbb\xbf", b"From: a@b.example", b"From a", b"Content-Type: multipart/mixed; boundary=b", b"content-type: text/plain",
            b"Content-Type: text/html", b"Content-Type:multipart/mixed; boundary=b", b" boundary=b", b"Content-Type: multi (x)part/mixed; boundary=b",
            b"Content-Type: text/", b"X-Content-Type: text/plain", b"CONTENT-TYPE : multipart/mixed", b"--b", b"text \xff",
        ]
    ),
    max_size=6,
)  # fmt: skip


@given(_HEAD_LINES, st.sampled_from([b"\r\n", b"\n", b"\r", b"\r\r\n"]))
@example([b"", b"", b"Content-Type: multipart/mixed; boundary=b"], b"\r\n")
@example([b"\xef\xbb\xbf", b"", b"Content-Type: multipart/mixed; boundary=b"], b"\r\n")
@example([b"From: a@b.example", b"Content-Type: text/plain"], b"\r\n")
def test_what_has_many_parts_is_not_light(lines: list[bytes], line_end: bytes) -> None:
    """A glance at the header may tell that there is one part, never wrongly."""
    raw = line_end.join([*lines, b"", b""]) + b"--b\r\n\r\ntext\r\n" * 150

    root = read_entity(with_line_ends(raw), DEFAULT)

    assert len(root.children) <= 100 or not is_light(raw)
