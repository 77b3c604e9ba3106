"""Worker processes: several that take mail, beside the one that keeps it and sends it (`[relay] workers`).

    clients ──▶ main: accepts, counts, hands the connection over ──▶ the worker with the fewest
    worker: dialogue, mapping, rules ──PUT──▶ main: spool, one commit for all workers ──STORED──▶ worker: 250

Only main has the spool, so that its lock, its limits, its order and its group commits are those of a single process, whatever the backend is. A
worker that dies takes only its own sessions with it: what it had answered 250 was committed by main before. A worker whose main is gone ends.

In: terms of the relay, accepted connections. Out: submissions for the spool. Never: a token of the Send API or the Management API in a worker;
mail that is only in a worker and answered 250.
"""
