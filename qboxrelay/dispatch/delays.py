"""Where a mail's time went.

In: submissions, their request, when that began. Out: seconds. Never: less than nothing, although a clock may have been set back.
"""

from collections.abc import Sequence
from datetime import datetime

from qboxrelay.model.submission import Claimed
from qboxrelay.spool.port import RequestResult


def delays(submission: Claimed, in_spool: float, of_request: str) -> str:
    """Seconds before the spool, in it, connecting, until the answer: a/b/c/d, as Postfix shows them (postconf(5), delay_logging_resolution_limit)."""
    stored_at = submission.stored_at
    before = 0.0 if stored_at is None else max(0.0, (stored_at - submission.received_at).total_seconds())
    return f"{before:.3f}/{in_spool:.3f}/{of_request}"


def of_request(request: RequestResult) -> str:
    """The last two of the four, which are the same for all that travelled together."""
    return f"{request.connect_seconds or 0:.3f}/{request.answer_seconds or 0:.3f}"


def waits(submissions: Sequence[Claimed], started_at: datetime) -> list[float]:
    """Seconds in the spool, of each."""
    return [max(0.0, (started_at - (one.stored_at or one.received_at)).total_seconds()) for one in submissions]
