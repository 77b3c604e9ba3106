"""Values are compared and hashed by what they hold, have no room for more, and can be copied with a change."""

import pickle
from dataclasses import replace

import pytest

from qboxrelay.model.value import changed, value


@value(frozen=True, slots=True, kw_only=True)
class Point:
    """Stands for the classes of the model."""

    across: int
    down: int = 0


def test_equal_ones_are_one_key() -> None:
    assert {Point(across=1): "here"}[Point(across=1, down=0)] == "here"
    assert Point(across=1) != Point(across=2)


def test_a_field_that_is_none_is_refused() -> None:
    with pytest.raises(AttributeError):
        Point(across=1).around = 2  # type: ignore[attr-defined]


def test_a_change_to_a_field_is_an_error_of_the_type_checker() -> None:
    point = Point(across=1)
    # Without the error that is ignored here mypy reports the comment.
    point.across = 2  # type: ignore[misc]
    assert point.across == 2


def test_a_copy_may_differ() -> None:
    assert replace(Point(across=1), down=3) == Point(across=1, down=3)


def test_a_changed_one_is_what_the_standard_library_would_make() -> None:
    """Another object, the same in all that is not named; a name that is no field is refused."""
    point = Point(across=1, down=2)
    assert changed(point, down=3) == replace(point, down=3)
    assert point == Point(across=1, down=2)
    with pytest.raises(AttributeError):
        changed(point, around=3)


def test_it_travels_between_processes() -> None:
    assert pickle.loads(pickle.dumps(Point(across=1))) == Point(across=1)
