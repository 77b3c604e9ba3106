"""The file that mail waits in while the server takes none.

In: submissions. Out: the same submissions in order of arrival, and their end here once they are in the server. Never: a claim of them.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from qboxrelay.model.submission import State, Submission
from qboxrelay.spool import parcels
from qboxrelay.spool.rows import Row, submission_of
from qboxrelay.spool.sqlite import SqliteSpool
from qboxrelay.spool.sqlite.transaction import Transaction

FOLDER, FILE = "fallback", "fallback.db"
"""In data_dir. A folder of its own, with its own lock: a server may be used by another relay of this machine meanwhile."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A submission and its number here, which is in order of arrival."""

    key: int
    submission: Submission


class Local(SqliteSpool):
    """Stores as any spool does, with its limits. `open` is the way to make one."""

    @property
    def messages(self) -> int:
        return self._usage.by_state()[0][State.QUEUED]

    @property
    def bytes(self) -> int:
        return self._usage.by_state()[1][State.QUEUED]

    async def first(self, after: int) -> list[Waiting]:
        """The next ones behind a key, as many as one commit moves."""
        if self._fresh.accounts:
            await self._writer.run(self._fresh.line_up)

        def read(connection: sqlite3.Connection) -> list[Waiting]:
            found = connection.execute(
                self._sql["parcels_of_mail"], {"after": after, "limit": parcels.PART_MESSAGES}
            ).fetchall()
            keys = {"keys": _json(parcels.chosen((row["key"], row["size"]) for row in found))}
            return [_waiting(row) for row in connection.execute(self._sql["parcel_rows"], keys).fetchall()]

        return await self._read(read)

    async def drop(self, moved: Sequence[Waiting]) -> None:
        """They are safe elsewhere."""
        keys = {"keys": _json([one.key for one in moved])}

        def work(transaction: Transaction) -> None:
            transaction.connection.execute(self._sql["delete_payloads"], keys)
            transaction.connection.execute(self._sql["delete_submissions"], keys)
            for one in moved:
                transaction.count(one.submission.account, State.QUEUED, -1, -len(one.submission.payload))

        await self._writer.run(work)


def path_in(data_dir: Path) -> Path:
    return data_dir / FOLDER / FILE


def _waiting(row: Row) -> Waiting:
    return Waiting(row["key"], submission_of(row))


def _json(keys: Sequence[int]) -> str:
    return orjson.dumps(keys).decode()
