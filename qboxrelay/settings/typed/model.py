"""A table as a frozen class.

In: annotations with defaults in the body of a class; values by name. Out: an instance whose values have their types. Never: an instance
with a key that nobody knows, or one that changes.
"""

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar, NoReturn, Self

from qboxrelay.settings.typed.errors import Mistake, ValidationError, Wrong, wrong
from qboxrelay.settings.typed.fields import REQUIRED, FieldInfo
from qboxrelay.settings.typed.readers import Reader, collected, reader_of_field


class _Table(type):
    """The type of tables: mypy takes a class that has none of its own for nothing that can be a key."""


class Model(metaclass=_Table):
    """Base of every table."""

    model_fields: ClassVar[Mapping[str, FieldInfo]] = {}
    """In the order of the class body."""
    _readers: ClassVar[Mapping[str, Reader]] = {}

    def __init_subclass__(cls) -> None:
        fields = dict(cls.model_fields)
        for name, annotation in inspect.get_annotations(cls).items():
            default = cls.__dict__.get(name, REQUIRED)
            said = default if isinstance(default, FieldInfo) else FieldInfo(default=default)
            fields[name] = replace(said, annotation=annotation)
            if name in cls.__dict__:
                # Only instances have values.
                delattr(cls, name)
        cls.model_fields = fields
        cls._readers = {name: reader_of_field(field) for name, field in fields.items()}

    def __init__(self, **values: Any) -> None:
        """Raises `ValidationError`."""
        try:
            self.__dict__.update(_read(type(self), values))
        except Wrong as error:
            raise ValidationError(error.mistakes) from None

    @classmethod
    def model_validate(cls, data: Any) -> Self:
        """An instance from a table as TOML has it. Raises `ValidationError`."""
        try:
            return cls.read_table(data)
        except Wrong as error:
            raise ValidationError(error.mistakes) from None

    @classmethod
    def read_table(cls, data: Any) -> Self:
        """As `model_validate`, for a table within a table. Raises `Wrong`."""
        if isinstance(data, cls):
            return data
        if not isinstance(data, dict):
            raise wrong("model_type", data)
        return cls._of(_read(cls, data))

    def model_copy(self, *, update: Mapping[str, Any]) -> Self:
        """The same with other values, which are taken as they are."""
        return self._of({**self.__dict__, **update})

    @classmethod
    def _of(cls, values: Mapping[str, Any]) -> Self:
        made = cls.__new__(cls)
        made.__dict__.update(values)
        return made

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.__dict__ == self.__dict__

    def __hash__(self) -> int:
        return hash((type(self), *self.__dict__.values()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.__dict__.items())})"

    def __setattr__(self, name: str, _value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be set: it is frozen")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be deleted: it is frozen")


def _read(cls: type[Model], data: Mapping[str, Any]) -> dict[str, Any]:
    """Every field, from the data or by its default."""
    fields = cls.model_fields
    given, mistakes = collected(((name, data[name]) for name in fields if name in data), cls._readers)
    mistakes += _missing(fields, data)
    mistakes += [Mistake("extra_forbidden", (name,), value) for name, value in data.items() if name not in fields]
    if mistakes:
        raise Wrong(*mistakes)
    return {name: given.get(name, field.default) for name, field in fields.items()}


def _missing(fields: Mapping[str, FieldInfo], data: Mapping[str, Any]) -> Iterator[Mistake]:
    return (
        Mistake("missing", (name,), data) for name, field in fields.items() if field.is_required() and name not in data
    )
