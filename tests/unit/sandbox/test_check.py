"""What the Send API asks of a message, field by field."""

from typing import Any

import pytest

from qboxrelay.sandbox.check import check_message, recipients_of
from qboxrelay.sandbox.switches import Switches

PDF = {"filename": "a.pdf", "content_type": "application/pdf", "content": "JVBERg=="}


def _message(**changes: Any) -> dict[str, Any]:
    whole = {"from": "a@example.com", "to": "b@example.net", "subject": "Hello", "text_body": "x"}
    return {name: value for name, value in (whole | changes).items() if value is not ...}


@pytest.mark.parametrize(
    "message",
    [
        _message(),
        _message(text_body=..., html_body="<p>x"),
        _message(html_body="<p>x"),
        _message(to=..., cc="b@example.net"),
        _message(cc=["c@example.net"], bcc={"address": "d@example.net"}, reply_to="r@example.com, s@example.com"),
        _message(headers={}),
        _message(headers={"X-Text": "a", "X-Number": 1.5, "X-Yes": True, "X-Many": ["a", 2, False]}),
        _message(attachments=[]),
        _message(attachments=[PDF, PDF | {"disposition": "attachment"}, PDF | {"content": ""}]),
        _message(attachments=[PDF | {"content_id": "x"}, PDF | {"content_id": "x", "disposition": "inline"}]),
    ],
)
def test_documented_messages_pass(message: dict[str, Any]) -> None:
    """API page send."""
    assert check_message(message, Switches()) is None


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        ("text", "is not an object"),
        (_message(**{"from": ...}), "`from` must be one mailbox"),
        (_message(**{"from": "a@example.com, b@example.com"}), "`from` must be one mailbox"),
        (_message(to="nobody"), "`to` is not a list of mailboxes"),
        (_message(reply_to=[]), "`reply_to` is not a list of mailboxes"),
        (_message(cc=None), "`cc` is not a list of mailboxes"),
        (_message(to=...), "no recipient in `to` or `cc`"),
        (_message(subject=...), "`subject` is required"),
        (_message(subject=7), "`subject` is required"),
        (_message(text_body=...), "`text_body` or `html_body` is required"),
        (_message(html_body=None), "a body must be a text"),
        (_message(send_at="now"), "has a field that is not documented"),
        (_message(headers=[]), "`headers` must be an object of strings, numbers, booleans or arrays of these"),
        (_message(headers={"X": None}), "`headers` must be an object of strings, numbers, booleans or arrays of these"),
        (
            _message(headers={"X": {"a": 1}}),
            "`headers` must be an object of strings, numbers, booleans or arrays of these",
        ),
        (
            _message(headers={"X": ["a", ["b"]]}),
            "`headers` must be an object of strings, numbers, booleans or arrays of these",
        ),
        (_message(headers={"X:": "a"}), "`headers` has a name or a value that no header field can have"),
        (
            _message(headers={"X": ["a\r\nBcc: e@example.net"]}),
            "`headers` has a name or a value that no header field can have",
        ),
        (_message(attachments={}), "`attachments` must be an array"),
        (_message(attachments=["a"]), "attachments[0]: is not an object"),
        (_message(attachments=[PDF, PDF | {"filename": ""}]), "attachments[1]: `filename` is required"),
        (_message(attachments=[PDF | {"content_type": None}]), "attachments[0]: `content_type` is required"),
        (_message(attachments=[{"filename": "a", "content_type": "b/c"}]), "attachments[0]: `content` is required"),
        (_message(attachments=[PDF | {"content": "a b="}]), "attachments[0]: `content` is not Base64"),
        (_message(attachments=[PDF | {"content": "abc"}]), "attachments[0]: `content` is not Base64"),
        (_message(attachments=[PDF | {"content": "é"}]), "attachments[0]: `content` is not Base64"),
        (
            _message(attachments=[PDF | {"disposition": "hidden"}]),
            "attachments[0]: `disposition` is attachment or inline",
        ),
        (
            _message(attachments=[PDF | {"disposition": "inline"}]),
            "attachments[0]: `content_id` is required for inline",
        ),
        (_message(attachments=[PDF | {"content_id": ""}]), "attachments[0]: `content_id` must be a text"),
        (
            _message(attachments=[PDF | {"content_id": "x", "disposition": "attachment"}]),
            "attachments[0]: `disposition` must be inline when `content_id` is given",
        ),
        (_message(attachments=[PDF | {"size": 3}]), "attachments[0]: has a field that is not documented"),
    ],
)
def test_everything_else_is_named(message: object, problem: str) -> None:
    """The field is named, its content is not."""
    assert check_message(message, Switches()) == problem


def test_recipients_are_those_of_all_three_fields() -> None:
    """In the order to, cc, bcc; `reply_to` receives nothing."""
    message = _message(bcc="d@example.net", cc="c@example.net, e@example.net", reply_to="r@example.net")

    assert recipients_of(message) == ["b@example.net", "c@example.net", "e@example.net", "d@example.net"]


def test_nulls_can_count_as_missing() -> None:
    """In messages and attachments; required fields stay required."""
    switches = Switches(nulls=True)

    assert check_message(_message(cc=None, attachments=[PDF | {"content_id": None}]), switches) is None
    assert check_message(_message(subject=None), switches) == "`subject` is required"
