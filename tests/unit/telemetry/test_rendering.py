"""Values in lines."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from qboxrelay.settings.types import Secret
from qboxrelay.telemetry.rendering import as_octets, console_line, json_line, json_now, plain

from .conftest import Log, only


@dataclass
class _Mail:
    body: str


class _Colour(Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (timedelta(seconds=1.5), 1.5),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00Z"),
        (Path("/a/b"), "/a/b"),
        (ip_address("::1"), "::1"),
        ({"b", "a"}, ["a", "b"]),
        (OSError(28, "No space left on device"), "OSError: [Errno 28] No space left on device"),
        (_Colour.RED, "red"),
        (b"content", "<bytes>"),
        (_Mail("content"), "<_Mail>"),
        (Secret("hunter2"), "<Secret>"),
    ],
)
def test_only_plain_data_shows_what_is_in_it(value: Any, shown: Any) -> None:
    """An object may hold a mail or a token: of what is not known, only the type is shown."""
    assert plain(value) == shown


@pytest.mark.parametrize("kind", ["json", "console"])
def test_objects_are_not_looked_into(log_to: Log, kind: str) -> None:
    """Neither form of the log shows a secret or a mail, however deep it is put."""
    lines = log_to(format=kind)
    secret, mail = Secret("hunter2"), _Mail("the diagnosis")

    structlog.get_logger().info(
        "a.b", one=secret, two=[mail, secret], three={"x": mail}, four=b"the diagnosis", five=None
    )

    assert "hunter2" not in lines()[0]
    assert "diagnosis" not in lines()[0]


def test_json_of_what_orjson_refuses(log_to: Log) -> None:
    """Half a character and a huge number, which a client can send, are written all the same."""
    lines = log_to()

    structlog.get_logger().info("a.b", helo="x\ud800", number=2**70, none=None, path=Path("/a"))

    fields = only(lines())
    assert (fields["helo"], fields["number"], fields["path"]) == ("x\ud800", 2**70, "/a")


@pytest.mark.parametrize("kind", ["json", "console"])
def test_client_cannot_write_lines_or_move_the_cursor(log_to: Log, kind: str) -> None:
    """Control characters of a HELO name reach no terminal and begin no line."""
    lines = log_to(format=kind)

    structlog.get_logger().info("a.b", helo="x\x1b[2J\r\nfake\u2028line\x9b \u202eback", names=["a\nb", "\x07"])

    (line,) = lines()
    assert "fake" in line
    assert not any(character in line for character in "\x1b\x07\x9b\r\u2028\u202e")


def test_people_are_not_shown_what_is_not_there() -> None:
    line = console_line(colours=False)(
        {"timestamp": "t", "level": "info", "event": "sent", "error": None, "attempt": 0}
    )
    assert "error" not in line
    assert "attempt=0" in line


_TEXTS = st.text(st.characters(exclude_categories=()), max_size=8)
_VALUES = st.recursive(
    st.one_of(
        _TEXTS,
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.sampled_from([b"x", Path("/a"), timedelta(seconds=2), datetime(2026, 1, 2, tzinfo=UTC), _Colour.RED]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_TEXTS | st.integers(), inner, max_size=3)),
    max_leaves=5,
)


@given(
    st.sampled_from(["debug", "info"]),
    st.sampled_from(["mail.accepted", "submission.sent", "a.\x9b", "a.\ud800"]),
    st.dictionaries(_TEXTS, _VALUES, max_size=5),
)
def test_quick_line_is_the_usual_one(level: str, event: str, fields: dict[str, Any]) -> None:
    """But for the moment: head, order, characters that are escaped, values that JSON does not know."""
    said = json_now(level, event, dict(fields))
    now = datetime.fromisoformat(said.split(b'"')[3].decode())

    assert said == as_octets(json_line({"timestamp": now, "level": level, "event": event, **fields}))
