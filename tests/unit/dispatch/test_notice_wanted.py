"""Whether anybody is to be told."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from qboxrelay.dispatch.notice_wanted import Wanted
from qboxrelay.model.submission import Claimed, NoticeKind, State
from qboxrelay.settings.schema import NoticeSettings
from qboxrelay.spool.port import Result

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def claimed(**facts: Any) -> Claimed:
    usual: dict[str, Any] = {
        "key": 1,
        "id": "T-1",
        "transaction_id": "T",
        "payload": b"{}",
        "attempt": 1,
        "failures": 0,
        "received_at": NOW - timedelta(hours=3),
        "envelope_sender": "ann@example.com",
        "recipients": ("bob@example.net",),
        "notify_never": False,
        "is_notice": False,
        "maybe_sent": False,
        "subject": "s",
        "message_id_header": "",
    }
    return Claimed(**usual | facts)


def mark(state: State, settings: dict[str, Any], **facts: Any) -> tuple[Any, str, str | None]:
    wanted = Wanted(NoticeSettings.model_validate({"to": "sender", **settings}))
    result, silence = wanted.mark(claimed(**facts), Result(key=1, state=state, outcome="some"), NOW)
    return result.notice, result.tell, silence


@pytest.mark.parametrize(
    ("state", "settings", "facts", "expected"),
    [
        (State.FAILED, {}, {}, (NoticeKind.FAILURE, "ann@example.com", None)),
        (State.FAILED, {"to": "ops@example.com"}, {}, (NoticeKind.FAILURE, "ops@example.com", None)),
        (State.FAILED, {"to": "off"}, {}, (None, "", None)),
        (State.SENT, {}, {}, (None, "", None)),
        (State.HELD, {}, {}, (None, "", None)),
        (State.QUEUED, {}, {}, (None, "", None)),
        (State.QUEUED, {"delay_after": "4h"}, {}, (None, "", None)),
        (State.QUEUED, {"delay_after": "3h"}, {}, (NoticeKind.DELAY, "ann@example.com", None)),
        (State.QUEUED, {"delay_after": "3h", "to": "off"}, {}, (None, "", None)),
        (State.SENT, {"delay_after": "3h"}, {}, (None, "", None)),
        (State.QUEUED, {"delay_after": "3h"}, {"envelope_sender": ""}, (None, "", None)),
        (State.FAILED, {}, {"envelope_sender": ""}, (None, "", "null_sender")),
        (State.FAILED, {"to": "ops@example.com"}, {"envelope_sender": ""}, (None, "", "null_sender")),
        (State.FAILED, {}, {"is_notice": True, "envelope_sender": ""}, (None, "", "notice")),
        (State.FAILED, {}, {"notify_never": True}, (None, "", "never")),
        (State.FAILED, {}, {"envelope_sender": "root@localhost"}, (None, "", "address")),
        (State.FAILED, {}, {"envelope_sender": "root@[192.0.2.1]"}, (None, "", "address")),
        (
            State.FAILED,
            {"to": "ops@example.com"},
            {"envelope_sender": "root@localhost"},
            (NoticeKind.FAILURE, "ops@example.com", None),
        ),
    ],
)
def test_who_is_told_of_what(
    state: State, settings: dict[str, Any], facts: dict[str, Any], expected: tuple[NoticeKind | None, str, str | None]
) -> None:
    """Failures, and delays of a mail that is old enough; never what would answer a notice or nobody."""
    assert mark(state, settings, **facts) == expected
