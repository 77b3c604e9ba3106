"""Headers, parameters, boundaries, transfer encodings: the syntax under the message."""

import base64

import pytest

from qboxrelay.mime.content import Span
from qboxrelay.mime.limits import Limits
from qboxrelay.mime.parameters import read_parameterized
from qboxrelay.mime.parse import parse
from qboxrelay.mime.quoted_printable import decode_q, decode_quoted_printable
from qboxrelay.mime.radix64 import decode_loosely, decoded, encoded
from qboxrelay.model.reply import Refusal


def _parts(body: str, declared: str = "multipart/mixed; boundary=b") -> tuple[str | None, str | None, list[str]]:
    message = parse(f"From: a@b.example\nContent-Type: {declared}\n\n{body}".encode())
    return message.text_body, message.html_body, [attachment.filename for attachment in message.attachments]


@pytest.mark.parametrize(
    ("raw", "headers", "body"),
    [
        (b"X-A: 1\nX-B: 2\n\nbody", [("X-A", "1"), ("X-B", "2")], "body"),
        (b"From me Fri\nX-A: 1\n\nbody", [("X-A", "1")], "body"),
        (b">From me Fri\nX-A: 1\n\nbody", [("X-A", "1")], "body"),
        (b"X-A: 1\r\n more\r\n\tand more\r\n\r\nbody", [("X-A", "1 more\tand more")], "body"),
        (b"X-A : 1\n\nbody", [("X-A", "1")], "body"),
        (b"X-A: 1\nno colon\nX-B: 2\n\nbody", [("X-A", "1 no colon"), ("X-B", "2")], "body"),
        (b"X-A: 1\nthis is text\nand more\n\nof it", [("X-A", "1")], "this is text\nand more\n\nof it"),
        (b"just text\n\nmore", [], "just text\n\nmore"),
        (b"X-A: caf\xe9\n\nbody", [("X-A", "café")], "body"),
        ("X-A: café\n\nbody".encode(), [("X-A", "café")], "body"),
        (b"X-A: a\x00b\x0bc\n\nbody", [("X-A", "ab c")], "body"),
        (b"X-A: =?utf-8?q?caf=C3=A9?=\n\nbody", [("X-A", "café")], "body"),
        (b"\n\nX-A: 1\n\nbody", [("X-A", "1")], "body"),
        (b"X-A: 1\rX-B: 2\r\rbody", [("X-A", "1"), ("X-B", "2")], "body"),
        (b"X-A: 1\r\r\nX-B: 2\r\r\n\r\r\nbody\r\r\nx", [("X-A", "1"), ("X-B", "2")], "body\nx"),
        (b"X-A: 1", [("X-A", "1")], "\n"),
        (b"X-A:\n\nbody", [("X-A", "")], "body"),
        (b" X-A: 1\n\nbody", [("X-A", "1")], "body"),
        (b"X-A: 1\nX-B 2", [("X-A", "1")], "X-B 2"),
        (b"\nbody", [], "body"),
        (b"", [], "\n"),
        ("X-A: a\u0085b\u2028c\n\nbody".encode(), [("X-A", "a b c")], "body"),
    ],
)  # fmt: skip
def test_header_sections_of_all_kinds(raw: bytes, headers: list[tuple[str, str]], body: str) -> None:
    """Where the header ends and what its fields say."""
    message = parse(raw)

    assert list(message.headers) == headers
    assert message.text_body == body


