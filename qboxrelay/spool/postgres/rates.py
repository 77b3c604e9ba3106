"""Turns of a token over all nodes.

In: a token's digest, how far apart its requests are to be. Out: the seconds until the next turn. Never: a turn that two nodes have; one that is
put off by who cannot wait for it; the token.
"""

from qboxrelay.spool.postgres.database import Database
from qboxrelay.spool.shared import Turned
from qboxrelay.spool.statements import load_statements

_SLOWEST = 10.0
_FASTER = 0.02
"""As of one relay alone: see `dispatch.rate`."""
_FURTHEST_TURNS = 100


class Rates:
    """Each call is one statement, and one row that is locked for no longer than it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = load_statements("postgres")

    async def turn(
        self, token: bytes, account: str, *, interval: float, late: float, accepted: int, within: float
    ) -> Turned:
        values = {
            "token": token,
            "account": account,
            "interval": interval,
            "late": late,
            "faster": _FASTER * accepted,
            "furthest": _FURTHEST_TURNS * _SLOWEST * interval,
            "seconds": self._seconds(),
            "within": within,
        }
        async with self._database.reading() as connection:
            row = await (await connection.execute(self._sql["take_turn"], values)).fetchone()
            taken = row is not None
            if row is None:
                row = await (await connection.execute(self._sql["next_turn"], values)).fetchone()
        # Between the two statements the token was forgotten: whoever asks again finds out.
        return (
            Turned(0.0, 0, taken=False) if row is None else Turned(max(0.0, float(row["wait"])), row["version"], taken)
        )

    async def slow_down(self, token: bytes) -> None:
        async with self._database.reading() as connection:
            await connection.execute(self._sql["slow_down"], {"token": token, "slowest": _SLOWEST})

    async def forget(self, age_seconds: float) -> None:
        """Tokens that nobody uses any more."""
        async with self._database.reading() as connection:
            await connection.execute(self._sql["forget_rates"], {"age": age_seconds, "seconds": self._seconds()})

    def _seconds(self) -> float | None:
        now = self._database.now_ms()
        return None if now is None else now / 1000
