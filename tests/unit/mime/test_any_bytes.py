"""Whatever the bytes are, a message or a refusal comes out, and what comes out can be said in JSON."""

import orjson
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qboxrelay.mime.parse import parse
from qboxrelay.model.message import Message
from qboxrelay.model.reply import Refusal

_LINES = st.sampled_from(
    [
        b"From: a@b.example", b"From: =?utf-8?q?\xff?= <a@b>", b"To: g: a@b.example, <c@d>;", b"Subject: =?x?b?!!!?=", b"Subject: \xe9\x00",
        b"Content-Type: multipart/mixed; boundary=b", b"Content-Type: multipart/alternative; boundary=c", b"Content-Type: multipart/related; boundary=b",
        b"Content-Type: multipart/signed; boundary=b", b"Content-Type: multipart/encrypted; boundary=b", b"Content-Type: text/html; charset=utf-16",
        b"Content-Type: text/plain; charset=utf-7; format=flowed; delsp=yes", b"Content-Type: text/plain; charset=iso-2022-jp", b"Content-Type: *",
        b"Content-Type: message/rfc822", b"Content-Type: application/pkcs7-mime", b"Content-Type: image/png; name*0*=utf-8''%ff; name*1=b",
        b'Content-Disposition: attachment; filename="a\\b', b"Content-Disposition: inline; filename==?utf-8?q?=C3?=", b"Content-ID: <x@y>",
        b"Content-Transfer-Encoding: base64", b"Content-Transfer-Encoding: quoted-printable", b"Content-Transfer-Encoding: x-uuencode",
        b"--b", b"--b--", b"--c", b"--c--", b"", b"", b" folded", b"begin 644 f", b"#0V%T", b"`", b"end", b"=3D=\xe9=", b"aGVsbG8=", b"====", b"\x1b$B!!\x1b(B",
        b"+2AA-", b"<img src=cid:x@y>", b"\xff\xfe", b"-- ", b"> q ", b"\r", b":", b"From ", b"no colon here",
    ]
)  # fmt: skip


def _read(raw: bytes) -> Message | None:
    try:
        return parse(raw)
    except Refusal:
        return None


def _sayable(message: Message) -> None:
    """Everything that goes into JSON, as orjson takes it: no lone surrogate; and no NUL, no line end in a one-line field."""
    bodies = [message.text_body, message.html_body]
    # Unfolding leaves a tab where a line was folded with one (RFC 5322 §2.2.3).
    lines = [message.subject, *[text.replace("\t", " ") for header in message.headers for text in header]]
    lines += [attachment.filename for attachment in message.attachments]
    lines += [attachment.content_type for attachment in message.attachments]
    for mailbox in (*message.to, *message.cc, *message.reply_to, *([message.from_] if message.from_ else [])):
        lines += [mailbox.name, str(mailbox.address)]
    assert b"\\u0000" not in orjson.dumps([bodies, lines])
    assert all(text.isprintable() or not set(text) & set(map(chr, [*range(32), 127, 0x2028, 0x2029])) for text in lines)
    assert message.text_body or message.html_body
    for attachment in message.attachments:
        assert attachment.filename
        assert b"".join(attachment.content.base64()).isascii()
        assert isinstance(attachment.content.data(), bytes)


@given(st.binary(max_size=400))
@example(b"X: a\tb\n\tc")
def test_any_octets_are_read(raw: bytes) -> None:
    """Never an exception."""
    if message := _read(raw):
        _sayable(message)


@settings(max_examples=max(400, settings().max_examples))
@given(st.lists(_LINES, max_size=25), st.sampled_from([b"\n", b"\r\n", b"\r", b"\r\r\n"]))
def test_any_order_of_lines_that_mean_something_is_read(lines: list[bytes], line_end: bytes) -> None:
    """Never an exception, never text that JSON cannot hold."""
    if message := _read(line_end.join(lines)):
        _sayable(message)


@given(st.lists(_LINES, max_size=25))
def test_the_same_mail_with_lf_and_crlf_is_the_same_message(lines: list[bytes]) -> None:
    """A mail kept in a file with bare LF is the mail that SMTP would bring: bodies, names and octets are equal."""
    whole = [line for line in lines if b"\r" not in line and b"utf-16" not in line]
    read = [_read(line_end.join([b"X-First: 1", *whole, b""])) for line_end in (b"\n", b"\r\n")]

    assert [_comparable(message) for message in read[:1]] == [_comparable(message) for message in read[1:]]


def _comparable(message: Message | None) -> object:
    if message is None:
        return None
    attachments = [
        (a.filename, a.content_type, a.content_id, b"".join(a.content.base64())) for a in message.attachments
    ]
    texts = (message.text_body, message.html_body, message.subject, message.headers, message.opaque, message.losses)
    return attachments if message.opaque is None else len(attachments), texts
