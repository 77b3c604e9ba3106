"""A long history of finished mail, straight into the tables of a spool on PostgreSQL.

In: a server, how much. Out: rows as the relay would have left them, with fresh statistics. Never: a server that somebody uses.
"""

from typing import Any

from psycopg import Connection

from qboxrelay.spool.postgres.database import Database
from tests.support.plans import like_a_relay

SCHEMA = "history"
WAITING = 10**8
"""Keys of what waits; the history grows back from there, as no parts of keys are empty."""
PER_REQUEST = 10
AT_ONCE = 500_000

_SUBMISSIONS = """
INSERT INTO submissions (key, id, account, client_key, priority, payload_bytes, received_at, stored_at, envelope_sender, recipients, notify_never,
  is_notice, from_address, subject, message_id_header, client_address, client_helo, client_user, listener, dsn, sender_rule, domain_state)
SELECT n, lpad(n::text, 26, '0') || '-1', 'default', 'ip:192.0.2.' || n % 50, 0, 2000, n, n, 'robot@example.com',
  CASE WHEN n % 20 = 0 THEN format('["user%s@example.net","boss@example.net"]', n % 500000) ELSE format('["user%s@example.net"]', n % 500000) END,
  false, false, 'robot@example.com', 'report ' || n, '<' || md5(n::text) || '@example.com>', '192.0.2.1', 'printer.example.com', '', 'default', '',
  '', ''
FROM generate_series({first}::bigint, {last}::bigint) AS n
"""
_FINISHED = """
INSERT INTO states (key, state, account, client_key, priority, payload_bytes, ready, request, attempts, failures, finished_at, outcome, message_id,
  submitted_at)
SELECT n, CASE WHEN n % 100 = 0 THEN 'failed' ELSE 'sent' END, 'default', 'ip:192.0.2.' || n % 50, 0, 2000, true, 1 + n / {per_request}, 1, 0, n,
  'accepted', md5(n || 'm') || '@qboxmail', '2026-01-01T00:00:00Z'
FROM generate_series({first}::bigint, {last}::bigint) AS n
"""
_ATTEMPTS = """
INSERT INTO attempts (submission, number, request, outcome, reason, text)
SELECT n, 1, 1 + n / {per_request}, 'accepted', '', '' FROM generate_series({first}::bigint, {last}::bigint) AS n
"""
_REQUESTS = """
INSERT INTO requests (key, account, node, started_at, leased_until, ended_at, messages, bytes, under_way, status, request_id, text)
OVERRIDING SYSTEM VALUE
SELECT 1 + n / {per_request}, 'default', 'node', n, n, n, 10, 20000, 0, 202, md5(n || 'r'), ''
FROM generate_series({first}::bigint, {last}::bigint) AS n WHERE n % {per_request} = 0
"""
_WAITING = """
INSERT INTO states (key, account, client_key, priority, payload_bytes, ready, next_attempt_at)
SELECT n, 'default', 'ip:192.0.2.' || n % 50, 0, 2000, n % 6 > 0, CASE WHEN n % 6 = 0 THEN n END
FROM generate_series({first}::bigint, {last}::bigint) AS n;
INSERT INTO payloads (key, payload) SELECT n, convert_to(repeat('x', 2000), 'UTF8') FROM generate_series({first}::bigint, {last}::bigint) AS n
"""
_INDEXES = """
SELECT c.relname, pg_get_indexdef(i.indexrelid) FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
WHERE c.relnamespace = '{schema}'::regnamespace AND NOT i.indisunique AND NOT c.relispartition
"""


async def migrate(url: str) -> None:
    database = await Database.open(url, schema=SCHEMA)
    await database.close()


def make(connection: Connection[Any]) -> None:
    """Some mail that waits."""
    like_a_relay(connection, SCHEMA)
    first, last = WAITING + 1, WAITING + 6_000
    for statement in (_SUBMISSIONS, _WAITING):
        connection.execute(statement.format(first=first, last=last).encode())
    connection.execute(
        f"SELECT setval('submissions_key_seq', {last}), setval('requests_key_seq', {last // PER_REQUEST})".encode()
    )
    connection.execute(
        b"INSERT INTO depth SELECT 0, account, state, count(*), sum(payload_bytes) FROM states GROUP BY account, state"
    )


def grow(connection: Connection[Any], before: int, size: int) -> None:
    """So much history, of which some is there; most indexes are made anew behind it, which is quicker."""
    indexes = connection.execute(_INDEXES.format(schema=SCHEMA).encode()).fetchall()
    connection.execute(b"SET synchronous_commit = off")
    for name, _ in indexes:
        connection.execute(f'DROP INDEX "{name}"'.encode())
    end = WAITING - before
    for start in range(WAITING - size, end, AT_ONCE):
        values = {"first": start, "last": min(start + AT_ONCE, end) - 1, "per_request": PER_REQUEST}
        for statement in (_SUBMISSIONS, _FINISHED, _ATTEMPTS, _REQUESTS):
            connection.execute(statement.format(**values).encode())
    for _, definition in indexes:
        # For a table of parts, its definition leaves them out.
        connection.execute(definition.replace(" ON ONLY ", " ON ").encode())
    connection.execute(b"SET synchronous_commit = on")
    connection.execute(b"VACUUM (ANALYZE)")
    connection.execute(b"CHECKPOINT")
