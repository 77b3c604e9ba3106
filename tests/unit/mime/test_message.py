"""Which part becomes what: bodies, attachments, names, signatures, and what is lost."""

import pytest

from qboxrelay.mime.filename import without_path
from qboxrelay.mime.parse import parse
from qboxrelay.model.address import Address, Mailbox
from qboxrelay.model.message import Loss, Message

_PNG = "iVBORw0KGgo="


def _mail(content_type: str, body: str, *, header: str = "") -> Message:
    return parse(f"From: a@b.example\nMIME-Version: 1.0\n{header}Content-Type: {content_type}\n\n{body}".encode())


def _multipart(subtype: str, *parts: str, boundary: str = "b") -> str:
    """A part that is a multipart: its header line, a blank line, its body."""
    body = "".join(f"--{boundary}\n{part}\n" for part in parts)
    return f"Content-Type: multipart/{subtype}; boundary={boundary}\n\n{body}--{boundary}--"


def _read(*lines: str) -> Message:
    return parse(("From: a@b.example\n" + "\n".join(lines)).encode())


_TEXT = "Content-Type: text/plain\n\nplain"
_HTML = "Content-Type: text/html\n\n<b>html</b>"
_IMAGE = f"Content-Type: image/png; name=logo.png\nContent-ID: <logo@x>\nContent-Transfer-Encoding: base64\n\n{_PNG}"


def _seen(message: Message) -> tuple[str | None, str | None, list[tuple[str, str, str | None]]]:
    attachments = [(each.filename, str(each.disposition), each.content_id) for each in message.attachments]
    return message.text_body, message.html_body, attachments


def test_alternatives_become_text_and_html() -> None:
    """RFC 2046 §5.1.4: the last of each kind is the best."""
    assert _seen(_read(_multipart("alternative", _TEXT, _HTML))) == ("plain", "<b>html</b>", [])
    assert (
        _seen(
            _read(_multipart("alternative", _TEXT, _TEXT.replace("plain", "better", 2).replace("better", "plain", 1)))
        )[0]
        == "better"
    )


def test_an_alternative_of_another_kind_is_attached() -> None:
    """An invitation travels with its method; nothing is dropped."""
    invitation = "Content-Type: text/calendar; method=REQUEST; charset=UTF-8\n\nBEGIN:VCALENDAR"
    message = _read(_multipart("alternative", _TEXT, _HTML, invitation))

    assert _seen(message) == ("plain", "<b>html</b>", [("attachment-1.ics", "attachment", None)])
    assert message.attachments[0].content_type == "text/calendar; method=REQUEST; charset=UTF-8"


def test_a_second_text_alternative_is_attached_and_an_empty_one_is_nothing() -> None:
    """The reader sees the last one that says something."""
    assert _seen(_read(_multipart("alternative", _TEXT, "Content-Type: text/plain\n\nother")))[2] == [
        ("attachment-1.txt", "attachment", None)
    ]
    assert _seen(_read(_multipart("alternative", _TEXT, _HTML, "\n"))) == ("plain", "<b>html</b>", [])


def test_alternatives_without_any_text_are_attached() -> None:
    """Two images, or nothing at all."""
    assert _seen(_read(_multipart("alternative", _IMAGE, _IMAGE)))[2] == [("logo.png", "attachment", None)] * 2
    assert _seen(_read(_multipart("alternative", "\n", "\n"))) == ("\n", None, [])


def test_an_html_alternative_with_attachments_inside_keeps_them() -> None:
    """Apple Mail puts the attachments into the HTML alternative."""
    inner = _multipart("mixed", _HTML, _IMAGE, boundary="c")

    assert _seen(_read(_multipart("alternative", _TEXT, inner))) == (
        "plain",
        "<b>html</b>",
        [("logo.png", "attachment", None)],
    )


def test_an_inline_image_is_inline_only_when_the_html_refers_to_it() -> None:
    """A Content-ID alone would make the API show an ordinary attachment inline."""
    referring = _HTML.replace("html</b>", 'html</b><img src="cid:logo%40x">')

    assert _seen(_read(_multipart("related", referring, _IMAGE)))[2] == [("logo.png", "inline", "logo@x")]
    assert _seen(_read(_multipart("related", _HTML + "cid:logo@x", _IMAGE)))[2] == [("logo.png", "inline", "logo@x")]
    assert _seen(_read(_multipart("related", _HTML, _IMAGE)))[2] == [("logo.png", "attachment", None)]
    inline = _IMAGE.replace("Content-ID", "Content-Disposition: inline\nContent-ID")
    assert _seen(_read(_multipart("mixed", _TEXT, inline)))[2] == [("logo.png", "inline", "logo@x")]