@pytest.mark.parametrize(
    ("text", "value", "parameters"),
    [
        ("text/plain", "text/plain", {}),
        ("TEXT/Plain; Charset=UTF-8", "text/plain", {"charset": "UTF-8"}),
        ('text/plain; charset="utf-8"; name="a;b.txt"', "text/plain", {"charset": "utf-8", "name": "a;b.txt"}),
        ("text/plain (comment); charset=utf-8 (Unicode)", "text/plain", {"charset": "utf-8"}),
        ("attachment; filename=my file.pdf", "attachment", {"filename": "my file.pdf"}),
        ('attachment; filename="open.pdf', "attachment", {"filename": "open.pdf"}),
        ('attachment; filename="a\\"b.pdf"', "attachment", {"filename": 'a"b.pdf'}),
        ('attachment; filename="C:\\temp\\a.pdf"', "attachment", {"filename": "C:\\temp\\a.pdf"}),
        ("attachment; filename=a; filename=b", "attachment", {"filename": "a"}),
        ('attachment; filename="=?utf-8?q?caf=C3=A9?=.pdf"', "attachment", {"filename": "café.pdf"}),
        ("attachment; filename*=utf-8''caf%C3%A9.pdf; filename=cafe.pdf", "attachment", {"filename": "café.pdf"}),
        ('attachment; filename*0="long "; filename*1=name.pdf', "attachment", {"filename": "long name.pdf"}),
        ("attachment; filename*1*=%A9.pdf; filename*0*=utf-8'en'caf%C3", "attachment", {"filename": "café.pdf"}),
        ("attachment; filename*=caf%E9.pdf", "attachment", {"filename": "café.pdf"}),
        ("attachment; *=x; file*name*x=y", "attachment", {"*": "x", "file*name*x": "y"}),
        (";;boundary = b ;", "", {"boundary": "b"}),
        ("multipart/mixed; boundary=b(1)c", "multipart/mixed", {"boundary": "b(1)c"}),
        ('attachment, filename="a.pdf"', "attachment", {"filename": "a.pdf"}),
        ('attachment; filename="a\\\\\\"b"', "attachment", {"filename": 'a\\"b'}),
        ("attachment; filename*=utf-8''100%25=3D%zz%C3%A9", "attachment", {"filename": "100%=3D%zzé"}),
        ("text/html charset=utf-8", "text/html", {"charset": "utf-8"}),
        ("attachment; filename*=utf-8''a%0D%0Ab", "attachment", {"filename": "a b"}),
    ],
)  # fmt: skip
def test_parameters_as_they_are_written(text: str, value: str, parameters: dict[str, str]) -> None:
    """RFC 2045, RFC 2231, RFC 2047 where it does not belong, and missing quotes."""
    read = read_parameterized(text)

    assert (read.value, dict(read.parameters)) == (value, parameters)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("preamble\n--b\n\none\n--b\n\ntwo\n--b--\nepilogue", "one\ntwo\n"),
        ("--b\n\none\n--b\n\ntwo", "one\ntwo\n"),
        ("--b\n\none --b\n--bb\n--b--", "one --b\n--bb"),
        ("--b  \n\none\n--b-- \n", "one"),
        ("--b\n\none\n--b--\n--b\n\ntwo\n--b--", "one\ntwo\n"),
        ("--b\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--\n--b--", "one"),
        ("--other\nContent-Type: text/plain\n\none\n--other--", "one"),
        ("no delimiter at all", "no delimiter at all"),
    ],
)  # fmt: skip
def test_parts_are_found_between_delimiter_lines(body: str, text: str) -> None:
    """RFC 2046 §5.1.1; missing final delimiters, prefixes, repeated and wrong boundaries."""
    assert _parts(body)[0] == text


def test_a_multipart_without_boundary_uses_the_one_that_stands_there() -> None:
    """The declared boundary is missing, the delimiters are not."""
    assert _parts("--x\nContent-Type: text/html\n\n<p>\n--x--", "multipart/*")[1] == "<p>"
    assert _parts("nothing here", "multipart/mixed")[0] == "nothing here"


@pytest.mark.parametrize(
    ("declared", "filenames"),
    [
        ("nonsense", []), ("text", []), ("text/", []), ("text/plain>", []), ("nonsense; name=a.dat", ["a.dat"]),
        ("image/png", ["attachment-1.png"]), ("x-thing/x-sub", ["attachment-1.bin"]), ("text/x-thing", ["attachment-1.txt"]),
    ],
)  # fmt: skip
def test_types_that_are_none_are_text_unless_they_have_a_name(declared: str, filenames: list[str]) -> None:
    """RFC 2045 §5.2 asks for a guess: text is what people wrote."""
    assert _parts("body", declared)[2] == filenames


@pytest.mark.parametrize(
    ("written", "octets"),
    [
        (b"a=3Db=\r\nc", b"a=bc"), (b"a=\nc", b"ac"), (b"====", b"==="), (b"a= \r\nb", b"ab"), (b"a=\rb", b"a=\rb"), (b"a=zz", b"a=zz"),
        (b"a=", b"a"), (b"a=c3=a9", "aé".encode()),
    ],
)  # fmt: skip
def test_quoted_printable_with_stray_equals_signs(written: bytes, octets: bytes) -> None:
    """What is no escape stands as it was."""
    assert b"".join(decode_quoted_printable(written, 0, len(written))) == octets


