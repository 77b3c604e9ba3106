"""What a reload takes over, and what waits for a restart."""

import pytest

from qboxrelay.settings.changes import changed_sections, taken_over
from qboxrelay.settings.schema import Settings

BEFORE = Settings()


@pytest.mark.parametrize(
    ("section", "value"),
    [
        ("listeners", [{"name": "other"}]),
        ("tls", {"certificate_file": "/etc/door.pem"}),
        ("users", [{"name": "erp"}]),
        ("logins", {"failure_delay": "5s"}),
        ("senders", [{"name": "rule"}]),
        ("sender_domains", {"if_blocked": "warn"}),
        ("recipients", {"refuse_suppressed": True}),
        ("mapping", {"empty_subject": "-"}),
        ("relay", {"max_received": 50}),
        ("log", {"level": "debug"}),
        ("delivery", {"header_priority": False}),
    ],
)
def test_taken_over_at_once(section: str, value: object) -> None:
    wanted = Settings.model_validate({section: value})
    assert taken_over(BEFORE, wanted) == (wanted, ())
    assert changed_sections(BEFORE, wanted) == (section,)


@pytest.mark.parametrize(
    ("section", "value", "named"),
    [
        ("relay", {"data_dir": "/elsewhere"}, "[relay] data_dir"),
        ("spool", {"max_messages": 5}, "[spool] max_messages"),
        ("delivery", {"max_age": "1d"}, "[delivery] max_age"),
        ("notices", {"to": "sender"}, "[notices] to"),
        ("status", {"address": ""}, "[status] address"),
        ("log", {"format": "json"}, "[log] format"),
    ],
)
def test_waits_for_a_restart(section: str, value: object, named: str) -> None:
    """What waits stays as it was, and is said once more by the next reload."""
    wanted = Settings.model_validate({section: value})
    in_force, waiting = taken_over(BEFORE, wanted)

    assert (in_force, waiting) == (BEFORE, (named,))
    assert taken_over(in_force, wanted)[1] == (named,)


def test_account_that_is_gone() -> None:
    """It takes no new mail, and is named."""
    before = Settings.model_validate({"accounts": [{"name": "a"}, {"name": "b"}]})
    in_force, waiting = taken_over(before, Settings.model_validate({"accounts": [{"name": "a"}]}))

    assert [account.name for account in in_force.accounts] == ["a"]
    assert [name.split(" (")[0] for name in waiting] == ["[[accounts]] b"]
