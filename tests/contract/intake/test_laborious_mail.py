"""What would hold the event loop is mapped elsewhere, however small it is."""

import threading
from dataclasses import replace
from pathlib import Path

from qboxrelay.intake.admission import Deciding, Intake
from qboxrelay.intake.decide import Decision
from qboxrelay.model.envelope import Envelope
from qboxrelay.spool.sqlite import SqliteSpool
from tests.contract.intake.test_admission import envelope, with_intake
from tests.support import mails

_MANY_PARTS = b"From: ann@example.com\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\n" * 2_000
_LONG_HEADER = b"From: ann@example.com\r\nTo: " + b"a@b.c, " * 2_000 + b"bob@example.net\r\n\r\nhello"


class _Noting:
    """The rules, and in which threads they were asked."""

    def __init__(self, rules: Deciding) -> None:
        self._rules = rules
        self.threads: list[threading.Thread] = []

    def decide(self, envelope: Envelope, content: bytes) -> Decision:
        self.threads.append(threading.current_thread())
        return self._rules.decide(envelope, content)


def test_small_mail_that_looks_laborious_is_mapped_in_a_thread(tmp_path: Path) -> None:
    """Ten kilobytes of parts or addresses are more work than sixty of text."""

    async def work(intake: Intake, _spool: SqliteSpool) -> list[bool]:
        intake.rules = noting = _Noting(intake.rules)
        plain = mails.simple("plain", body="text\n" * 10_000).as_bytes()
        for number, content in enumerate((plain, _MANY_PARTS, _LONG_HEADER)):
            assert (await intake.admit(replace(envelope(), transaction_id=f"T{number}"), content)).accepted
        return [thread is threading.current_thread() for thread in noting.threads]

    assert with_intake(tmp_path, work) == [True, False, False]
