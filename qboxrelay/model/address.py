"""Mail addresses as values.

In: text that a parser has already taken apart. Out: `Address` and `Mailbox`. Never: parsing of header or command syntax
(`mime` and `smtp` do that), so that nothing unchecked becomes an address by accident.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

import idna

from qboxrelay.model.value import value


@lru_cache(maxsize=4096)
def domain_key(domain: str) -> str:
    """The form in which two spellings of one domain are equal: lower case, IDNA A-labels (RFC 5890), no root dot."""
    folded = domain.rstrip(".").lower()
    if folded.isascii():
        return folded
    try:
        # UTS 46 knows other full stops, also at the end.
        return idna.encode(folded, uts46=True).decode("ascii").rstrip(".")
    except idna.IDNAError:
        return folded


_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_DNS_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_MAX_NAME = 253
"""RFC 1035 §3.1 allows 255 octets, a length before each label and the root's included."""


def is_dns_name(key: str) -> bool:
    """Whether a `domain_key` can be a name in DNS: no address literal, no label that is empty or too long, no letter left outside ASCII."""
    return len(key) <= _MAX_NAME and _DNS_NAME.fullmatch(key) is not None


@value(frozen=True, slots=True)
class Address:
    """One mailbox address, RFC 5321 §4.1.2; both halves stand as they were written, quotes of the local part included."""

    local: str
    domain: str

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}"

    @property
    def exact_key(self) -> tuple[str, str]:
        """Equal for the same mailbox: the local part is the receiving host's business (RFC 5321 §2.4), the domain is not."""
        return unquoted(self.local), domain_key(self.domain)

    @property
    def folded_key(self) -> tuple[str, str]:
        """Equal for what people take for the same mailbox: `Bob@example.com` and `bob@EXAMPLE.com`."""
        return unquoted(self.local).casefold(), domain_key(self.domain)


def unquoted(local: str) -> str:
    r"""A local part without its quotes: `"a\"b"` and `a"b` name the same mailbox (RFC 5321 §4.1.2)."""
    if len(local) < 2 or local[0] != '"' or local[-1] != '"':
        return local
    inner = local[1:-1]
    return inner if "\\" not in inner else "".join(_unescaped(inner))


def _unescaped(inner: str) -> Iterator[str]:
    walk = iter(inner)
    for character in walk:
        yield next(walk, "") if character == "\\" else character


@value(frozen=True, slots=True)
class Mailbox:
    """An address with the display name that stood beside it (RFC 5322 §3.4); `name` is decoded text, empty when there was none."""

    address: Address
    name: str = ""