def test_inline_without_content_id_is_an_attachment_and_counted() -> None:
    """The API requires a content_id for inline."""
    message = _read(
        _multipart("mixed", _TEXT, f"Content-Type: image/png\nContent-Disposition: inline; filename=a.png\n\n{_PNG}")
    )

    assert _seen(message)[2] == [("a.png", "attachment", None)]
    assert [loss.rule for loss in message.losses] == ["inline_without_content_id"]


def test_related_shows_its_root_wherever_it_stands() -> None:
    """RFC 2387 §3.2: `start` names the root; without one it is the first part."""
    root = _HTML.replace("Content-Type", "Content-ID: <root@x>\nContent-Type")
    message = _read(_multipart("related", _TEXT, root).replace("boundary=b", 'boundary=b; start="<root@x>"'))

    assert _seen(message) == (None, "<b>html</b>", [("attachment-1.txt", "attachment", None)])
    nested = _multipart("related", _HTML, _multipart("mixed", _IMAGE, _TEXT, boundary="c"))
    assert [name for name, _, _ in _seen(_read(nested))[2]] == ["logo.png", "attachment-2.txt"]


def test_texts_of_a_mixed_message_are_joined_in_order() -> None:
    """A list's footer is text; beside HTML with a text alternative it goes into both."""
    assert (
        _seen(_read(_multipart("mixed", _TEXT, _IMAGE, "Content-Type: text/plain\n\nfooter")))[0] == "plain\nfooter\n"
    )
    both = _read(
        _multipart("mixed", _multipart("alternative", _TEXT, _HTML, boundary="c"), "Content-Type: text/plain\n\n1 < 2")
    )
    assert both.text_body == "plain\n1 < 2\n"
    assert _seen(_read(_multipart("mixed", _HTML, "Content-Type: text/plain\n\n \n")))[1] == "<b>html</b>"
    assert both.html_body == '<b>html</b>\n<pre style="white-space: pre-wrap">1 &lt; 2</pre>\n'


def test_text_and_html_side_by_side_are_both_shown() -> None:
    """They are no alternatives of one another: who reads the HTML sees the text as well."""
    message = _read(_multipart("mixed", _TEXT, _HTML))

    assert message.text_body == "plain"
    assert message.html_body == '<pre style="white-space: pre-wrap">plain</pre>\n<b>html</b>\n'


def test_text_with_a_file_name_is_an_attachment_unless_the_mail_begins_with_it() -> None:
    """A log file is attached; a body that some program gave a name is still the body."""
    named = "Content-Type: text/plain; name=log.txt\n\nlines"
    filed = "Content-Type: text/plain\nContent-Disposition: inline; filename=log.txt\n\nlines"

    assert _seen(_read(_multipart("mixed", _TEXT, named))) == ("plain", None, [("log.txt", "attachment", None)])
    assert _seen(_read(named)) == ("lines", None, [])
    assert _seen(_read(filed))[2] == [("log.txt", "attachment", None)]


def test_a_mail_without_text_names_its_attachments() -> None:
    """The API requires a body; an empty one becomes a line end."""
    assert _seen(_read(_IMAGE)) == ("Attached: logo.png\n", None, [("logo.png", "attachment", None)])
    assert _read("Subject: x\n\n").text_body == "\n"
    assert _seen(_read(_multipart("mixed", "Content-Type: text/plain\n\n", _IMAGE)))[0] == "\n"


def test_a_forwarded_mail_is_attached_as_octets() -> None:
    """message/rfc822 as .eml, its own attachments inside; digests hold mails by default."""
    message = _read(_multipart("mixed", _TEXT, "Content-Type: message/rfc822\n\nSubject: inner\n\nhello"))

    assert _seen(message)[2] == [("attachment-1.eml", "attachment", None)]
    assert message.attachments[0].content.data() == b"Subject: inner\r\n\r\nhello"
    assert _seen(_read(_multipart("digest", "\nSubject: a\n\n1", "\nSubject: b\n\n2")))[2] == [
        ("attachment-1.eml", "attachment", None),
        ("attachment-2.eml", "attachment", None),
    ]


