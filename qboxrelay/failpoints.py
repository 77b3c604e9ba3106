"""Fail points: named places at which a test ends the process at once, as `kill -9` would.

In: the environment variable `QBOXRELAY_FAIL_POINT`, a name or `name:N` for its N-th passing. Out: SIGKILL. Never: anything at all while the
variable is unset, which is how a relay runs.
"""

import itertools
import os
import signal

VARIABLE = "QBOXRELAY_FAIL_POINT"

POINTS: dict[str, str] = {
    "before-commit": "mail is written and not committed",
    "after-commit": "mail is committed and nobody was told",
    "after-claim": "a batch is leased and nothing was sent",
    "before-post": "a request is about to leave",
    "after-post": "a request left and was not answered",
    "after-answer": "a request was answered and nothing is recorded",
    "after-record": "the outcome is recorded and nothing followed from it",
    "migration": "a step of the schema is written and not committed",
    "pruning": "what is old is deleted and not committed",
    "copy-taken": "a part was read for another spool and is not there yet",
    "copy-put": "a part is committed in another spool and not gone from its own",
    "copy-dropped": "a part is gone from its own spool",
    "fallback-taken": "a part was read from the fallback and is not in the database yet",
    "fallback-moved": "a part is in the database and still in the fallback",
    "fallback-dropped": "a part is gone from the fallback",
}

_name, _, _count = os.environ.get(VARIABLE, "").partition(":")
_passings = itertools.count(1)
_last_passing = int(_count or 1)

if _name and _name not in POINTS:
    raise SystemExit(f"qboxrelay: {VARIABLE}: there is no {_name!r}: one of {', '.join(POINTS)}")


def reach(name: str) -> None:
    """End here when the environment says so. A comparison of two strings otherwise."""
    if name == _name and next(_passings) == _last_passing:
        os.kill(os.getpid(), signal.SIGKILL)
