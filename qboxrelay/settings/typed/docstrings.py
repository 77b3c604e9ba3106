"""The text under each field of a class.

In: a class whose source is at hand. Out: texts by name. Never: work at import: the reference file and the tests want them, a relay does not.
"""

import ast
import inspect
import textwrap
from functools import cache

from qboxrelay.settings.typed.model import Model


@cache
def texts_of(table: type[Model]) -> dict[str, str]:
    """Of the class and of those that it is made from."""
    found: dict[str, str] = {}
    for one in reversed(table.__mro__[:-1]):
        found |= _own(one)
    return {name: text for name, text in found.items() if name in table.model_fields}


def _own(table: type) -> dict[str, str]:
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(table))).body
    assert isinstance(body, ast.ClassDef), "a class"
    return {
        field.target.id: inspect.cleandoc(text.value.value)
        for field, text in zip(body.body, body.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }
