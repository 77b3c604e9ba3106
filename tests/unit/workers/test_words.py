"""What travels between the processes comes out as it went in."""

import pickle
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qboxrelay.model.submission import Submission
from qboxrelay.settings.schema import Settings, UserSettings
from qboxrelay.settings.types import Secret
from qboxrelay.settings.user_secrets import UserSecrets
from qboxrelay.spool.confirmations import Verdict
from qboxrelay.spool.port import SpoolDamaged, SpoolError, SpoolFull, SpoolShortOfMemory
from qboxrelay.workers.words import (
    WorkerTerms,
    error_as_bytes,
    error_from_bytes,
    put_as_bytes,
    put_from_bytes,
    terms_as_bytes,
    terms_from_bytes,
    verdicts_as_bytes,
    verdicts_from_bytes,
)

MAIL = Submission(
    id="01-1",
    transaction_id="01",
    account="default",
    client_key="192.0.2.1",
    payload=b"{}",
    received_at=datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC),
    envelope_sender="",
    recipients=("bob@example.net", "Čeněk@example.net"),
)


@given(
    st.lists(st.tuples(st.binary(max_size=50), st.none() | st.binary(max_size=50), st.text(max_size=9)), max_size=4),
    st.booleans(),
)
def test_submissions(contents: list[tuple[bytes, bytes | None, str]], awaited: bool) -> None:
    """Every field of each, and whether somebody waits for the verdict."""
    given_ = [replace(MAIL, payload=payload, raw=raw, subject=text) for payload, raw, text in contents]
    try:
        body = put_as_bytes(given_, awaited=awaited)
    except SpoolError:
        return  # a text that no database would take either
    assert put_from_bytes(body) == (given_, awaited)


def test_every_field() -> None:
    """Each comes out as itself, whatever is added to a submission one day."""
    odd = {"payload": b"{}", "raw": b"raw", "received_at": MAIL.received_at, "recipients": ("a", "b"), "priority": 7}
    truths = {"notify_never", "is_notice"}
    values: dict[str, Any] = {
        field.name: True if field.name in truths else odd.get(field.name, f"its {field.name}")
        for field in fields(Submission)
    }
    one = Submission(**values)
    assert put_from_bytes(put_as_bytes([one], awaited=False)) == ([one], False)


def test_a_text_that_cannot_be_stored() -> None:
    """It is this mail's trouble, and temporary, as it is with a spool in the same process."""
    with pytest.raises(SpoolError, match="cannot be stored"):
        put_as_bytes([replace(MAIL, subject="\udcff")], awaited=False)


@pytest.mark.parametrize("kind", [SpoolFull, SpoolDamaged, SpoolShortOfMemory, SpoolError])
def test_errors(kind: type[SpoolError]) -> None:
    """The kind decides what the client hears."""
    given_ = kind("no room")
    found = error_from_bytes(error_as_bytes(given_))
    assert (type(found), str(found)) == (kind, str(given_))


def test_an_error_whose_text_is_none() -> None:
    """What cannot be written is spelt out."""
    error = error_from_bytes(error_as_bytes(SpoolError("/caf\udce9/spool.db")))
    assert str(error) == r"/caf\udce9/spool.db"


def test_an_error_of_another_kind() -> None:
    """One that a backend made up is a `SpoolError` to the worker."""

    class StrangeError(SpoolError):
        pass

    assert type(error_from_bytes(error_as_bytes(StrangeError("odd")))) is SpoolError


def test_verdicts() -> None:
    """All, or none that came in time."""
    verdicts = [Verdict(accepted=True, text="fine", request_id="r", message_id=None)]
    assert verdicts_from_bytes(verdicts_as_bytes(verdicts)) == verdicts
    assert verdicts_from_bytes(verdicts_as_bytes(None)) is None


def test_terms() -> None:
    """Secrets travel to a worker, and nowhere else: elsewhere they still refuse to be pickled."""
    terms = WorkerTerms(
        settings=Settings(users=(UserSettings(name="erp"),)),
        users={"erp": UserSecrets(cram_md5=Secret("geheim"))},
        removed_users=frozenset({"old"}),
        asks_management=True,
        listing=b"{}",
    )
    found = terms_from_bytes(terms_as_bytes(terms))

    assert found == terms
    assert found.users["erp"].cram_md5 == Secret("geheim")
    assert found.settings.relay.stop_timeout == timedelta(seconds=20)
    with pytest.raises(TypeError, match="not to be pickled"):
        pickle.dumps(terms)
