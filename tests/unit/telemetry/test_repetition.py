"""Repeated warnings and errors are counted."""

import json
import threading
from typing import Any

import pytest
import structlog

from qboxrelay.settings.schema import LogSettings
from qboxrelay.telemetry.logs import configure
from qboxrelay.telemetry.repetition import Repetition

from .conftest import Log


class Time:
    """Seconds that a test sets."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def event(name: str = "claim.failed", level: str = "error", **fields: Any) -> dict[str, Any]:
    return {"event": name, "level": level, **fields}


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def repetition(time: Time) -> Repetition:
    return Repetition(every=60, monotonic=time)


def written(repetition: Repetition, **fields: Any) -> bool:
    return bool(repetition(event(**fields)))


def test_the_first_is_written_and_the_next_are_counted(repetition: Repetition, time: Time) -> None:
    """After the interval one line says how many there were; then it begins anew."""
    assert repetition(event()) == [event()]
    assert [repetition(event()) for _ in range(41)] == [[]] * 41
    time.now += 60
    assert repetition(event()) == [event(repeated=41)]
    assert repetition(event()) == []
    time.now += 60
    assert repetition(event()) == [event(repeated=1)]


def test_a_count_is_told_when_the_error_has_stopped(repetition: Repetition, time: Time) -> None:
    """By whatever is logged next: the last repetitions of a flood are not lost, and nothing is said where there were none."""
    repetition(event(account="a", error="disk I/O error"))
    repetition(event(account="a", error="disk I/O error"))
    repetition(event(account="b"))
    time.now += 60
    summary = {
        "level": "error",
        "event": "log.repeated",
        "of": "claim.failed",
        "account": "a",
        "error": "disk I/O error",
        "repeated": 1,
    }

    assert repetition(event("mail.accepted", "info")) == [summary, event("mail.accepted", "info")]
    assert repetition(event("mail.accepted", "info")) == [event("mail.accepted", "info")]


def test_the_end_of_a_run_tells_all_counts(repetition: Repetition) -> None:
    """Before its last line, though the interval is not over."""
    for _ in range(3):
        repetition(event())

    said = repetition(event("relay.stopped", "info"))
    assert [(line["event"], line.get("repeated")) for line in said] == [("log.repeated", 2), ("relay.stopped", None)]


def test_other_errors_are_other_errors(repetition: Repetition) -> None:
    """Another account, another client, another reason, another exception."""
    assert all(
        written(repetition, **fields)
        for fields in (
            {"account": "a"},
            {"account": "b"},
            {"client": "192.0.2.1"},
            {"client": "192.0.2.2"},
            {"reason": "dns"},
            {"exc_info": ValueError()},
            {"exc_info": KeyError()},
            {"level": "warning", "name": "x"},
        )
    )


def test_ids_counts_and_times_make_no_difference(repetition: Repetition) -> None:
    """They are another every time."""
    assert written(repetition, request=1, count=5, error="no answer within 30.1 seconds")
    assert not written(repetition, request=2, count=7, error="no answer within 29.9 seconds")


@pytest.mark.parametrize(
    "fields",
    [
        event("submission.failed", transaction="X"),
        event("submission.held"),
        event("mail.refused", "warning", rule="sender_domain_unknown"),
        event("account.condition", "warning"),
        event("attempt.maybe_duplicate", "warning"),
        event("operator.unseen"),
        event("login.refused", "warning", client="192.0.2.1"),
        event("mail.accepted", "info"),
        event("attempt.deferred", "debug"),
    ],
)
def test_what_is_said_of_one_mail_is_always_written(repetition: Repetition, fields: dict[str, Any]) -> None:
    """Closing lines, refusals, changes, and what is no warning."""
    assert repetition(dict(fields)) == repetition(dict(fields)) == [fields]


def test_refusals_for_the_relays_own_trouble_are_counted(repetition: Repetition) -> None:
    """A full disk refuses every mail of every second."""
    full = event("mail.refused", "warning", rule="spool_full", client="192.0.2.1")

    assert repetition({**full, "transaction": "X"}) != []
    assert repetition({**full, "transaction": "Y"}) == []


def test_memory_is_bounded(repetition: Repetition) -> None:
    """Whoever comes from ever new addresses fills nothing; a count that leaves is told."""
    repetition(event(client="first"))
    repetition(event(client="first"))
    told = [line for number in range(5000) for line in repetition(event(client=f"{number:x}-{number % 7}"))]

    assert len(repetition._kinds) <= 500
    assert [line["repeated"] for line in told if line["event"] == "log.repeated"] == [1]


def test_nothing_is_counted_where_the_setting_is_0(time: Time) -> None:
    repetition = Repetition(every=0, monotonic=time)

    assert [len(repetition(event())) for _ in range(3)] == [1, 1, 1]


def test_counts_are_lines_of_the_log(log_to: Log, tmp_path: Any) -> None:
    """As they are written: masked, with a time, each on a line of its own."""
    time = Time()
    with (tmp_path / "lines").open("w") as stream:
        configure(LogSettings(format="json", addresses="domain"), stream, monotonic=time)
        log = structlog.get_logger()
        for _ in range(3):
            log.error("claim.failed", error="of bob@example.com")
        time.now += 60
        log.info("relay.stopped")

    lines = [json.loads(line) for line in (tmp_path / "lines").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["claim.failed", "log.repeated", "relay.stopped"]
    assert (lines[1]["repeated"], lines[1]["error"]) == (2, "of *@example.com")
    assert all(line["timestamp"] for line in lines)


def test_an_event_within_an_event_waits_for_nobody(log_to: Log) -> None:
    """What an object says of itself, or one that is collected at that moment, may be logged while another event is put in words."""

    class Talkative:
        def __str__(self) -> str:
            structlog.get_logger().warning("part.heard")
            return "it"

    lines = log_to()
    teller = threading.Thread(target=structlog.get_logger().error, args=("part.failed",), kwargs={"error": Talkative()})
    teller.daemon = True
    teller.start()
    teller.join(60)

    assert not teller.is_alive()
    assert [json.loads(line)["event"] for line in lines()] == ["part.heard", "part.failed"]
