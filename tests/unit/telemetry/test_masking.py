"""What of addresses and subjects the log shows."""

import json
import re
from typing import Any

import pytest
import structlog

from qboxrelay.telemetry.masking import Detail, Masking

from .conftest import Log, only

FIELDS: dict[str, Any] = {
    "sender": "Bob@example.com",
    "recipients": ["ann@example.org", '"a b"@example.org'],
    "text": "the recipient <bob@example.com> is unknown",
    "message_id": "<1@example.com>",
    "client": "192.0.2.1",
    "size": 3,
    "nested": {"to": ("ann@example.org", 5)},
}


def masked(detail: Detail) -> dict[str, Any]:
    return Masking(addresses=detail, subjects="off")(dict(FIELDS))


def test_full_shows_what_there_is() -> None:
    """The default: an operator of a small relay searches by address."""
    assert masked("full") == FIELDS


def test_domain_hides_the_person() -> None:
    """Under whatever name an address comes; ids with an @ stay, because nothing could be traced without them."""
    assert masked("domain") == {
        **FIELDS,
        "sender": "*@example.com",
        "recipients": ["*@example.org", "*@example.org"],
        "text": "the recipient <*@example.com> is unknown",
        "nested": {"to": ["*@example.org", 5]},
    }


def test_hash_is_the_same_for_the_same_mailbox() -> None:
    """Lines about one person can be matched without the address."""
    fields = masked("hash")

    assert fields["sender"] in fields["text"]
    assert fields["recipients"][0] == fields["nested"]["to"][0] != fields["recipients"][1]
    assert "@" not in str({**fields, "message_id": ""})


def test_off_shows_only_that_there_was_one() -> None:
    """The number of recipients is still to be seen."""
    assert masked("off")["recipients"] == ["***", "***"]
    assert masked("off")["text"] == "the recipient <***> is unknown"


@pytest.mark.parametrize("detail", ["full", "domain", "hash", "off"])
def test_null_sender_is_shown(detail: Detail) -> None:
    """It is nobody's address."""
    assert Masking(addresses=detail, subjects="full")({"sender": "<>"}) == {"sender": "<>"}


@pytest.mark.parametrize(("setting", "shown"), [("full", "The Diagnosis"), ("off", None)])
def test_subject_is_shown_only_when_asked_for(log_to: Log, *, setting: str, shown: str | None) -> None:
    """A subject is content."""
    lines = log_to(subjects=setting)

    structlog.get_logger().info("submission.sent", subject="The Diagnosis")

    assert only(lines()).get("subject") == shown


def test_hashed_subjects_can_be_matched(log_to: Log) -> None:
    """The same for the same subject, without a word of it; none where there is none."""
    lines = log_to(subjects="hash")
    for subject in ("The Diagnosis", "the diagnosis", "another", ""):
        structlog.get_logger().info("submission.sent", subject=subject)

    first, same, other, none = (json.loads(line).get("subject") for line in lines())
    assert first == same != other
    assert re.fullmatch(r"#[0-9a-f]{12}", first)
    assert none is None


def test_field_that_is_called_a_secret_is_one(log_to: Log) -> None:
    """Even as plain text by mistake."""
    lines = log_to()

    structlog.get_logger().info("a.b", token="hunter2", password="hunter2", authorization="Bearer hunter2")

    assert "hunter2" not in lines()[0]
