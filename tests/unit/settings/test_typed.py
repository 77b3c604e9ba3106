"""Tables as classes: what is read, what is refused, and that nothing of it changes."""

import pickle
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from qboxrelay.settings.typed import BeforeValidator, ByteSize, Field, Mistake, ValidationError
from qboxrelay.settings.typed.docstrings import texts_of
from qboxrelay.settings.types import Section


def _even(value: object) -> object:
    if isinstance(value, int) and value % 2:
        raise ValueError(f"{value} is odd")
    return value


class _Inner(Section):
    depth: int = Field(default=1, ge=1, lt=10)
    """How deep."""
    names: tuple[str, ...] = ()


class _Table(Section):
    text: str = ""
    number: float = 1.5
    truth: bool = False
    size: ByteSize = ByteSize(10)
    path: Path | None = None
    choice: Literal["one", "two", "three"] = "one"
    even: Annotated[int, BeforeValidator(_even)] = 2
    while_: timedelta = timedelta()
    share: float = Field(default=0.5, gt=0, le=1)
    inner: _Inner = _Inner()
    several: tuple[_Inner, ...] = ()


class _Strict(Section):
    name: str
    note: str = ""


def mistakes(table: type[Section], data: object) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as caught:
        table.model_validate(data)
    return [(".".join(map(str, one.place)), one.kind) for one in caught.value.mistakes]


@pytest.mark.parametrize(
    ("key", "given", "value"),
    [
        ("number", 2, 2.0),
        ("number", "1e3", 1000.0),
        ("truth", "Yes", True),
        ("truth", "off", False),
        ("truth", 1, True),
        ("truth", 0.0, False),
        ("size", "16 MiB", 1 << 24),
        ("size", ".5kb", 500),
        ("size", "7", 7),
        ("path", "/tmp/x", Path("/tmp/x")),
        ("path", None, None),
        ("choice", "two", "two"),
        ("even", "25", 25),
        ("even", " 1_000 ", 1000),
        ("even", "-3.0", -3),
        ("even", 4.0, 4),
        ("share", 1, 1.0),
        ("inner", {"depth": "9"}, _Inner(depth=9)),
        ("inner", _Inner(depth=3), _Inner(depth=3)),
        ("several", [{}, {"names": ["a"]}], (_Inner(), _Inner(names=("a",)))),
    ],
)
def test_value_is_read_as_its_type(key: str, given: object, value: object) -> None:
    """TOML has types; a variable of the environment is text."""
    found = getattr(_Table.model_validate({key: given}), key)

    assert found == value
    assert type(found) is type(getattr(_Table(), key)) or key == "path"


@pytest.mark.parametrize(
    ("key", "given", "kind"),
    [
        ("text", 5, "string_type"),
        ("text", None, "string_type"),
        ("number", True, "value_error"),
        ("number", "many", "float_parsing"),
        ("number", "\uff11\uff12", "float_parsing"),
        ("number", [], "float_type"),
        ("number", 10**400, "float_type"),
        ("truth", "maybe", "bool_parsing"),
        ("truth", 2, "bool_parsing"),
        ("truth", [], "bool_type"),
        ("size", "5 gallons", "size_type"),
        ("size", "9" * 5000, "size_type"),
        ("size", 1.5, "size_type"),
        ("path", 5, "path_type"),
        ("choice", "four", "literal_error"),
        ("choice", [], "literal_error"),
        ("choice", True, "literal_error"),
        ("even", 3, "value_error"),
        ("even", True, "value_error"),
        ("even", 1.5, "int_from_float"),
        ("even", 1e300, "int_from_float"),
        ("even", float("nan"), "finite_number"),
        ("even", float("inf"), "finite_number"),
        ("even", "x", "int_parsing"),
        ("even", "1__0", "int_parsing"),
        ("even", "4.", "int_parsing"),
        ("even", "\uff14", "int_parsing"),
        ("even", "9" * 5000, "int_parsing"),
        ("even", {}, "int_type"),
        ("while_", "5s", "is_instance_of"),
        ("share", 0, "greater_than"),
        ("share", 1.5, "less_than_equal"),
        ("inner", [], "model_type"),
        ("several", {}, "tuple_type"),
    ],
)
def test_value_of_another_type_is_refused(key: str, given: object, kind: str) -> None:
    """Nothing is guessed, and no value ends in anything but a mistake."""
    assert mistakes(_Table, {key: given}) == [(key, kind)]


def test_all_mistakes_are_told_at_once() -> None:
    """In the order of the class, each at its place; then what nobody knows."""
    data = {
        "nokey": 1,
        "several": [{"depth": 0}, {"names": ["a", 1]}, {"depht": 1}],
        "inner": {"depth": 10},
        "text": 1,
    }

    assert mistakes(_Table, data) == [
        ("text", "string_type"),
        ("inner.depth", "less_than"),
        ("several.0.depth", "greater_than_equal"),
        ("several.1.names.1", "string_type"),
        ("several.2.depht", "extra_forbidden"),
        ("nokey", "extra_forbidden"),
    ]


def test_required_key_is_missed() -> None:
    """A key without a default has to be written."""
    assert _Strict.model_validate({"name": "a"}).name == "a"
    assert mistakes(_Strict, {"note": 5}) == [("note", "string_type"), ("name", "missing")]


def test_constructor_looks_as_well() -> None:
    """Values from the program are no better than those from a file."""
    with pytest.raises(ValidationError):
        _Inner(depth=0)


def test_instance_does_not_change() -> None:
    """Many parts hold the same settings; who wants others makes a copy."""
    one: Any = _Inner(depth=3)

    with pytest.raises(AttributeError, match="frozen"):
        one.depth = 4
    with pytest.raises(AttributeError, match="frozen"):
        del one.depth
    other = one.model_copy(update={"depth": 4})
    assert (one.depth, other.depth, other.names) == (3, 4, ())


def test_equal_values_are_equal() -> None:
    """So that a reload sees what has changed."""
    assert _Inner(depth=3) == _Inner(depth=3)
    assert hash(_Inner(depth=3)) == hash(_Inner(depth=3))
    assert _Inner(depth=3) != _Inner(depth=4)
    others: list[object] = [_Strict(name=""), {"depth": 1, "names": ()}]
    assert _Inner() not in others


def test_instance_travels() -> None:
    """Workers get their settings as pickles."""
    table = _Table(inner=_Inner(depth=3), size=ByteSize(5))

    assert pickle.loads(pickle.dumps(table)) == table


def test_value_stands_in_no_error() -> None:
    """It may be a secret."""
    with pytest.raises(ValidationError) as caught:
        _Table.model_validate({"number": "hunter2"})

    assert "hunter2" not in str(caught.value) + repr(caught.value)
    assert "hunter2" not in repr(Mistake("float_parsing", ("number",), "hunter2"))


def test_only_instances_have_values() -> None:
    """A slip such as `_Inner.depth` must not read the default."""
    assert not hasattr(_Inner, "depth")
    assert repr(_Inner()) == "_Inner(depth=1, names=())"


def test_text_under_a_field_is_found() -> None:
    """The reference file is made of them."""
    assert texts_of(_Inner) == {"depth": "How deep."}
