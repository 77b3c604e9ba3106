"""How the server goes about the spool's statements, with a long history and a long queue: by index, and a few pages only."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from qboxrelay.spool.statements import load_migrations, load_statements
from tests.support.plans import Explained, buffers, like_a_relay, steps
from tests.support.postgres import require_postgres, shared_cluster, unused_schema

FINISHED, READY, WAITING, SENDING = 30_000, 5_000, 1_000, 1_000
FILL = """
INSERT INTO submissions (key, id, account, client_key, priority, payload_bytes, received_at, stored_at, envelope_sender, recipients, notify_never,
  is_notice, from_address, subject, message_id_header, client_address, client_helo, client_user, listener, dsn, sender_rule, domain_state)
SELECT n, lpad(n::text, 26, '0') || '-1', 'default', 'client ' || n %% 10, 0, 10, n, n, '',
  format(CASE WHEN n %% 20 = 0 THEN '["user%%s@example.net","boss@example.net"]' ELSE '["user%%s@example.net"]' END, n %% 1000),
  false, false, '', '', '<' || n || '@example.com>', '', '', '', '', '', '', ''
FROM generate_series(1, %(all)s::integer) AS n;
INSERT INTO states (key, state, account, client_key, priority, payload_bytes, ready, next_attempt_at, request, attempts, finished_at, message_id,
  emptied)
SELECT key, CASE WHEN key > %(waiting)s THEN 'sending' WHEN key > %(finished)s THEN 'queued' WHEN key %% 10 = 0 THEN 'failed' ELSE 'sent' END,
  account, client_key, priority, payload_bytes, key <= %(ready)s OR key > %(waiting)s, CASE WHEN key BETWEEN %(ready)s + 1 AND %(waiting)s THEN key END,
  CASE WHEN key <= %(finished)s THEN key WHEN key > %(waiting)s THEN key / 20 + %(finished)s END, 1, CASE WHEN key <= %(finished)s THEN key END,
  CASE WHEN key <= %(finished)s THEN key || '@api' END, key < 20000
