"""What the client asked about notices (RFC 3461), kept as text beside a submission.

In: the envelope's ENVID, NOTIFY and ORCPT. Out: text for the spool, and what it says. Never: control characters or other than ASCII from a
client in what is written into a notice.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import orjson

from qboxrelay.model.envelope import Notify, Recipient
from qboxrelay.model.submission import NoticeKind

_HEX = re.compile(r"\+([0-9A-F]{2})")
_PRINTABLE = re.compile(r"[ -~]{1,500}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was asked about the recipients of one submission, by their addresses as text."""

    envid: str = ""
    notify: dict[str, frozenset[Notify]] = field(default_factory=dict)
    orcpt: dict[str, str] = field(default_factory=dict)

    def wants(self, recipient: str, kind: NoticeKind) -> bool:
        """Whether a notice may speak of the recipient. Who asked for nothing hears of both (RFC 3461 §4.1)."""
        asked = self.notify.get(recipient)
        return asked is None or (Notify.FAILURE if kind is NoticeKind.FAILURE else Notify.DELAY) in asked


def write_asked(envid: str | None, recipients: Iterable[Recipient]) -> str:
    """The text for `Submission.dsn`; empty when nothing was asked."""
    notify = {str(one.address): sorted(one.notify) for one in recipients if one.notify}
    orcpt = {str(one.address): text for one in recipients if (text := from_xtext(one.orcpt))}
    asked = {"envid": from_xtext(envid), "notify": notify, "orcpt": orcpt}
    return orjson.dumps({name: value for name, value in asked.items() if value}).decode() if any(asked.values()) else ""


def read_asked(text: str) -> Asked:
    found = orjson.loads(text) if text else {}
    return Asked(
        envid=found.get("envid", ""),
        notify={address: frozenset(map(Notify, words)) for address, words in found.get("notify", {}).items()},
        orcpt=found.get("orcpt", {}),
    )


def from_xtext(text: str | None) -> str:
    """Decoded (RFC 3461 §4); empty for what is not printable ASCII then."""
    decoded = _HEX.sub(lambda match: chr(int(match[1], 16)), text or "")
    return decoded if _PRINTABLE.fullmatch(decoded) else ""
