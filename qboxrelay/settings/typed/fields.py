"""What a class says about a field beside its type.

In: defaults and bounds, as the schema has them. Out: `FieldInfo`. Never: a look at data.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

REQUIRED: Final[Any] = object()
"""In the place of a default: there is none."""


@dataclass(frozen=True, slots=True)
class BeforeValidator:
    """In an `Annotated` type: makes of a value what the type takes, or raises ValueError with a sentence."""

    function: Callable[[Any], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldInfo:
    """`bounds` by their names: ge, gt, le, lt. `examples` show what a default does not."""

    annotation: Any = None
    default: Any = REQUIRED
    bounds: Mapping[str, float] = field(default_factory=dict)
    examples: Sequence[Any] = ()

    def is_required(self) -> bool:
        return self.default is REQUIRED


def Field(  # noqa: N802 - stands where a value does, as in other libraries of this kind
    *, default: Any = REQUIRED, examples: Sequence[Any] = (), **bounds: float
) -> Any:
    """A field's default with what else is to be said about it."""
    return FieldInfo(default=default, bounds=bounds, examples=examples)
