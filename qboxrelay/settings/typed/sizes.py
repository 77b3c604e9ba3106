"""Sizes: a number of bytes that says so.

In: a number, or text with a unit. Out: `ByteSize`. Never: a unit that has to be guessed.
"""

import re
from typing import Self

_TEXT = re.compile(r"\s*([0-9]*\.?[0-9]+)\s*(\w*)\s*")
_LONGEST = 40
"""Digits: far more bytes than there are."""
_UNITS = {
    "": 1,
    "b": 1,
    **{f"{letter}b": 1000**power for power, letter in enumerate("kmgtp", 1)},
    **{letter: 1000**power for power, letter in enumerate("kmgtp", 1)},
    **{f"{letter}ib": 1024**power for power, letter in enumerate("kmgtp", 1)},
}


class ByteSize(int):
    """An int that is written with a unit."""

    @classmethod
    def read(cls, value: object) -> Self:
        """`"50MB"`, `"16 MiB"`, 4096. Raises ValueError."""
        if isinstance(value, int):
            return cls(value)
        found = _TEXT.fullmatch(value) if isinstance(value, str) else None
        if found is None:
            raise ValueError("is no size")
        number, unit = found.groups()
        if (factor := _UNITS.get(unit.lower())) is None or len(number) > _LONGEST:
            raise ValueError("is no size")
        return cls(float(number) * factor)
