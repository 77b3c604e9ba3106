"""Who may record what, and until when.

In: leases of committed claims. Out: the requests whose lease ran out. Never: wall time, which jumps; one process holds the
spool, so its monotonic clock decides, and whatever another process left under way has run out.
"""

from qboxrelay.spool.sqlite.transaction import Transaction

_EXTENSION_SECONDS = 300.0


class Leases:
    """The leases of this process, by request. Changed by the writer thread; reading elsewhere is safe."""

    def __init__(self) -> None:
        self._granted: dict[int, tuple[str, float]] = {}

    def apply(self, transaction: Transaction) -> None:
        self._granted.update(transaction.granted)
        for request in transaction.ended:
            self._granted.pop(request, None)

    def extend(self, request: int, now: float) -> None:
        """The owner is alive and knows the answer, but the spool could not take it: nobody else may send this meanwhile."""
        if request in self._granted:
            account, until = self._granted[request]
            self._granted[request] = (account, max(until, now + _EXTENSION_SECONDS))

    def ran_out(self, now: float) -> set[int]:
        return {request for request, (_, until) in self._granted.items() if until <= now}

    def next_end(self, account: str) -> float | None:
        """When the account's first lease runs out, by the monotonic clock."""
        return min((until for owner, until in list(self._granted.values()) if owner == account), default=None)
