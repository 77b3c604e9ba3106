"""Arguments of MAIL and RCPT (RFC 5321 §4.1.1.2, §4.1.1.3), read strictly where it matters and kindly where devices err.

In: the text behind the command. Out: an address and its parameters. Never: an address with a control character, or one that
could end its own quotes.

Kindness: a blank behind the colon, missing angle brackets, a source route (ignored, RFC 5321 Appendix C).
"""

import re

from qboxrelay.model.address import Address, domain_key
from qboxrelay.model.value import value

_ARGUMENT = re.compile(
    r"\s*:\s*(?:<(?P<path>(?:\"(?:[^\"\\]|\\.)*\"|[^\">])*)>|(?P<bare>[^\s<>]+))\s*(?P<rest>.*)\Z", re.DOTALL
)
_USUAL_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_USUAL_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_USUAL = re.compile(rf":<({_USUAL_ATOM}(?:\.{_USUAL_ATOM})*)@({_USUAL_LABEL}(?:\.{_USUAL_LABEL})*)>(.*)\Z", re.DOTALL)
"""What nearly every client sends (RFC 5321 §4.1.2, ASCII): one look instead of several."""
_ROUTE = re.compile(r"\A@[^:]*:")
# Dots among the rest: a pattern of atoms between dots would try every way to divide a long local part.
_DOTTED = r"[^\s\x00-\x20\x7f\"(),:;<>@\[\]\\]+"
_LOCAL = re.compile(rf"(?:{_DOTTED}|\"(?:[^\"\\\x00-\x1f\x7f]|\\[\x20-\x7e])*\")\Z")
_DOMAIN = re.compile(r"(?:(?:[\w](?:[\w-]*[\w])?)(?:\.[\w](?:[\w-]*[\w])?)*\.?|\[[0-9A-Za-z:.]+\])\Z")
_MAX_LOCAL_OCTETS = 256
_MAX_DOMAIN_OCTETS = 255


class PathError(ValueError):
    """The argument is not a path; nothing of it may be echoed."""


@value(frozen=True, slots=True)
class Path:
    """`address` is None for the null path `<>`; parameter names are in upper case."""

    address: Address | None
    parameters: dict[str, str]


def read_path(keyword: str, argument: str | None) -> Path:
    """Read `FROM:<path> PARAMETERS` or `TO:<path> PARAMETERS`. Raises `PathError`."""
    if argument is None or argument[: len(keyword)].upper() != keyword:
        raise PathError("syntax")
    usual = _USUAL.match(argument, len(keyword)) if len(argument) <= _MAX_DOMAIN_OCTETS else None
    if usual is not None:
        local, domain, rest = usual.groups()
        return Path(Address(local, domain), _read_parameters(rest) if rest else {})
    found = _ARGUMENT.match(argument, len(keyword))
    if found is None:
        raise PathError("syntax")
    path = found["path"] if found["path"] is not None else found["bare"]
    return Path(_read_address(path.strip()), _read_parameters(found["rest"]))


def _read_address(path: str) -> Address | None:
    if not path.isprintable():
        # Control characters, and the lone surrogates that stand for bytes which are not UTF-8 (RFC 6531 §3.3).
        raise PathError("address")
    path = _ROUTE.sub("", path)
    if not path:
        return None
    local, at, domain = path.rpartition("@")
    if not at or not _LOCAL.match(local) or not _DOMAIN.match(domain):
        raise PathError("address")
    if len(local.encode("utf-8", "replace")) > _MAX_LOCAL_OCTETS or len(domain_key(domain)) > _MAX_DOMAIN_OCTETS:
        raise PathError("address")
    return Address(local, domain)


def _read_parameters(rest: str) -> dict[str, str]:
    pairs = (word.partition("=") for word in rest.split())
    return {name.upper(): value for name, _, value in pairs}
