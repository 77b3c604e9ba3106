"""Readers of plain values.

In: what TOML or a variable of the environment has. Out: the value as its type. Never: a guess: text is read as a number or a truth only where
it can be nothing else.
"""

import math
import os
import re
from pathlib import Path

from qboxrelay.settings.typed.errors import wrong
from qboxrelay.settings.typed.sizes import ByteSize

_WHOLE = re.compile(r"[+-]?[0-9]+(?:_[0-9]+)*(?:\.0+)?")
_LONGEST_NUMBER = 4300
"""Digits: of more Python makes no number (its manual, "Integer string conversion length limitation")."""
_LARGEST = 2**53
"""Beyond it a float stands for several whole numbers."""
_TRUE = frozenset({"1", "on", "t", "true", "y", "yes"})
_FALSE = frozenset({"0", "off", "f", "false", "n", "no"})


def read_text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise wrong("string_type", value)


def read_whole(value: object) -> int:
    if isinstance(value, bool):
        raise _truth(value)
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise wrong("finite_number", value)
        if not value.is_integer() or abs(value) > _LARGEST:
            raise wrong("int_from_float", value)
        return int(value)
    if not isinstance(value, str):
        raise wrong("int_type", value)
    text = value.strip()
    if _WHOLE.fullmatch(text) is None or len(text) > _LONGEST_NUMBER:
        raise wrong("int_parsing", value)
    return int(text.partition(".")[0])


def read_number(value: object) -> float:
    if isinstance(value, bool):
        raise _truth(value)
    if isinstance(value, int | float):
        try:
            return float(value)
        except OverflowError:
            raise wrong("float_type", value) from None
    if not isinstance(value, str):
        raise wrong("float_type", value)
    if not value.isascii():
        # Python reads the digits of every script.
        raise wrong("float_parsing", value)
    try:
        return float(value)
    except ValueError:
        raise wrong("float_parsing", value) from None


def read_truth(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float) and value in {0, 1}:
        return bool(value)
    if isinstance(value, str) and value.lower() in _TRUE | _FALSE:
        return value.lower() in _TRUE
    raise wrong("bool_parsing" if isinstance(value, str | int) else "bool_type", value)


def read_path(value: object) -> Path:
    if isinstance(value, str | os.PathLike):
        return Path(value)
    raise wrong("path_type", value)


def read_size(value: object) -> ByteSize:
    try:
        return ByteSize.read(value)
    except ValueError:
        raise wrong("size_type", value) from None


def _truth(value: object) -> Exception:
    return wrong("value_error", value, error=ValueError("must be a number"))