def test_a_clear_signed_mail_is_read_and_its_signature_attached() -> None:
    """RFC 1847: content as usual; the broken signature is counted."""
    signature = "Content-Type: application/pgp-signature\n\n-----BEGIN"
    message = _read(_multipart("signed", _TEXT, signature))

    assert _seen(message) == ("plain", None, [("attachment-1.asc", "attachment", None)])
    assert [loss.rule for loss in message.losses] == ["signature_broken"]


@pytest.mark.parametrize(
    ("written", "opaque"),
    [
        (_multipart("encrypted", "Content-Type: application/pgp-encrypted\n\nVersion: 1", "Content-Type: application/octet-stream\n\nx"), "encrypted"),
        ("Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m\n\nMII", "encrypted"),
        ("Content-Type: application/x-pkcs7-mime; smime-type=signed-data\n\nMII", "signed"),
        ("Content-Type: application/pkcs7-mime\nContent-Disposition: attachment; filename=smime.p7s\n\nMII", "signed"),
        ("Content-Type: application/pkcs7-mime\n\nMII", "encrypted"),
        ("Content-Type: application/pkcs7-mime; smime-type=certs-only\n\nMII", None),
        ("Content-Type: multipart/encrypted; boundary=gone\n\nMII", None),
        (_multipart("mixed", _TEXT, _multipart("mixed", _multipart("encrypted", "\n1", boundary="d"), boundary="c")), "encrypted"),
        (_multipart("signed", "Content-Type: application/pkcs7-mime\n\nMII", "Content-Type: application/pkcs7-signature\n\nMII"), "encrypted"),
        (_multipart("mixed", _TEXT, "Content-Type: application/pkcs7-mime\n\nMII"), None),
        (_TEXT, None),
    ],
)  # fmt: skip
def test_hidden_content_is_recognised(written: str, opaque: str | None) -> None:
    """S/MIME and PGP/MIME whose content JSON fields cannot carry."""
    assert _read(written).opaque == opaque


def test_an_opaque_mail_is_attached_whole_without_its_blind_recipients() -> None:
    """The original as .eml, with the line ends that SMTP has, a body that says so, no Bcc."""
    raw = b"From: a@b.example\nBcc: x@b.example,\n y@b.example\nSubject: s\nContent-Type: application/pkcs7-mime\n\nMII\nBcc: text\n"
    message = parse(raw)

    assert message.text_body is not None
    assert "encrypted" in message.text_body
    assert [each.filename for each in message.attachments] == ["original.eml"]
    original = raw.replace(b"Bcc: x@b.example,\n y@b.example\n", b"").replace(b"\n", b"\r\n")
    assert message.attachments[0].content.data() == original
    assert [loss.rule for loss in message.losses] == ["unrepresentable"]


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("a.pdf", "a.pdf"), ("/etc/passwd", "passwd"), ("C:\\temp\\a.pdf", "a.pdf"), ("C:a.pdf", "a.pdf"), ("..", ""), ("", ""), (" a b ", "a b"),
        ("dir/", "dir"), ("../../x", "x"), (f"{'é' * 300}.pdf", f"{'é' * 118}.pdf"), ("x" * 300, "x" * 240),
    ],
)  # fmt: skip
def test_names_are_no_paths_and_not_endless(written: str, name: str) -> None:
    """What a file system would not take is taken off; the extension stays."""
    assert without_path(written) == name


def test_types_keep_the_parameters_that_change_what_the_content_is() -> None:
    """Charset of text, access of external bodies; the name goes to filename."""
    kinds = [
        'text/csv; charset=utf-8; header="a b"; name=x.csv',
        "message/external-body; access-type=anon-ftp; site=example.com",
        "application/pdf; name=a.pdf; x-mac-type=504446",
    ]
    message = _read(
        _multipart("mixed", *[f"Content-Type: {kind}\nContent-Disposition: attachment\n\nx" for kind in kinds])
    )

    assert [each.content_type for each in message.attachments] == [
        'text/csv; charset=utf-8; header="a b"',
        "message/external-body; access-type=anon-ftp; site=example.com",
        "application/pdf",
    ]


