"""How the server goes about the statements of every claim and prune, with a long history and a long queue: by index, and a few rows only."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from qboxrelay.spool.statements import load_migrations, load_statements
from tests.support.postgres import require_postgres, shared_cluster, unused_schema

FINISHED, READY, WAITING = 20_000, 5_000, 1_000
FILL = """
INSERT INTO submissions (key, id, account, client_key, priority, payload_bytes, received_at, stored_at, envelope_sender, recipients, notify_never,
  is_notice, from_address, subject, message_id_header, client_address, client_helo, client_user, listener, dsn, sender_rule, domain_state)
SELECT n, n || '-1', 'default', 'client ' || n %% 10, 0, 10, n, n, '', '[]', false, false, '', '', '', '', '', '', '', '', '', ''
FROM generate_series(1, %(all)s::integer) AS n;
INSERT INTO states (key, state, account, client_key, priority, payload_bytes, ready, next_attempt_at, finished_at)
SELECT key, CASE WHEN key > %(finished)s THEN 'queued' WHEN key %% 10 = 0 THEN 'failed' ELSE 'sent' END, account, client_key, priority,
  payload_bytes, key <= %(ready)s, CASE WHEN key > %(ready)s THEN key END, CASE WHEN key <= %(finished)s THEN key END
FROM submissions;
INSERT INTO payloads (key, payload) SELECT key, 'x' FROM states WHERE state <> 'sent';
INSERT INTO requests (account, node, started_at, leased_until, ended_at, messages, bytes, under_way)
SELECT 'default', 'node', n, n, n, 1, 10, 0 FROM generate_series(1, %(finished)s::integer) AS n;
INSERT INTO attempts (submission, number, request) SELECT n, 1, n FROM generate_series(1, %(finished)s::integer) AS n;
INSERT INTO acts (at, act, by, submission, id, account, before) SELECT n, 'hold', '', n, n || '-1', 'default', 'queued'
FROM generate_series(1, 5000) AS n;
"""
KEYS = [FINISHED + 1, FINISHED + 2, FINISHED + 3]
COMMON = {"account": "default", "server": FINISHED, "now": FINISHED + READY, "limit": 100}
RECORD = {
    "request": 1, "keys": KEYS, "states": ["sent"] * 3, "next_attempts": [None] * 3, "outcomes": [""] * 3, "reasons": [""] * 3, "texts": [""] * 3,
    "message_ids": [""] * 3, "submitted": [""] * 3, "suppressions": [""] * 3, "counted": [1] * 3, "maybe": [False] * 3, "notices": [None] * 3,
    "tells": [""] * 3, "keep_raw": False, "nothing": False, "status": 202, "request_id": "", "error": "", "text": "", "connect_seconds": 0.1,
    "answer_seconds": 0.1,
}  # fmt: skip

STATEMENTS: dict[str, tuple[dict[str, Any], str, int]] = {
    "clients": ({"last": "client 4"}, "states_ready", 100),
    "candidates": ({"clients": ["client 1", "client 2"], "fetch": 50}, "states_ready", 400),
    "promote": ({"horizon": 10**9}, "states_waiting", 1000),
    "next_due": ({}, "states_waiting", 100),
    "work_for": ({"accounts": ["default", "other"]}, "states_ready", 100),
    "still_queued": ({"keys": KEYS}, "states_queued", 100),
    "overdue": ({"after": 0}, "states_queued", 1000),
    "lease": ({"node": "node", "lease": 1000, "messages": 3, "bytes": 30, "keys": KEYS}, "states_pkey", 100),
    "contents": ({"keys": KEYS}, "payloads_pkey", 100),
    "owned": ({"keys": KEYS, "request": 1}, "requests_pkey", 100),
    "record": (RECORD, "requests_pkey", 100),
    "ran_out": ({}, "requests_leased", 100),
    "left_of": ({"request": 5}, "attempts_request", 100),
    "oldest_first": ({}, "states_queued", 2000),
    "prune_submissions": ({"state": "sent", "before": 10_000}, "states_finished", 2000),
    "prune_contents": ({"before": 2_000, "keep_raw": False}, "states_finished", 2000),
    "prune_requests": ({"before": 10_000}, "requests_ended", 1000),
    "prune_acts": ({"before": 4_000}, "acts_at", 1000),
}
"""Values, an index that is used, and how many rows may be touched."""


@pytest.fixture(scope="module")
def filled() -> Iterator["psycopg.Connection[Any]"]:
    """A spool with a history, as every connection of the relay has it set."""
    require_postgres()
    schema = unused_schema()
    with psycopg.connect(shared_cluster().url(), autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
        connection.execute(
            f"CREATE SCHEMA {schema}; SET search_path TO {schema}; SET enable_seqscan = off; SET random_page_cost = 1.1; SET jit = off".encode()
        )
        for _, script in load_migrations("postgres"):
            connection.execute(script.encode())
        counted = {"all": FINISHED + READY + WAITING, "finished": FINISHED, "ready": FINISHED + READY}
        connection.execute(FILL, counted)
        connection.execute("ANALYZE")
        yield connection


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_touches_few_rows(filled: "psycopg.Connection[Any]", name: str) -> None:
    """No table is read from end to end, however long the history: a claim takes as long as on the first day."""
    values, index, most = STATEMENTS[name]
    statement = load_statements("postgres")[name]
    with filled.transaction(force_rollback=True):
        row = filled.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}".encode(), COMMON | values).fetchone()
    assert row is not None
    steps = list(_steps(row[0][0]["Plan"]))
    tables = {"submissions", "states", "payloads", "requests", "attempts", "acts"}
    assert [step for step in steps if step["Node Type"] == "Seq Scan" and step["Relation Name"] in tables] == []
    assert index in {step.get("Index Name") for step in steps}
    touched = sum(
        (step["Actual Rows"] + step.get("Rows Removed by Filter", 0)) * step["Actual Loops"]
        for step in steps
        if "Scan" in step["Node Type"]
    )
    assert touched <= most


def test_statistics_are_kept_up(filled: "psycopg.Connection[Any]") -> None:
    """The table that every claim changes is looked after by the server long before a fifth of it is dead rows."""
    row = filled.execute("SELECT reloptions FROM pg_class WHERE oid = 'states'::regclass").fetchone()
    assert row is not None
    assert {option.partition("=")[0] for option in row[0]} >= {"fillfactor", "autovacuum_vacuum_scale_factor"}


def _steps(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", []):
        yield from _steps(part)