def test_large_quoted_printable_is_cut_where_no_escape_is() -> None:
    """Pieces of about a megabyte, in lines and in one endless line."""
    lines = b"=C3=A9 text\r\n" * 200_000
    endless = b"x=C3=A9" * 400_000
    solid = b"x" * 3_000_000

    assert b"".join(decode_quoted_printable(lines, 0, len(lines))) == "é text\r\n".encode() * 200_000
    assert b"".join(decode_quoted_printable(endless, 0, len(endless))) == "xé".encode() * 400_000
    assert b"".join(decode_quoted_printable(solid, 0, len(solid))) == solid


def test_the_q_encoding_reads_underscores_as_blanks() -> None:
    """RFC 2047 §4.2."""
    assert decode_q(b"a_b=5F==") == b"a b_="


@pytest.mark.parametrize(
    ("written", "octets"),
    [
        (b"Q2F0", b"Cat"), (b"Q2F0Cg", b"Cat\n"), (b"Q2F0Cg=", b"Cat\n"), (b"Q2F0\nCg==\n", b"Cat\n"), (b"Q2F0Cg==Q2F0", b"Cat\nCat"),
        (b"Q2F0Cg==\n-- \nA list", b"Cat\n"), (b"Q2F0Q", b"Cat"), (b"", b""), (b"=", b""), (b"Q2!F0", b"Cat"),
    ],
)  # fmt: skip
def test_base64_that_is_not_clean(written: bytes, octets: bytes) -> None:
    """Missing and misplaced padding, noise, text behind the end."""
    assert decode_loosely(written) == octets
    assert b"".join(decoded(written, 0, len(written))) == octets


def test_a_large_text_in_base64_is_read() -> None:
    """In pieces; the line ends inside are part of what is encoded."""
    text = "Grüße\r\n" * 200_000
    encoded = base64.encodebytes(text.encode())

    assert parse(b"From: a@b.example\nContent-Transfer-Encoding: base64\n\n" + encoded).text_body == "Grüße\n" * 200_000
    assert Span(encoded, 0, len(encoded), "base64").data() == text.encode()


def test_pieces_of_any_size_become_one_base64() -> None:
    """The cut points do not show."""
    assert b"".join(encoded([b"a", b"", b"bc", b"defg", b"h" * 300_000, b"i"])) == b"".join(
        encoded([b"abcdefg" + b"h" * 300_000 + b"i"])
    )


def test_text_lines_of_an_attachment_end_in_crlf_and_other_octets_stay() -> None:
    """RFC 2046 §4.1.1 for text; an image is not touched."""
    raw = b"a\nb\r\nc\n" * 200_000

    assert Span(raw, 0, len(raw), "", lines=True).data() == b"a\r\nb\r\nc\r\n" * 200_000
    assert Span(raw, 0, len(raw), "").data() == raw
    assert Span(b"x" * 2_000_000, 0, 2_000_000, "").data() == b"x" * 2_000_000


@pytest.mark.parametrize(
    "raw",
    [
        b"X: " + b"x" * 2_000,
        b"X: 1\n" * 60,
        b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\n" * 60,
        b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(60)),
        b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--bb\n" * 60,
        b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\nContent-Type: multipart/mixed; boundary=c\n\n" + b"--c\n\n" * 20 + b"--c--\n--b\n\n" * 40,
    ],
)  # fmt: skip
def test_a_mail_beyond_a_limit_is_refused(raw: bytes) -> None:
    """`554 5.6.0`, and it says what is too much."""
    limits = Limits(max_header_bytes=1_000, max_fields=50, max_depth=20, max_parts=50, max_boundary_lookalikes=50)

    with pytest.raises(Refusal, match=r"554 5\.6\.0 Message refused: .*too") as refused:
        parse(raw, limits)

    assert refused.value.rule == "mime_limit"


def test_a_body_without_header_may_be_longer_than_a_header() -> None:
    """The limit on the header section is for header sections."""
    assert parse(b"text " * 1_000, Limits(max_header_bytes=100)).text_body == "text " * 1_000


def test_a_delimiter_behind_megabytes_is_found() -> None:
    """The search goes window by window."""
    body = b"x" * (4 << 20) + b"\n" * 3
    message = parse(
        b"Content-Type: multipart/mixed; boundary=bound\n\n--bound\n\n" + body + b"\n--bound\n\nend\n--bound--"
    )

    assert message.text_body is not None
    assert message.text_body.endswith("\nend\n")
