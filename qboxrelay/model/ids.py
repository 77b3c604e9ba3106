"""Ids that sort by time and stay unique when the clock jumps.

In: a clock's reading, random octets of the system. Out: text of 26 characters (ULID: 48 bits of milliseconds, 80 random
bits, Crockford's base 32, no I L O U). Never: a counter that a restart would forget, random bits that are used twice.
"""

import os
import re
from collections.abc import Callable
from datetime import datetime

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_SUBMISSION_ID = re.compile(rf"[{_ALPHABET}]{{26}}-[0-9]{{1,9}}")
_PAIRS = [high + low for high in _ALPHABET for low in _ALPHABET]
_LETTERS = bytes(ord(_ALPHABET[octet & 31]) for octet in range(256))
"""Five bits of each octet make a letter, all letters equally likely."""
_RANDOM_LETTERS = 16
_AT_ONCE = 256

RandomBytes = Callable[[int], bytes]

_ready: list[str] = []
"""Random parts that nobody has yet. The system is asked for many at a time: each question lets go of the interpreter lock."""
# Parent and child would use the same ones.
os.register_at_fork(after_in_child=_ready.clear)


def new_id(now: datetime) -> str:
    """A new transaction id, such as `01KB2X7C9M4V3T8ZQ0R6S5W1YE`."""
    time = max(0, int(now.timestamp() * 1000)) & 0xFFFF_FFFF_FFFF
    try:
        # Taken in one step: threads never get the same one.
        rest = _ready.pop()
    except IndexError:
        rest = _more()
    # Written out: a loop takes twice as long.
    first = f"{_PAIRS[time >> 40]}{_PAIRS[time >> 30 & 1023]}{_PAIRS[time >> 20 & 1023]}"
    return f"{first}{_PAIRS[time >> 10 & 1023]}{_PAIRS[time & 1023]}{rest}"


def _more() -> str:
    """One random part; others are put in store."""
    letters = os.urandom(_RANDOM_LETTERS * _AT_ONCE).translate(_LETTERS).decode("ascii")
    parts = [letters[start : start + _RANDOM_LETTERS] for start in range(0, len(letters), _RANDOM_LETTERS)]
    _ready.extend(parts[1:])
    return parts[0]


def submission_id(transaction_id: str, position: int) -> str:
    """The id of a transaction's n-th submission, from 1: one id leads from the reply to the API's answer."""
    return f"{transaction_id}-{position}"


def is_submission_id(text: str) -> bool:
    """Whether a relay of this kind may have written it; anybody else can, too."""
    return _SUBMISSION_ID.fullmatch(text) is not None