FROM submissions;
INSERT INTO payloads (key, payload) SELECT key, 'x' FROM states WHERE state <> 'sent' AND key >= 20000;
INSERT INTO requests (account, node, started_at, leased_until, ended_at, messages, bytes, under_way, request_id)
SELECT 'default', 'node', n, n, n, 1, 10, 0, 'request-' || n FROM generate_series(1, %(finished)s::integer) AS n;
INSERT INTO requests (key, account, node, token, started_at, leased_until, messages, bytes, under_way) OVERRIDING SYSTEM VALUE
SELECT request, 'default', 'node', 1, 1, 1000000, 20, 200, 20 FROM states WHERE state = 'sending' GROUP BY request;
INSERT INTO attempts (submission, number, request) SELECT n, 1, n FROM generate_series(1, %(finished)s::integer) AS n;
INSERT INTO acts (at, act, by, submission, id, account, before) SELECT n, 'hold', '', n, n || '-1', 'default', 'queued'
FROM generate_series(1, 5000) AS n;
UPDATE failed SET tell = 'someone' WHERE key %% 1000 = 0;
SELECT setval('submissions_key_seq', 100000), setval('requests_key_seq', 100000);
"""
TABLES = frozenset({"submissions", "unfinished", "sent", "failed", "payloads", "requests", "attempts", "acts"})
COUNT = 20
KEYS = list(range(FINISHED + 1, FINISHED + 1 + COUNT))
LEASED = list(range(FINISHED + READY + WAITING + COUNT, FINISHED + READY + WAITING + 2 * COUNT))
REQUEST = FINISHED + LEASED[0] // COUNT
NEWEST = 2**62
COMMON = {
    "account": "default", "server": FINISHED, "now": FINISHED + READY, "limit": 100, "key": FINISHED // 2, "keys": KEYS, "token": 1,
    "id": f"{FINISHED // 2:026}-1", "before": NEWEST, "skip": 99, "text": "nothing", "first": 0, "last": 9, "request": REQUEST,
    "keep_raw": False,
}  # fmt: skip
ARRIVALS = {
    "ids": [f"new-{n}" for n in KEYS], "priorities": [0] * COUNT, "sizes": [1] * COUNT, "received": [1] * COUNT, "nevers": [False] * COUNT,
    "notices": [False] * COUNT, "payloads": [b"x"] * COUNT, "raws": [None] * COUNT, "recipients": ['["new@example.net"]'] * COUNT,
    **{name: ["default"] * COUNT for name in (
        "accounts", "client_keys", "senders", "froms", "subjects", "headers", "addresses", "helos", "users", "listeners", "dsns", "rules",
        "domain_states", "traces")},
}  # fmt: skip
LEASE = {"node": "node", "lease": 1000, "messages": COUNT, "bytes": 10 * COUNT}
RECORD = {
    "keys": LEASED, "states": ["sent"] * COUNT, "next_attempts": [None] * COUNT, "outcomes": [""] * COUNT, "reasons": [""] * COUNT, "texts": [""] * COUNT,
    "message_ids": [""] * COUNT, "submitted": [""] * COUNT, "suppressions": [""] * COUNT, "counted": [1] * COUNT, "maybe": [False] * COUNT,
    "notices": [None] * COUNT, "tells": [""] * COUNT, "nothing": False, "status": 202, "request_id": "", "error": "", "text": "",
    "connect_seconds": 0.1, "answer_seconds": 0.1,
}  # fmt: skip
PAGE = {
    "last": 0,
    "received_after": 0,
    "received_before": NEWEST,
    "account": "",
    "client": "",
    "error": "",
    "named": "",
}
SOME = {"first": ["failed", "held", "queued", "sending"], "sent": ["sent"]}

CASES: list[tuple[str, dict[str, Any], str, int]] = [
    ("put", ARRIVALS, "", 600),
    ("put_again", ARRIVALS, "submissions_id", 600),
    ("add_depth", {"accounts": ["default"], "states": ["queued"], "messages": [1], "bytes": [1]}, "", 50),
    ("depth", {}, "", 50),
    ("paused", {}, "", 50),
    ("clients", {"last": "client 4"}, "unfinished_ready", 100),
    ("candidates", {"clients": ["client 1", "client 2"], "fetch": 50}, "unfinished_ready", 800),
    ("promote", {"horizon": 10**9}, "unfinished_waiting", 3000),
    ("next_due", {}, "unfinished_waiting", 100),
    ("work_for", {"accounts": ["default", "other"]}, "unfinished_ready", 100),
    ("still_queued", {}, "unfinished_queued", 300),
    ("overdue", {"after": 0}, "unfinished_queued", 1000),
    ("lease", LEASE, "unfinished_key", 800),
    ("contents", {}, "payloads_pkey", 300),
    ("owned", {"keys": LEASED}, "requests_pkey", 300),
    ("record", RECORD, "requests_pkey", 2000),
    ("end_for_split", {"settled": 1} | RECORD, "unfinished_key", 500),
    ("ran_out", {}, "requests_leased", 50),
    ("left_by", {"node": "node"}, "requests_leased", 200),
    ("unheard", {"node": "node", "tokens": [1, 2]}, "requests_leased", 200),
    ("left_of", {}, "unfinished_leased", 50),
    ("close_request", {"request": 5}, "requests_pkey", 50),
    ("oldest_first", {}, "unfinished_queued", 1000),
    ("oldest_in_states", {}, "failed_key", 100),
    ("prune_submissions", {"before": 10_000}, "sent_finished", 5000),
    ("prune_contents", {}, "failed_full", 3000),
    ("prune_contents", {"before": 20_000}, "failed_full", 50),
    ("prune_requests", {"before": 10_000}, "requests_ended", 2000),
    ("prune_acts", {"before": 4_000}, "acts_at", 1000),
    ("find", {}, "submissions_id", 50),
    ("story", {}, "submissions_id", 50),
    ("content_of", {}, "submissions_id", 50),
    ("attempts_of", {}, "attempts_pkey", 50),
    ("traced", {}, "submissions_message_id_header", 150),
    ("traced", {"text": "request-77"}, "requests_request_id", 150),
    ("traced", {"text": "77@api"}, "sent_message_id", 150),
    ("parts", {}, "submissions_pkey", 50),
    ("traced_recipient", {"quoted": '"user77@example.net"'}, "submissions_recipients", 500),
    ("traced_recipient", {"quoted": '"nobody@example.net"'}, "submissions_recipients", 50),
    ("records_of", {}, "submissions_pkey", 800),
    ("latest", {}, "submissions_pkey", 3000),
    *(("latest_in_state", {"state": state}, index, 3000) for state, index in (
        ("queued", "unfinished_queued"), ("sending", "unfinished_sending"), ("held", "unfinished_held"), ("failed", "failed_key"),
        ("sent", "sent_key"))),
    ("page_floor", {"states": SOME["first"]}, "failed_key", 800),
    ("page_floor", {"states": SOME["sent"]}, "sent_key", 200),
    ("page", {**PAGE, "states": SOME["sent"], "last": FINISHED - 100}, "sent_key", 3000),
    ("acted_on", {"ids": [f"{n:026}-1" for n in KEYS]}, "submissions_id", 800),
    ("requeue", {"keys": [10, 20, 30]}, "failed_key", 300),
    ("hold", {}, "unfinished_key", 1500),
    ("erase", {}, "submissions_pkey", 1500),
    ("first_untold", {}, "failed_untold", 50),
    ("still_untold", {"tell": "someone", "keys": [1000, 2000]}, "", 100),
    ("untold", {"tell": "someone"}, "failed_untold", 1000),
    ("latest_notices", {"recipients": "[]", "since": 0}, "submissions_notices", 50),
    ("acts_on", {}, "acts_id", 50),
    ("acts_since", {"after": 4900}, "acts_pkey", 200),
]  # fmt: skip
"""A statement, its values, an index that is used, and how many pages may be looked at."""
LATER = 7
"""By then the server has made up its mind whether one plan is good for all values."""


@pytest.fixture(scope="module")
def filled() -> Iterator["psycopg.Connection[Any]"]:
    """A spool with a history, as every connection of the relay has it set."""
    require_postgres()
    schema = unused_schema()
    with psycopg.connect(shared_cluster().url(), autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
        connection.execute(f"CREATE SCHEMA {schema}".encode())
        like_a_relay(connection, schema)
        for _, script in load_migrations("postgres"):
            connection.execute(script.encode())
        waiting = FINISHED + READY + WAITING
        counted = {"all": waiting + SENDING, "finished": FINISHED, "ready": FINISHED + READY, "waiting": waiting}
        connection.execute(FILL, counted)
        connection.execute("ANALYZE")
        yield connection


@pytest.fixture(scope="module")
def explained(filled: "psycopg.Connection[Any]") -> Explained:
    statements = load_statements("postgres")
    again = statements["put"].replace("WHERE true", f"WHERE {statements['not_here'].rstrip(';')}")
    return Explained(filled, {**statements, "put_again": again})


@pytest.mark.parametrize(("name", "values", "index", "most"), CASES, ids=[name for name, *_ in CASES])
def test_a_statement_looks_at_few_pages(
    filled: "psycopg.Connection[Any]", explained: Explained, name: str, values: dict[str, Any], index: str, most: int
) -> None:
    """No table is read from end to end, however long the history: a claim takes as long as on the first day, with any plan the server makes."""
    for _ in range(LATER):
        with filled.transaction(force_rollback=True):
            found = explained.run(name, COMMON | values)
    used = list(steps(found["Plan"]))
    assert [step for step in used if step["Node Type"] == "Seq Scan" and step["Relation Name"] in TABLES] == []
    assert not index or index in {step.get("Index Name") for step in used}
    assert buffers(found) <= most


def test_statistics_are_kept_up(filled: "psycopg.Connection[Any]") -> None:
    """The table that every claim changes is looked after by the server long before a fifth of it is dead rows."""
    row = filled.execute("SELECT reloptions FROM pg_class WHERE oid = 'unfinished'::regclass").fetchone()
    assert row is not None
    assert {option.partition("=")[0] for option in row[0]} >= {
        "autovacuum_vacuum_cost_delay",
        "autovacuum_vacuum_scale_factor",
    }
