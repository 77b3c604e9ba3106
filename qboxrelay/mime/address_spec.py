"""One address, RFC 5322 §3.4.1: `local@domain`, taken out of what stood in brackets or between commas.

In: text. Out: `Address`, or None. Never: an address with a blank, bracket or control character outside quotes.
"""

import re

from qboxrelay.model.address import Address

MAX_ADDRESS = 998
"""What is longer is no address (RFC 5321 §4.5.3.1 allows 320); a bound on what one pattern looks at."""
_SCHEME = re.compile(r"\A(?:mailto|smtp):", re.IGNORECASE)
_SPACED = re.compile(r"\s*([@.])\s*")
_LOCAL = re.compile(r"""[^\s\x00-\x20\x7f-\x9f"(),:;<>@\[\\\]]+|"(?:[^"\\\x00-\x1f\x7f]|\\[\x20-\x7e])*\"""")
_DOMAIN = re.compile(
    r"[^\s\x00-\x20\x7f-\x9f!-,/:-@\[-^`{-~.]+(?:\.[^\s\x00-\x20\x7f-\x9f!-,/:-@\[-^`{-~.]+)*|\[[0-9A-Za-z.:_-]{2,64}\]"
)


def read_address(text: str) -> Address | None:
    """The address that `text` is; routes (obsolete), `mailto:`, Exchange's `[SMTP:…]` and stray quotes or dots around it are taken off."""
    if len(text) > MAX_ADDRESS or "@" not in text:
        return None
    bare = text.strip(" \t<>")
    if bare[:1] in {"'", "`"} and bare[-1:] in {"'", "`"}:
        bare = bare[1:-1]
    if bare[:1] == "[" and bare[-1:] == "]":
        bare = bare[1:-1]
    bare = _SCHEME.sub("", bare)
    bare = bare.partition(":")[2] if bare.startswith("@") else bare
    local, _, domain = bare.rpartition("@")
    local, domain = local.strip(), domain.strip(" \t.:;,\"'")
    if not local.startswith('"'):
        if len(bare.split()) > 1:
            local, domain = _SPACED.sub(r"\1", local), _SPACED.sub(r"\1", domain)
        local = local.removesuffix('"')
    if _LOCAL.fullmatch(local) and _DOMAIN.fullmatch(domain):
        return Address(local, domain)
    return None
