"""TraceMail's rows as they come: nobody documented their fields, so none may be relied on."""

import pytest

from qboxrelay.cli.trace_mail import Listed, Row, pairs


@pytest.mark.parametrize(
    ("row", "shown"),
    [
        ({"data": "a line of text"}, [("data", "a line of text")]),
        ({"data": '{"to": ["a@b"], "status": "delivered"}'}, [("to", '["a@b"]'), ("status", "delivered")]),
        ({"data": {"at": 5, "ok": None}, "id": 7}, [("at", "5"), ("ok", "null"), ("id", "7")]),
        ({"data": "{ broken"}, [("data", "{ broken")]),
        ({"data": "[1]"}, [("data", "[1]")]),
        ({}, []),
    ],
)
def test_any_row_is_shown_as_it_comes(row: dict[str, object], shown: list[tuple[str, str]]) -> None:
    assert pairs(row) == shown


def test_rows_that_name_the_mail_come_alone() -> None:
    """Where none does, nobody knows whether rows name ids at all: then all are shown."""
    named, other = Row("worked", {"data": "x"}, True), Row("queued", {"data": "y"}, False)
    assert Listed((other, named)).relevant == (named,)
    assert Listed((other,)).relevant == (other,)
