"""SMTP replies (RFC 5321 §4.2) with enhanced codes (RFC 3463), and the refusal that carries one.

In: codes and text. Out: `Reply`, `Refusal`. Never: exception text, secrets or message content in a reply; control characters
are taken out here, so that nothing a client sent can become a line of its own.
"""

import re
from functools import cached_property

from qboxrelay.model.value import value

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_MAX_TEXT = 480
"""RFC 5321 §4.5.3.1.5 allows 512 octets for a reply line, code and line end included."""


@value(frozen=True)
class Reply:
    """One reply: `code` as in RFC 5321 §4.2, `enhanced` as in RFC 3463 (`x.y.z`), `text` that says what to do."""

    code: int
    enhanced: str
    text: str

    def __str__(self) -> str:
        # To look is quicker than to substitute, and nearly every text passes it.
        text = (self.text if self.text.isprintable() else _UNPRINTABLE.sub(" ", self.text))[:_MAX_TEXT]
        return f"{self.code} {self.enhanced} {text}" if self.enhanced else f"{self.code} {text}"

    @cached_property
    def line(self) -> bytes:
        """As it goes over the wire, line end included; most replies are the same few, again and again."""
        return f"{self}\r\n".encode("utf-8", "replace")

    @property
    def accepted(self) -> bool:
        return 200 <= self.code < 300

    @property
    def permanent(self) -> bool:
        return self.code >= 500


class Refusal(Exception):  # noqa: N818 - the word of the field, not an error of ours
    """A mail or command is not taken. `reply` is for the client; `rule` names the reason in logs and metrics (a closed set of words)."""

    def __init__(self, reply: Reply, *, rule: str) -> None:
        super().__init__(str(reply))
        self.reply = reply
        self.rule = rule
