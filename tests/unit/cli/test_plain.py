"""What commands print that others wrote: no character of it may act on a terminal."""

import json

import pytest

from qboxrelay.cli.daemon import fail
from qboxrelay.cli.doctor_row import Row, Verdict, print_row
from qboxrelay.cli.explain import _for_people
from qboxrelay.cli.plain import plain, to_json

HOSTILE = "\x1b[31m red \x9b31m \x07 \u202eback \u2066 \udcff \r\nsubject: no"
ACTING = set("\x1b\x9b\x07\u202e\u2066\udcff\r\n")


def test_plain_is_one_line_that_does_nothing() -> None:
    """Escape sequences of seven and eight bits, line ends, marks of direction, surrogates: all blanks; letters of any script stay."""
    assert not ACTING & set(plain(HOSTILE))
    assert plain("Ärger 東京 שלום 😀") == "Ärger 東京 שלום 😀"


def test_json_escapes_what_would_act_and_says_the_same() -> None:
    """A program that reads it finds the very text; a terminal shows escapes."""
    text = to_json({"text": HOSTILE, HOSTILE: [1, "日本"]}, indent=None)

    assert not ACTING & set(text)
    assert "日本" in text
    assert json.loads(text) == {"text": HOSTILE, HOSTILE: [1, "日本"]}


def test_errors_and_findings_are_plain(capsys: pytest.CaptureFixture[str]) -> None:
    """The words of an API, of a certificate, of an argument."""
    fail(HOSTILE)
    print_row(Row(HOSTILE, HOSTILE, Verdict.FAIL, HOSTILE, HOSTILE), None)
    shown = capsys.readouterr()

    assert not (ACTING - {"\n"}) & set(shown.out + shown.err)
    assert shown.err.count("\n") == 1
    assert [line[:9] for line in shown.out.splitlines()] == ["", plain(HOSTILE)[:9], "  fail   ", " " * 9]


def test_explained_mail_is_plain() -> None:
    """What stands in a mail and is shown outside of JSON, and inside."""
    said = {"file": HOSTILE, "decision": "accept", "reply": HOSTILE, "losses": [{"what": HOSTILE, "rule": "group"}]}

    shown = _for_people({**said, "submissions": [{"subject": HOSTILE}]})

    assert not (ACTING - {"\n"}) & set(shown)
