"""Where a mail's time went.

In: a submission, its request, when that began. Out: seconds. Never: less than nothing, although a clock may have been set back.
"""

from datetime import datetime

from qboxrelay.model.submission import Claimed
from qboxrelay.spool.port import RequestResult


def delays(submission: Claimed, request: RequestResult, started_at: datetime) -> str:
    """Seconds before the spool, in it, connecting, until the answer: a/b/c/d, as Postfix shows them (postconf(5), delay_logging_resolution_limit)."""
    before = _seconds(submission.received_at, _stored_at(submission))
    in_spool = waited(submission, started_at)
    return f"{before:.3f}/{in_spool:.3f}/{request.connect_seconds or 0:.3f}/{request.answer_seconds or 0:.3f}"


def waited(submission: Claimed, started_at: datetime) -> float:
    """Seconds in the spool."""
    return _seconds(_stored_at(submission), started_at)


def _stored_at(submission: Claimed) -> datetime:
    return submission.stored_at or submission.received_at


def _seconds(since: datetime, until: datetime) -> float:
    return max(0.0, (until - since).total_seconds())
