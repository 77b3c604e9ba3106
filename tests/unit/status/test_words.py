"""Values as people read them."""

from datetime import UTC, datetime, timedelta

import pytest

from qboxrelay.settings.schema import LogSettings
from qboxrelay.status.words import Discretion, clause, count, moment, plain, size, span


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"), (-5, "0 s"), (0.0023, "2.3 ms"), (0.25, "250 ms"), (1.234, "1.23 s"), (59.6, "60 s"), (119, "119 s"),
        (120, "2 min"), (7199, "120 min"), (7200, "2 h"), (timedelta(days=3), "3 d"),
    ],
)  # fmt: skip
def test_spans(seconds: float | timedelta, text: str) -> None:
    assert span(seconds) == text


def test_numbers() -> None:
    assert [count(one) for one in (0, 1, 0.123, 1.25, 12.0, 1234567)] == ["0", "1", "0.12", "1.2", "12", "1\u202f234\u202f567"]  # fmt: skip
    assert [size(one) for one in (1, 1000, 2_500_000, 3e9)] == ["1 byte", "1.0 kB", "2.5 MB", "3.0 GB"]
    assert moment(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)) == "2026-01-02 03:04:05 UTC"
    assert clause("It is so. ") == "It is so"


def test_text_cannot_be_turned_around() -> None:
    """Control characters, and those that reverse the direction of writing, are visible as U+FFFD."""
    assert plain("a\u202eb\x1b[31m\r\nc\u00a0\x00") == "a\ufffdb\ufffd[31m  c\ufffd\ufffd"
    assert plain("Grüße 日本") == "Grüße 日本"


def test_discretion() -> None:
    """No more than the log shows."""
    open_, closed = Discretion(LogSettings(subjects="full")), Discretion(LogSettings(addresses="domain"))
    assert (open_.address("a@b.example"), open_.subject("x"), open_.address("")) == ("a@b.example", "x", "<>")
    assert (closed.address("a@b.example"), closed.subject("x")) == ("*@b.example", "")
    assert closed.text("a@b.example is unknown") == "*@b.example is unknown"
