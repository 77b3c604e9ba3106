"""What the spool costs a message, beside raw SQLite in the same run: `python -m tests.bench.spool [--waiting N] [--trail N]`; where
PostgreSQL is installed, its spool comes behind it, on a server of its own with fsync on.

In: sizes. Out: a table of microseconds and of ratios to raw `executemany`; compare ratios, machines differ. Of PostgreSQL the CPU is this
process's alone, without the server's. Never: a verdict.
"""

import argparse
import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from uuid import uuid4

from qboxrelay.model.clock import SystemClock
from qboxrelay.model.ids import new_id
from qboxrelay.model.submission import State, Submission
from qboxrelay.settings.schema import SpoolSettings
from qboxrelay.spool.port import RequestResult, Result, Spool
from qboxrelay.spool.postgres.database import Database
from qboxrelay.spool.postgres.spool import PostgresSpool
from qboxrelay.spool.sqlite import SqliteSpool
from tests.support.postgres import Cluster, programs

ACCOUNT = "default"
LEASE = timedelta(minutes=5)
GROUPS = (1, 10, 50, 200)
_numbers = count()


class Meter:
    """CPU and wall seconds of this process between two points."""

    def __init__(self) -> None:
        self.cpu = 0.0
        self.wall = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        cpu, wall = time.process_time(), time.perf_counter()
        yield
        self.cpu += time.process_time() - cpu
        self.wall += time.perf_counter() - wall

    def report(self, name: str, messages: int, raw: "Meter | None" = None) -> None:
        cpu, wall = self.cpu / messages * 1e6, self.wall / messages * 1e6
        ratio = f"{self.cpu / raw.cpu:6.1f} times raw" if raw and raw.cpu else ""
        print(f"{name:34} {cpu:8.0f} µs CPU {wall:8.0f} µs wall {ratio}", flush=True)


def submission(payload: bytes, client: str = "ip:192.0.2.1") -> Submission:
    id_ = new_id(datetime.now(UTC))
    return Submission(
        id=f"{id_}-1",
        transaction_id=id_,
        account=ACCOUNT,
        client_key=client,
        payload=payload,
        received_at=datetime.now(UTC),
        envelope_sender="robot@example.com",
        recipients=("someone@example.net",),
        from_address="robot@example.com",
        subject=f"report {next(_numbers)}",
        # In no order, as applications choose them.
        message_id_header=f"<{uuid4()}@example.com>",
        client_address="192.0.2.1",
        client_helo="printer.example.com",
        listener="default",
    )


def raw_meter(folder: Path, payload: bytes, messages: int, group: int) -> Meter:
    """The same bytes by `executemany` into one table, one commit a group, as durably."""
    (folder / f"raw{group}.db").unlink(missing_ok=True)
    connection = sqlite3.connect(folder / f"raw{group}.db", isolation_level=None)
    connection.execute("PRAGMA page_size = 16384")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE mail (key INTEGER PRIMARY KEY, id TEXT UNIQUE, payload BLOB)")
    rows = [(new_id(datetime.now(UTC)), payload) for _ in range(messages)]
    meter = Meter()
    with meter.running():
        for start in range(0, messages, group):
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT INTO mail (id, payload) VALUES (?, ?)", rows[start : start + group])
            connection.execute("COMMIT")
    connection.close()
    return meter


async def put_meter(spool: Spool, payload: bytes, messages: int, group: int, *, clients: int = 1) -> Meter:
    """Like sessions: each puts its own, a group of them at a time. The tasks themselves cost some 15 µs each."""
    mails = [submission(payload, f"ip:{number % clients}") for number in range(messages)]
    meter = Meter()
    with meter.running():
        for start in range(0, messages, group):
            await asyncio.gather(*[spool.put([mail]) for mail in mails[start : start + group]])
    return meter


async def send_meter(spool: Spool, messages: int, group: int) -> Meter:
    """Claim and record as the dispatcher does, all accepted."""
    meter = Meter()
    done = 0
    with meter.running():
        while done < messages:
            batch = await spool.claim(ACCOUNT, max_messages=group, max_bytes=49_000_000, lease=LEASE)
            assert batch is not None
            results = [
                Result(
                    key=claimed.key,
                    state=State.SENT,
                    outcome="accepted",
                    message_id=f"{claimed.id}@qboxmail",
                    submitted_at="2026-01-01T00:00:00Z",
                )
                for claimed in batch.submissions
            ]
            await spool.record(batch, RequestResult(status=202, request_id="request"), results)
            done += len(results)
    return meter


async def fill(spool: Spool, messages: int, *, clients: int, payload: bytes) -> None:
    for start in range(0, messages, 500):
        await spool.put([submission(payload, f"ip:{n % clients}") for n in range(start, min(start + 500, messages))])


async def with_postgres(url: str, folder: Path, work: Callable[[Spool], Awaitable[None]]) -> None:
    database = await Database.open(url, schema=folder.name)
    spool = await PostgresSpool.open(
        database, data_dir=folder, node="bench", settings=SpoolSettings(), clock=SystemClock()
    )
    try:
        await work(spool)
    finally:
        await spool.close()


async def with_sqlite(folder: Path, work: Callable[[Spool], Awaitable[None]]) -> None:
    spool = await SqliteSpool.open(folder / "spool.db", settings=SpoolSettings(), clock=SystemClock())
    try:
        await work(spool)
    finally:
        await spool.close()


async def main(arguments: argparse.Namespace) -> None:
    payload = b'{"text_body":"' + b"x" * arguments.bytes + b'"}'
    with tempfile.TemporaryDirectory(dir=arguments.directory) as name:
        folder = Path(name)

        async def measure(spool: Spool, label: str) -> None:
            for group in GROUPS:
                messages = min(arguments.messages, group * 100)
                raw = raw_meter(folder / label, payload, messages, group)
                raw.report(f"raw insert, groups of {group}", messages)
                (await put_meter(spool, payload, messages, group)).report(f"put, groups of {group}", messages, raw)
                sent = await send_meter(spool, messages, group)
                sent.report(f"claim and record, batches of {group}", messages, raw)

        async def empty(spool: Spool) -> None:
            print(f"-- empty spool, {len(payload)} bytes a message")
            await measure(spool, "empty")

        async def grown(spool: Spool) -> None:
            print(f"-- {arguments.trail} sent in the trail, {arguments.waiting} waiting from 50 clients")
            await fill(spool, arguments.trail, clients=50, payload=b"{}")
            await send_meter(spool, arguments.trail, 500)
            await fill(spool, arguments.waiting, clients=50, payload=payload)
            await measure(spool, "grown")

        server = Cluster({"fsync": "on", "full_page_writes": "on"}) if programs() else None
        works = {"empty": empty} | ({"grown": grown} if arguments.trail or arguments.waiting else {})
        try:
            for label, work in works.items():
                (folder / label).mkdir()
                print("== SQLite")
                await with_sqlite(folder / label, work)
                if server is not None:
                    print("== PostgreSQL")
                    await with_postgres(server.url(), folder / label, work)
        finally:
            if server is not None:
                server.stop()


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=5000)
    parser.add_argument("--bytes", type=int, default=4096)
    parser.add_argument("--waiting", type=int, default=0)
    parser.add_argument("--trail", type=int, default=0)
    parser.add_argument("--directory", type=Path, help="on the disk that is to be measured")
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main(parse()))
