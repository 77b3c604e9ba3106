"""S/MIME and PGP that hides the content: what a mail made of JSON fields cannot carry.

In: the tree. Out: how a mail is opaque, and the stand-in for it: the original as attachment. Never: an attempt to look inside.

Clear-signed mail (multipart/signed) is not opaque: its content is at hand, `body` counts the broken signature.
"""

import re
from typing import Literal

from qboxrelay.mime.content import Span
from qboxrelay.mime.entity import Entity
from qboxrelay.model.message import Attachment

_PKCS7 = {"application/pkcs7-mime", "application/x-pkcs7-mime"}
_BLIND_FIELD = re.compile(
    rb"(?:\A[ \t]*|^)(?:resent-)?bcc[ \t]*:[^\n]*(?:\n|\Z)(?:(?![!-9;-~]+[ \t]*:)[^\r\n][^\n]*(?:\n|\Z))*",
    re.IGNORECASE | re.MULTILINE,
)
"""With its folded lines, and those that were folded without a blank."""

NOTICES = {
    "encrypted": "This message is encrypted. It is attached in its original form; open the attachment with a mail program that holds your key.\n",
    "signed": "This message is signed in a way that hides its text. It is attached in its original form; open the attachment with a mail program.\n",
}


def opacity(entity: Entity) -> Literal["encrypted", "signed"] | None:
    """How the mail as a whole is opaque; None for ordinary mail.

    PGP/MIME counts wherever it stands: its parts say nothing one by one. S/MIME counts where it is the mail, perhaps under a
    signature; among other parts it is a file like any other.
    """
    if entity.children:
        if entity.type.value == "multipart/encrypted":
            return "encrypted"
        if entity.type.value == "multipart/signed":
            return opacity(entity.children[0])
        return "encrypted" if any(map(_holds_pgp, entity.children)) else None
    return _pkcs7(entity) if entity.type.value in _PKCS7 else None


def _holds_pgp(entity: Entity) -> bool:
    return bool(entity.children) and (
        entity.type.value == "multipart/encrypted" or any(map(_holds_pgp, entity.children))
    )


def _pkcs7(leaf: Entity) -> Literal["encrypted", "signed"] | None:
    smime_type = leaf.type.get("smime-type").lower()
    if smime_type == "certs-only":
        return None
    name = (leaf.type.get("name") or leaf.disposition.get("filename")).lower()
    is_signed = smime_type in {"signed-data", "signed-receipt"} or (not smime_type and name.endswith(".p7s"))
    return "signed" if is_signed else "encrypted"


def original(raw: bytes, root: Entity) -> Attachment:
    """The mail itself as an attachment, blind recipients taken out of its header."""
    whole = _BLIND_FIELD.sub(b"", raw[: root.start]) + raw[root.start :]
    return Attachment("original.eml", "message/rfc822", Span(whole, 0, len(whole), "", lines=True))
