"""Mails that tests send, made with the standard library so that they owe nothing to the relay."""

from email.message import EmailMessage
from hashlib import sha256

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360000002000001e221bc330000000049454e44ae426082"
)


def simple(
    subject: str, *, sender: str = "ann@example.com", to: str = "bob@example.net", body: str = ""
) -> EmailMessage:
    """A text mail; the subject is its token, in the body too."""
    mail = EmailMessage()
    mail["From"] = f"Ann <{sender}>"
    mail["To"] = to
    mail["Subject"] = subject
    mail.set_content(body or f"token {subject}\n")
    return mail


def wire(mail: EmailMessage) -> bytes:
    """As it stands on the wire, with CRLF: smtplib passes bytes on as they are."""
    return mail.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def rich(subject: str, attachment: bytes) -> EmailMessage:
    """Text, HTML with an inline image, an attachment, names that are not ASCII."""
    mail = simple(subject)
    mail.replace_header("From", "Zoë Ångström <zoe@example.com>")
    mail["Cc"] = "Čeněk <cc@example.net>"
    mail.add_alternative('<p>Grüße <img src="cid:logo@example.com"></p>', subtype="html")
    html = list(mail.iter_parts())[1]
    assert isinstance(html, EmailMessage)
    html.add_related(PNG, "image", "png", cid="<logo@example.com>", filename="logo.png")
    mail.add_attachment(attachment, "application", "octet-stream", filename="Übersicht 2026.bin")
    return mail


def pattern(size: int, seed: int = 1) -> bytes:
    """Bytes without structure, the same for the same seed."""
    blocks = (sha256(f"{seed}:{n}".encode()).digest() for n in range(size // 32 + 1))
    return b"".join(blocks)[:size]