@pytest.mark.parametrize(
    ("encoding", "decoded"),
    [
        ("base64", "Cat"), ("BASE64 ", "Cat"), ("base-64", "Cat"), ("quoted printable", "Q2F0"), ("quoted-printable;", "Q2F0"), ("7bit", "Q2F0"),
        ("utf-8", "Q2F0"), ("", "Q2F0"), ("x-unknown", "Q2F0"), ("binary", "Q2F0"), ('"base64"', "Cat"), ("base64 (comment)", "Cat"),
    ],
)  # fmt: skip
def test_transfer_encodings_as_senders_spell_them(encoding: str, decoded: str) -> None:
    """What is no encoding leaves the octets as they are (RFC 2045 §6.4 is for other parts than text)."""
    assert _read(f"Content-Transfer-Encoding: {encoding}\n\nQ2F0").text_body == decoded


def test_header_fields_that_are_not_passed_on_have_members_or_meaning() -> None:
    """Structural fields are gone, all others remain in order."""
    message = parse(
        b"Return-Path: <x@y.example>\nReceived: 1\nReceived: 2\nFrom: a@b.example, c@d.example\nSender: c@d.example\nTo: t@x.example\nTo: u@x.example\n"
        b"Cc: g: v@x.example, junk word;\nReply-To: r@x.example\nSubject:\nSubject: second\nDate: today\nMessage-ID: <1@x>\nDKIM-Signature: v=1\n"
        b"ARC-Seal: i=1\nX-Qboxrelay-Id: OLD-1\nX-A: 1\nX-a: 2\nReferences: <0@x>\nMIME-Version: 1.0\nContent-Language: it\n\nbody\n"
    )

    assert message.headers == (("Message-ID", "<1@x>"), ("X-A", "1"), ("X-a", "2"), ("References", "<0@x>"))
    assert message.from_ is not None
    assert str(message.from_.address) == "c@d.example"
    assert [str(mailbox.address) for mailbox in message.to] == ["t@x.example", "u@x.example"]
    assert (message.subject, message.date, message.message_id) == ("second", "today", "<1@x>")
    assert (message.received_count, message.relay_ids) == (2, ("OLD-1",))
    assert sorted(loss.rule for loss in message.losses) == [
        "bad_address",
        "group",
        "seal_broken",
        "seal_broken",
        "several_authors",
    ]


def test_a_fragment_is_told() -> None:
    """message/partial is unreadable alone; the door decides."""
    assert _read("Content-Type: message/partial; number=1; total=2; id=x\n\npart").partial
    assert not _read(_TEXT).partial


def test_octets_that_are_no_text_are_counted() -> None:
    """U+FFFD stands for them."""
    message = parse(b"From: a@b.example\nContent-Type: text/plain; charset=utf-8\n\n\xc3\xa9 caf\xe9")

    assert message.text_body == "é caf\ufffd"
    assert [loss.rule for loss in message.losses] == ["charset"]


def test_each_field_is_in_its_place() -> None:
    """They are given by position, and many are of one type."""
    raw = (
        b"From: a@b.example, f@b.example\nSender: f@b.example\nTo: to@b.example\nCc: cc@b.example\nBcc: bcc@b.example\n"
        b"Reply-To: r@b.example\nSubject: s\nDate: d\nMessage-ID: <m>\nReceived: x\nReceived: y\nX-Qboxrelay-Id: i\n"
        b"Content-Type: multipart/alternative; boundary=b\n\n--b\n\ntext\n--b\nContent-Type: text/html\n\nhtml\n--b--\n"
    )
    author, to, cc, bcc, reply_to = (Mailbox(Address(name, "b.example")) for name in ("f", "to", "cc", "bcc", "r"))

    assert parse(raw) == Message(
        from_=author,
        sender=author,
        to=(to,),
        cc=(cc,),
        bcc=(bcc,),
        reply_to=(reply_to,),
        subject="s",
        text_body="text",
        html_body="html",
        headers=(("Message-ID", "<m>"),),
        message_id="<m>",
        date="d",
        losses=(Loss("a further author in From", "several_authors"),),
        received_count=2,
        relay_ids=("i",),
    )
