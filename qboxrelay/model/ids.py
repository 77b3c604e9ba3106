"""Ids that sort by time and stay unique when the clock jumps.

In: a clock's reading and random bytes, both injected. Out: text of 26 characters (ULID: 48 bits of milliseconds, 80 random
bits, Crockford's base 32, no I L O U). Never: a counter that a restart would forget.
"""

import os
import re
from collections.abc import Callable
from datetime import datetime

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_SUBMISSION_ID = re.compile(rf"[{_ALPHABET}]{{26}}-[0-9]{{1,9}}")
_PAIRS = [high + low for high in _ALPHABET for low in _ALPHABET]

RandomBytes = Callable[[int], bytes]


def new_id(now: datetime, random_bytes: RandomBytes = os.urandom) -> str:
    """A new transaction id, such as `01KB2X7C9M4V3T8ZQ0R6S5W1YE`."""
    milliseconds = max(0, int(now.timestamp() * 1000)) & 0xFFFF_FFFF_FFFF
    number = (milliseconds << 80) | int.from_bytes(random_bytes(10), "big")
    return "".join([_PAIRS[(number >> shift) & 1023] for shift in range(120, -10, -10)])


def submission_id(transaction_id: str, position: int) -> str:
    """The id of a transaction's n-th submission, from 1: one id leads from the reply to the API's answer."""
    return f"{transaction_id}-{position}"


def is_submission_id(text: str) -> bool:
    """Whether a relay of this kind may have written it; anybody else can, too."""
    return _SUBMISSION_ID.fullmatch(text) is not None
