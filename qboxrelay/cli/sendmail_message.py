"""The mail that a program pipes in: recipients from its header, and what is missing added to it.

In: bytes as programs write them. Out: bytes with CRLF, as SMTP wants them. Never: a Bcc that recipients could read, a changed body.
"""

import re
from collections.abc import Sequence
from email.utils import formataddr, formatdate, getaddresses, make_msgid

_LINE_END = re.compile(rb"\r\n|\n|\r")
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:")
_RECIPIENTS = ("to", "cc", "bcc")


class Mail:
    """Header fields, each with its continuation lines, and the body behind them."""

    def __init__(self, content: bytes, *, ignore_dots: bool) -> None:
        """Without `ignore_dots` a line with a dot alone ends the mail."""
        lines = _LINE_END.split(content)
        if not ignore_dots and b"." in lines:
            lines = [*lines[: lines.index(b".")], b""]
        if lines[0].startswith(b"From "):
            # A line of a mailbox file, which mail programs of old pass on.
            del lines[0]
        count = _header_lines(lines)
        self._fields: list[tuple[str, bytes]] = _fields(lines[:count])
        # The empty line is not the body's; a mail may also begin with its body.
        rest = lines[count:]
        self._body = rest[1:] if rest and not rest[0] and count else rest

    def recipients(self) -> list[str]:
        """The addresses of To, Cc and Bcc; when the mail is resent, those of the Resent- fields alone."""
        resent = any(name in _resent(_RECIPIENTS) for name, _ in self._fields)
        names = _resent(_RECIPIENTS) if resent else _RECIPIENTS
        values = [
            line.partition(b":")[2].replace(b"\r\n", b" ").decode("utf-8", "surrogateescape")
            for name, line in self._fields
            if name in names
        ]
        return [address for _, address in getaddresses(values) if address]

    def without_bcc(self) -> None:
        self._fields = [(name, line) for name, line in self._fields if name not in {"bcc", "resent-bcc"}]

    def complete(self, *, address: str, name: str, host: str) -> None:
        """Add From, Date and Message-ID where they are missing."""
        has = {field for field, _ in self._fields}
        for field, text in (
            ("From", formataddr((name, address)) if name and address.isascii() else address),
            ("Date", formatdate(localtime=True)),
            ("Message-ID", make_msgid(domain=host)),
        ):
            if field.lower() not in has:
                self._fields.append((field.lower(), f"{field}: {text}".encode()))

    def content(self) -> bytes:
        return b"\r\n".join([*(line for _, line in self._fields), b"", *self._body])


def _resent(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"resent-{name}" for name in names)


def _header_lines(lines: Sequence[bytes]) -> int:
    """How many lines the header has: up to the first that is neither a field nor the continuation of one."""
    for number, line in enumerate(lines):
        continues = number > 0 and line[:1] in {b" ", b"\t"}
        if not continues and _FIELD.match(line) is None:
            return number
    return len(lines)


def _fields(lines: Sequence[bytes]) -> list[tuple[str, bytes]]:
    fields: list[tuple[str, bytes]] = []
    for line in lines:
        found = _FIELD.match(line)
        if line[:1] in {b" ", b"\t"} and fields:
            name, before = fields[-1]
            fields[-1] = (name, before + b"\r\n" + line)
        elif found is not None:
            fields.append((found[1].decode("ascii").lower(), line))
    return fields
