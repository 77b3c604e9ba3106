"""Whether anybody is to be told of what an attempt came to.

In: a submission, its result, the settings. Out: the result, marked with whom to tell of what; or why nobody is told. Never: I/O, or a
notice that could answer a notice.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from qboxrelay.model.submission import Claimed, NoticeKind, State
from qboxrelay.settings.schema import NoticeSettings
from qboxrelay.spool.port import Result

Silence = Literal["notice", "null_sender", "never", "address"]
"""It is a notice itself; nobody sent it; NOTIFY=NEVER; nobody could be reached at the sender's address."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The rules of `[notices]`."""

    settings: NoticeSettings

    def mark(self, submission: Claimed, result: Result, now: datetime) -> tuple[Result, Silence | None]:
        """The result as it is to be recorded; for a failure of which nobody is told although notices are on, the reason."""
        kind = self._kind(submission, result, now)
        if kind is None:
            return result, None
        silence = self._silence(submission)
        if silence is not None:
            return result, silence if kind is NoticeKind.FAILURE else None
        tell = submission.envelope_sender if self.settings.to == "sender" else self.settings.to
        return replace(result, notice=kind, tell=tell), None

    def _kind(self, submission: Claimed, result: Result, now: datetime) -> NoticeKind | None:
        if self.settings.to == "off":
            return None
        if result.state is State.FAILED:
            return NoticeKind.FAILURE
        after = self.settings.delay_after
        late = after and result.state is State.QUEUED and now - submission.received_at >= after
        return NoticeKind.DELAY if late else None

    def _silence(self, submission: Claimed) -> Silence | None:
        if submission.is_notice:
            return "notice"
        if not submission.envelope_sender:
            return "null_sender"
        if submission.notify_never:
            return "never"
        if self.settings.to == "sender" and not _can_be_reached(submission.envelope_sender):
            return "address"
        return None


def _can_be_reached(address: str) -> bool:
    """Nobody reads root@localhost outside of its machine, and the API may refuse it."""
    domain = address.rpartition("@")[2]
    return "." in domain.rstrip(".") and not domain.startswith("[")
