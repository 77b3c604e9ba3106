"""Readers: for each type of the schema a function that makes a value of it out of data.

In: an annotation. Out: its reader, which raises `Wrong`. Never: a type that is passed over: one that nobody foresaw takes its own instances
alone.
"""

import operator
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from qboxrelay.settings.typed.errors import Mistake, Wrong, wrong
from qboxrelay.settings.typed.fields import BeforeValidator, FieldInfo
from qboxrelay.settings.typed.scalars import read_number, read_path, read_size, read_text, read_truth, read_whole
from qboxrelay.settings.typed.sizes import ByteSize

Reader = Callable[[Any], Any]
_Name = TypeVar("_Name", str, int)

_PLAIN: dict[Any, Reader] = {
    str: read_text,
    int: read_whole,
    float: read_number,
    bool: read_truth,
    ByteSize: read_size,
    Path: read_path,
    type(None): lambda value: _instance(type(None), value),
}
_BOUNDS: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "ge": ("greater_than_equal", operator.ge),
    "gt": ("greater_than", operator.gt),
    "le": ("less_than_equal", operator.le),
    "lt": ("less_than", operator.lt),
}


def reader_of_field(field: FieldInfo) -> Reader:
    """With the bounds of the field."""
    reader = reader_of(field.annotation)
    if not field.bounds:
        return reader
    bounds = [(name, *_BOUNDS[name], bound) for name, bound in field.bounds.items()]

    def read(value: Any) -> Any:
        found = reader(value)
        for name, kind, holds, bound in bounds:
            if not holds(found, bound):
                raise wrong(kind, value, **{name: bound})
        return found

    return read


def reader_of(annotation: Any) -> Reader:
    """The reader of a type."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _prepared(arguments[0], [one for one in arguments[1:] if isinstance(one, BeforeValidator)])
    if origin in {typing.Union, types.UnionType}:
        return _either([reader_of(one) for one in arguments])
    if origin is typing.Literal:
        return _choice(arguments)
    if origin is tuple:
        return _several(reader_of(arguments[0]))
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    table: Reader | None = getattr(annotation, "read_table", None)
    return table or (lambda value: _instance(annotation, value))


def _instance(kind: Any, value: Any) -> Any:
    if isinstance(value, kind):
        return value
    raise wrong("is_instance_of", value)


def _sentence(function: Callable[[Any], Any]) -> Reader:
    """What a function of the schema says in its ValueError."""

    def read(value: Any) -> Any:
        try:
            return function(value)
        except ValueError as error:
            raise wrong("value_error", value, error=error) from error

    return read


def _prepared(annotation: Any, before: list[BeforeValidator]) -> Reader:
    first, then = [_sentence(one.function) for one in before], reader_of(annotation)

    def read(value: Any) -> Any:
        for prepare in first:
            value = prepare(value)
        return then(value)

    return read


def _either(readers: list[Reader]) -> Reader:
    """The first that takes it; what the first one says of a value that none takes."""

    def read(value: Any) -> Any:
        found: Wrong | None = None
        for reader in readers:
            try:
                return reader(value)
            except Wrong as error:
                found = found or error
        assert found is not None, "there are readers"
        raise found

    return read


def _choice(options: tuple[Any, ...]) -> Reader:
    quoted = [repr(one) for one in options]
    expected = " or ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)

    def read(value: Any) -> Any:
        for one in options:
            if type(value) is type(one) and value == one:
                return one
        raise wrong("literal_error", value, expected=expected)

    return read


def _several(reader: Reader) -> Reader:
    def read(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise wrong("tuple_type", value)
        found, mistakes = collected(enumerate(value), dict.fromkeys(range(len(value)), reader))
        if mistakes:
            raise Wrong(*mistakes)
        return tuple(found.values())

    return read


def collected(
    values: Iterable[tuple[_Name, Any]], readers: Mapping[_Name, Reader]
) -> tuple[dict[_Name, Any], list[Mistake]]:
    """What the readers make of the values, and all that is wrong with them."""
    found: dict[_Name, Any] = {}
    mistakes: list[Mistake] = []
    for name, value in values:
        try:
            found[name] = readers[name](value)
        except Wrong as error:
            mistakes.extend(error.within(name))
    return found, mistakes
