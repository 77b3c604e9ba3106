"""Parameters of MAIL and BDAT: which are understood, which do no harm.

In: the parameters of one command. Out: their values, or the reply to one that cannot be honoured. Never: a refusal of what real clients send without
meaning it.
"""

from qboxrelay.model.reply import Reply
from qboxrelay.smtp import replies

_KNOWN = {"SIZE", "BODY", "SMTPUTF8", "RET", "ENVID", "AUTH"}
_HARMLESS = {"MT-PRIORITY", "SOLICIT", "TRANSID", "NOTIFY", "ORCPT"}
"""RFC 6710, 3865, and what clients put on the wrong command: a mail without their effect is still the mail."""
_MAX_DIGITS = 20
"""RFC 1870 §4."""
_TAKEN = _KNOWN | _HARMLESS
_BODIES = {"7BIT", "8BITMIME"}


def refused_parameter(parameters: dict[str, str], max_bytes: int) -> Reply | None:
    """The refusal that the parameters deserve; None when they can be taken. Private ones (X…) are ignored."""
    if any(name not in _TAKEN and not name.startswith("X") for name in parameters):
        return replies.BAD_PARAMETER
    if parameters.get("BODY", "7BIT").upper() not in _BODIES:
        return replies.BAD_PARAMETER
    size = _number(parameters.get("SIZE") or "0")
    if size is None:
        return replies.BAD_PARAMETER
    return replies.TOO_LARGE if size > max_bytes else None


def read_chunk(argument: str | None) -> tuple[int, bool] | None:
    """The octets that BDAT announces and whether they are the last ones (RFC 3030 §2); None when that cannot be read."""
    words = (argument or "").upper().split()
    count = _number(words[0]) if words else None
    return (count, len(words) > 1) if count is not None and words[1:] in ([], ["LAST"]) else None


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS else None
