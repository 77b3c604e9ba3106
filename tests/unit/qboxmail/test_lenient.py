"""Values in whatever shape they come."""

import pytest

from qboxrelay.qboxmail.lenient import count_of, pruned, references, text_of, texts_in, word_of


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a b", "a b"), (" a\n\x1b[31m\x00b ", "a [31m b"), (3, "3"), (1.5, "1.5"), (True, "true"), (False, "false"),
        (None, ""), ([], ""), ({"a": 1}, ""), ("x" * 5000, "x" * 2000),
    ],
)  # fmt: skip
def test_text_is_one_line_of_what_can_be_shown(value: object, text: str) -> None:
    assert text_of(value) == text


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (3, 3),
        ("40", 40),
        ("string", None),
        (None, None),
        (-1, None),
        ("1" * 40, None),
        ("٣", None),
        (1.5, None),
        ([], None),
    ],
)
def test_counts_are_numbers_or_their_digits(value: object, count: int | None) -> None:
    assert count_of(value) == count


@pytest.mark.parametrize(
    ("value", "word"),
    [("Not verified", "not_verified"), ("not-verified", "not_verified"), ("BLOCKED ", "blocked"), (0, "0")],
)
def test_words_have_one_spelling(value: object, word: str) -> None:
    assert word_of(value) == word


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (["a", 1], {"a", "1"}),
        ("a, b;c", {"a", "b", "c"}),
        ('["a", "b"]', {"a", "b"}),
        ("", set()),
        ([], set()),
        (7, {"7"}),
        ([{"id": 1, "username": "box", "status": 2}], {"1", "box"}),
        ({"id": 1}, {"1"}),
        (None, None),
        ([{"status": 2}], None),
        ([["a"], "b"], {"a", "b"}),
        ([None], None),
        (1.5, None),
    ],
)
def test_references_in_any_shape(value: object, found: set[str] | None) -> None:
    """An object's other members are not its identity; what cannot be read is unknown, not empty."""
    assert references(value, ("id", "username")) == found


def test_every_text_inside_is_found() -> None:
    assert list(texts_in({"a": ["b", {"c": "d"}], "e": 1})) == ["a", "b", "c", "d", "e"]


def test_what_is_too_deep_is_cut() -> None:
    """JSON may be nested deeper than Python's stack; the documented fields are not."""
    deep: object = "bottom"
    for _ in range(5000):
        deep = [deep]
    cut = pruned({"name": "a", "list": [{"b": 1}], "deep": deep})
    assert isinstance(cut, dict)
    assert (cut["name"], cut["list"]) == ("a", [{"b": 1}])
    assert list(texts_in(cut["deep"])) == []
