"""Address fields: From, To, Reply-To and their like (RFC 5322 §3.4, RFC 6854), and what senders write instead.

In: the text of a field, unfolded, encoded words still encoded. Out: `AddressList`, or text. Never: an exception, or an address made of
parts that did not stand together.

The quick reader knows `a@b.c` and `Name <a@b.c>`, separated by commas. Everything else goes to the tolerant reader in
`address_tolerant`; where the quick one applies, both say the same.
"""

import re
from functools import lru_cache

from qboxrelay.mime.address_spec import MAX_ADDRESS
from qboxrelay.mime.address_tolerant import read_tolerantly
from qboxrelay.mime.words import decode_words
from qboxrelay.model.address import Address, Mailbox
from qboxrelay.model.value import value

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]"
_SPEC = rf"({_ATOM}++(?:\.{_ATOM}++)*+)@([A-Za-z0-9_-]++(?:\.[A-Za-z0-9_-]++)*+)"
_WORD = r'[^"(),:;<>@\[\\\]\s]++'
_MAILBOX = re.compile(rf'(?:{_SPEC}|(?:"([^"\\]*+)" ?|({_WORD}(?: {_WORD})*+) ?)?<{_SPEC}>)[ \t]*+(?:,[ \t]*+|\Z)')
_PLAIN_NAME = re.compile(r"[\w !#$%&'*+/=?^`{|}~-]+")
_MAX_REMEMBERED = 200


@value(frozen=True, slots=True)
class AddressList:
    """The mailboxes in order, groups opened; `groups` are the groups' names, `unusable` what could not be read as an address."""

    mailboxes: tuple[Mailbox, ...] = ()
    groups: tuple[str, ...] = ()
    unusable: tuple[str, ...] = ()


def read_addresses(value: str) -> AddressList:
    """The mailboxes of one field. Applications write from and to the same people, so short fields are remembered."""
    return _remembered(value) if len(value) <= _MAX_REMEMBERED else _read(value)


def _read(value: str) -> AddressList:
    mailboxes = read_quickly(value)
    if mailboxes is not None:
        return AddressList(tuple(mailboxes))
    found = read_tolerantly(value)
    if not found.mailboxes and "=?" in value:
        # Some senders encode the whole field, address included.
        found = read_tolerantly(decode_words(value))
    return AddressList(tuple(found.mailboxes), tuple(found.groups), tuple(found.unusable))


_remembered = lru_cache(maxsize=2048)(_read)


def read_quickly(value: str) -> list[Mailbox] | None:
    """The mailboxes, if every one is written the common way; else None."""
    mailboxes = []
    at = 0
    while at < len(value):
        match = _MAILBOX.match(value, at, at + MAX_ADDRESS + 1)
        if match is None or match.end() - at > MAX_ADDRESS:
            return None
        plain_local, plain_domain, quoted, words, local, domain = match.groups()
        if plain_local:
            mailboxes.append(Mailbox(Address(plain_local, plain_domain)))
        else:
            mailboxes.append(Mailbox(Address(local, domain), _shown(quoted or words or "")))
        at = match.end()
    return mailboxes


def decode_addresses(value: str) -> str:
    """An address field as text, encoded words decoded, and what they held quoted: a comma there separates nothing."""
    found = read_addresses(value)
    if found.groups or found.unusable or not found.mailboxes:
        return decode_words(value)
    return ", ".join(map(_written, found.mailboxes))


def _written(mailbox: Mailbox) -> str:
    if not mailbox.name:
        return str(mailbox.address)
    if _PLAIN_NAME.fullmatch(mailbox.name):
        return f"{mailbox.name} <{mailbox.address}>"
    quoted = mailbox.name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}" <{mailbox.address}>'


def _shown(name: str) -> str:
    if "=?" in name or "\t" in name or "  " in name or name != name.strip():
        return " ".join(decode_words(name).split())
    return name
