"""What a client in confirm mode hears when the API has spoken.

In: the verdicts of a transaction's submissions. Out: the reply; None where they do not agree. Never: 5xx when any recipient was served.
"""

from collections.abc import Sequence

from qboxrelay.model.reply import Reply
from qboxrelay.spool.confirmations import Verdict


def confirmed(transaction_id: str, verdicts: Sequence[Verdict]) -> Reply | None:
    """250 with the API's ids, or 554 with its words. Where some were accepted and some refused, notices tell of the latter."""
    first = verdicts[0]
    if all(verdict.accepted for verdict in verdicts):
        ids = f"request_id={first.request_id or '-'} message_id={first.message_id or '-'}"
        return Reply(250, "2.0.0", f"Ok: sent as {transaction_id} {ids}")
    if any(verdict.accepted for verdict in verdicts):
        return None
    return Reply(
        554, "5.6.0", f"Qboxmail refused the mail {transaction_id}: {first.text} (request_id={first.request_id or '-'})"
    )
