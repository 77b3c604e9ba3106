"""RFC 2047 encoded words, where they belong and where they do not.

In: the text of a field, unfolded. Out: the text that was meant, on one line. Never: an exception; a word that cannot be read
stands as it was written.

Decoded inside quoted strings and parameters too, and next to other text without a blank: §5 forbids that, senders do it.
"""

import binascii
import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from qboxrelay.mime.charset import codec_for, decode, is_utf8
from qboxrelay.mime.quoted_printable import decode_q
from qboxrelay.mime.radix64 import decode_loosely

_WORD = re.compile(r"=\?([^?\s]{1,75})\?([bBqQ])\?([^?]*)\?=")
_LOOSE_WORD = re.compile(r"=\?([^?\s]{1,75})\?([bBqQ])\?((?:[^?]|\?(?!=))*)\?=")
_MAX_LOOSE = 2_000
"""The loose pattern may look through the whole text once for each word that has no end; on short text that is nothing."""
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_CHARSET = attrgetter("charset")


class _Word(NamedTuple):
    charset: str
    octets: bytes
    base64: str
    """As it stands, where it is base64."""


def decode_words(value: str) -> str:
    """`value` with its encoded words replaced by their text; blanks between two adjacent words vanish (RFC 2047 §6.2)."""
    if "=?" not in value:
        return value
    if match := _WORD.fullmatch(value):
        octets = _octets(match[2], match[3])
        return value if octets is None else one_line(decode(octets, _charset(match))[0])
    return one_line("".join(_pieces(value)))


def one_line(text: str) -> str:
    """Text without control characters: decoding must not make a line end where the field had none."""
    return text if text.isprintable() else _CONTROLS.sub(" ", text)


def _pieces(value: str) -> Iterator[str]:
    """What stands between encoded words, and the text of those that stand together."""
    words: list[_Word] = []
    end = 0
    for match in (_LOOSE_WORD if len(value) <= _MAX_LOOSE else _WORD).finditer(value):
        octets = _octets(match[2], match[3])
        if octets is None:
            continue
        gap = value[end : match.start()]
        if gap and not (words and gap.isspace()):
            yield from _texts(words)
            words = []
            yield gap
        words.append(_Word(_charset(match), octets, match[3] if match[2] in "bB" else ""))
        end = match.end()
    yield from _texts(words)
    yield value[end:]


def _charset(match: re.Match[str]) -> str:
    """Without the language that RFC 2231 §5 allows."""
    return match[1].partition("*")[0].lower()


def _texts(words: Iterable[_Word]) -> Iterator[str]:
    """Adjacent words of one charset are decoded together: senders split them in the middle of a character."""
    for charset, same in groupby(words, key=_CHARSET):
        yield decode(_joined(list(same)), charset)[0]


def _joined(words: list[_Word]) -> bytes:
    """The octets of words of one charset. Some senders split the base64 in the middle of four characters, and then it says nothing."""
    octets = b"".join([word.octets for word in words])
    if len(words) > 1 and codec_for(words[0].charset) == "utf-8" and not is_utf8(octets):
        whole = _octets("b", "".join([word.base64 for word in words])) or b""
        if is_utf8(whole) and all(word.base64 for word in words):
            return whole
    return octets


def _octets(encoding: str, content: str) -> bytes | None:
    """The word's octets; None when it claims to be base64 and is not."""
    if encoding in "qQ":
        return decode_q(content.encode("utf-8"))
    try:
        return binascii.a2b_base64(content, strict_mode=True)
    except ValueError:
        octets = decode_loosely(content.encode("utf-8"))
        return octets if octets or not content.strip() else None
