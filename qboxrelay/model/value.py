"""`value`: a frozen dataclass, as far as the type checker goes.

In: a class, with the options of `dataclass`. Out: the class. Never: a changed value; what tries to is an error of the type checker.

A dataclass that is frozen at run time, too, sets each field through `object.__setattr__`, which takes twice as long. Several of them are made
for each mail, with dozens of fields.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as value
else:
    from dataclasses import dataclass

    def value(**options: Any) -> Any:
        return dataclass(**{**options, "frozen": False, "unsafe_hash": True})


__all__ = ["value"]
