"""Whether PostgreSQL slows down as the history grows: `python -m tests.bench.history [--rows N ...] [--churn N]`, by default 10,000, 1,000,000 and
10,000,000 finished mails, which take 12 GB of disk and ten minutes.

In: numbers of finished mails. Out: two Markdown tables: what each statement costs the server (pages looked at, milliseconds, and how many times
those of the first row that is), and what so many mails through the real spool leave in the tables (HOT updates, dead rows, bytes, WAL). The server
is the bench's own, with fsync on, and goes with it. Never: a verdict.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg import Connection

from qboxrelay.model.clock import SystemClock
from qboxrelay.settings.schema import SpoolSettings
from qboxrelay.spool.postgres.database import Database
from qboxrelay.spool.postgres.spool import PostgresSpool
from qboxrelay.spool.statements import load_statements
from tests.bench.history_fill import SCHEMA, WAITING, grow, make, migrate
from tests.bench.spool import put_meter, send_meter
from tests.support.plans import Explained, buffers
from tests.support.postgres import Cluster

SIZES = (10_000, 1_000_000, 10_000_000)
ROUNDS = 9
"""Of each statement; the server may choose another plan for the sixth. The best of the last three counts."""
PAYLOAD = b'{"text_body":"' + b"x" * 2000 + b'"}'
SERVER = {
    "fsync": "on",
    "full_page_writes": "on",
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "maintenance_work_mem": "512MB",
}


def arrivals(count: int) -> dict[str, object]:
    """Values of a put."""
    names = [f"new-{number}" for number in range(count)]
    texts = ("helos", "users", "listeners", "dsns", "rules", "domain_states", "traces")
    return {
        "ids": [f"{name}-1" for name in names],
        "accounts": ["default"] * count,
        "client_keys": ["ip:192.0.2.1"] * count,
        "priorities": [0] * count,
        "sizes": [len(PAYLOAD)] * count,
        "received": [1] * count,
        "senders": ["robot@example.com"] * count,
        "recipients": [f'["{name}@example.net"]' for name in names],
        "nevers": [False] * count,
        "notices": [False] * count,
        "froms": ["robot@example.com"] * count,
        "subjects": names,
        "headers": [f"<{name}@example.com>" for name in names],
        "addresses": ["192.0.2.1"] * count,
        "payloads": [PAYLOAD] * count,
        "raws": [None] * count,
        **{text: [""] * count for text in texts},
    }


def outcomes(request: int, keys: list[int]) -> dict[str, object]:
    """Values of a record: all sent."""
    count = len(keys)
    return {
        "request": request, "token": 1, "keys": keys, "states": ["sent"] * count, "next_attempts": [None] * count, "outcomes": ["accepted"] * count,
        "reasons": [""] * count, "texts": [""] * count, "message_ids": [f"id-{key}@qboxmail" for key in keys], "submitted": ["now"] * count,
        "suppressions": [None] * count, "counted": [1] * count, "maybe": [False] * count, "notices": [None] * count, "tells": [""] * count,
        "keep_raw": False, "nothing": False, "status": 202, "request_id": "request", "error": None, "text": "", "connect_seconds": 0.1,
        "answer_seconds": 0.1,
    }  # fmt: skip


class Measured:
    """Statements over one connection, each undone at once."""

    def __init__(self, connection: Connection[Any]) -> None:
        self._connection = connection
        self._statements = load_statements("postgres")
        connection.execute(b"DEALLOCATE ALL")
        self._explained = Explained(connection, self._statements)
        found = connection.execute(
            b"SELECT key FROM states WHERE state = 'queued' AND ready ORDER BY key LIMIT 100"
        ).fetchall()
        self._keys = [key for (key,) in found]
        self._lease = {
            "node": "bench",
            "token": 1,
            "lease": 60_000,
            "messages": 100,
            "bytes": 200_000,
            "keys": self._keys,
        }

    def rows(self, history: int) -> Iterator[tuple[str, tuple[int, float]]]:
        first, middle = WAITING - history, WAITING - history // 2
        common = {"account": "default", "now": WAITING, "server": None, "limit": 200}
        states = {"states": ["failed", "held"], "before": 2**62, "skip": 499}
        page = {"last": 0, "received_after": 0, "received_before": 2**62, "client": "", "error": "", "named": ""}
        clients = [f"ip:192.0.2.{number}" for number in range(50)]
        yield "put, 20 mails", self.cost("put", common | arrivals(20))
        yield "claim: whose turn", self.cost("clients", common | {"last": ""})
        yield "claim: candidates", self.cost("candidates", common | {"clients": clients, "fetch": 10})
        yield "claim: what is due again", self.cost("promote", common | {"horizon": 2 * WAITING})
        yield "claim: lease, 100 mails", self.cost("lease", common | self._lease)
        yield "claim: contents, 100 mails", self.cost("contents", common | {"keys": self._keys})
        yield "record, 100 mails", self.record(common)
        yield "leases that ran out", self.cost("ran_out", common)
        yield "depth", self.cost("depth", common)
        yield "oldest of each state", self.cost("oldest_first", common | {"limit": 100})
        yield "when is more due", self.cost("next_due", common)
        yield "overdue", self.cost("overdue", common | {"after": 0})
        yield (
            "prune the oldest 200",
            self.cost("prune_submissions", common | {"state": "sent", "before": first + 9_000}),
        )
        yield (
            "prune the oldest 200 of each state",
            self.cost("prune_submissions", common | {"state": "failed", "before": 2**62}),
        )
        yield "prune contents", self.cost("prune_contents", common | {"before": 2**62, "keep_raw": False})
        yield "prune 200 requests", self.cost("prune_requests", common | {"before": first + 9_000})
        yield "find by id", self.cost("find", common | {"id": f"{middle:026}-1"})
        yield "story: attempts", self.cost("attempts_of", common | {"key": middle})
        yield "latest 100", self.cost("latest", common | {"limit": 100})
        for state in ("sent", "failed", "queued"):
            yield f"latest 100 {state}", self.cost("latest_in_state", common | {"state": state, "limit": 100})
        floor, wanted = self.cost("page_floor", common | states), common | states | page
        yield "page of failed and held: its floor", floor
        yield "page of sent: its floor", self.cost("page_floor", common | states | {"states": ["sent"]})
        yield "page of sent", self.cost("page", wanted | {"states": ["sent"], "last": WAITING - 500, "account": ""})
        yield "oldest in states", self.cost("oldest_in_states", common)
        yield "trace by ids", self.cost("traced", common | {"text": "nothing"})
        newest = {"first": WAITING >> 16, "last": WAITING >> 16, "limit": 100}
        everything = newest | {"first": first >> 16}
        for text, parts in (("user77", everything), ("nobody", everything), ("boss", newest)):
            values = common | {"quoted": f'"{text}@example.net"', **parts}
            yield f"trace by recipient: {text}", self.cost("traced_recipient", values)

    def record(self, common: dict[str, object]) -> tuple[int, float]:
        """Of what was leased in the same transaction."""
        leased = common | self._lease

        def before() -> dict[str, object]:
            row = self._connection.execute(self._statements["lease"].encode(), leased).fetchone()
            assert row is not None
            return common | outcomes(row[-1], self._keys)

        return self.cost("record", common, before)

    def cost(
        self, name: str, values: dict[str, object], before: "Callable[[], dict[str, object]] | None" = None
    ) -> tuple[int, float]:
        """Pages and milliseconds: the best of the last three rounds."""
        found = []
        for _ in range(ROUNDS):
            with self._connection.transaction(force_rollback=True):
                explained = self._explained.run(name, before() if before is not None else values)
            found.append((explained["Execution Time"], buffers(explained)))
        best = min(found[-3:])
        return best[1], best[0]


_TABLES = """
SELECT relname, n_tup_ins, n_tup_upd, n_tup_hot_upd, n_tup_del, n_dead_tup, autovacuum_count, pg_table_size(relid), pg_indexes_size(relid)
FROM pg_stat_user_tables WHERE schemaname = '{schema}' AND (n_tup_ins + n_tup_upd + n_tup_del > 0) ORDER BY relname
"""
Table = tuple[int, ...]


def tables(connection: Connection[Any]) -> dict[str, Table]:
    connection.execute(b"SELECT pg_stat_force_next_flush(), pg_stat_clear_snapshot()")
    found = connection.execute(_TABLES.format(schema=SCHEMA).encode()).fetchall()
    return {name: tuple(figures) for name, *figures in found}


@contextmanager
def telling_changes(connection: Connection[Any], messages: int) -> Iterator[None]:
    """What it left in the tables."""
    before, wal, start = tables(connection), _wal(connection), time.perf_counter()
    yield
    seconds, written = time.perf_counter() - start, _wal(connection) - wal
    # Statistics come late.
    time.sleep(2)
    after = tables(connection)
    print(f"\n{messages:,} mails in {seconds:.0f} s, {written / messages:,.0f} bytes of WAL each\n")
    print("| table | inserted | updated | of them HOT | deleted | dead now | autovacuums | table MB | indexes MB |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, now in after.items():
        old = before.get(name, (0,) * len(now))
        inserted, updated, hot, deleted = (now[at] - old[at] for at in range(4))
        sizes = " | ".join(f"{now[at] / 1e6:,.1f} ({(now[at] - old[at]) / 1e6:+,.1f})" for at in (6, 7))
        if inserted or updated or deleted:
            print(
                f"| {name} | {inserted:,} | {updated:,} | {hot:,} | {deleted:,} | {now[4]:,} | {now[5] - old[5]} | {sizes} |",
                flush=True,
            )


def _wal(connection: Connection[Any]) -> int:
    row = connection.execute(b"SELECT (pg_current_wal_lsn() - '0/0')::bigint").fetchone()
    assert row is not None
    return int(row[0])


async def churn(url: str, folder: Path, messages: int) -> None:
    """So many mails come, are sent, and as many old ones are forgotten."""
    database = await Database.open(url, schema=SCHEMA)
    # The history of the bench is of the first days of 1970.
    settings = SpoolSettings(keep_trail=timedelta(days=1), max_messages=10_000_000)
    spool = await PostgresSpool.open(database, data_dir=folder, node="bench", settings=settings, clock=SystemClock())
    steps = []
    try:
        for _ in range(0, messages, 2_000):
            await put_meter(spool, PAYLOAD, 2_000, 50, clients=50)
            await send_meter(spool, 2_000, 200)
            for _ in range(10):
                start = time.perf_counter()
                await spool.prune()
                steps.append(time.perf_counter() - start)
    finally:
        await spool.close()
    steps.sort()
    print(
        f"\n{len(steps)} steps of pruning: median {steps[len(steps) // 2] * 1000:.1f} ms, longest {steps[-1] * 1000:.1f} ms",
        flush=True,
    )


def show(found: dict[int, dict[str, tuple[int, float]]]) -> None:
    sizes = list(found)
    print("| statement | " + " | ".join(f"{size:,}: pages | ms" for size in sizes) + " |")
    print("|---|" + "---|---|" * len(sizes))
    for name, (pages, milliseconds) in found[sizes[0]].items():
        cells = []
        for size in sizes:
            now = found[size][name]
            cells += [
                f"{now[0]:,} ({now[0] / max(1, pages):.1f})",
                f"{now[1]:.2f} ({now[1] / max(0.001, milliseconds):.1f})",
            ]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="*", default=SIZES)
    parser.add_argument(
        "--churn", type=int, default=200_000, help="mails that go through the spool behind the longest history; 0: none"
    )
    arguments = parser.parse_args()
    cluster = Cluster(SERVER)
    try:
        asyncio.run(migrate(cluster.url()))
        with psycopg.connect(cluster.url(), autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
            make(connection)
            found, rows = {}, 0
            for size in sorted(arguments.rows):
                start = time.perf_counter()
                grow(connection, rows, size)
                rows = size
                print(
                    f"{datetime.now(UTC):%H:%M:%S} filled to {rows:,} in {time.perf_counter() - start:.0f} s",
                    flush=True,
                )
                found[size] = dict(Measured(connection).rows(size))
            show(found)
            if arguments.churn:
                with telling_changes(connection, arguments.churn), tempfile.TemporaryDirectory() as name:
                    asyncio.run(churn(cluster.url(), Path(name), arguments.churn))
    finally:
        cluster.stop()


if __name__ == "__main__":
    main()
