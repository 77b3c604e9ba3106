"""The server's and the driver's errors in the port's words.

In: exceptions of psycopg and its pool. Out: `SpoolError`s, all of them temporary for the mail. Never: a password, or a row's content, in a text.
"""

import re

import psycopg
from psycopg import errors

from qboxrelay.spool.port import SpoolDiskFull, SpoolError, SpoolRefused, SpoolShortOfMemory, SpoolUnreachable

_LONGEST = 300
_PASSWORD = re.compile(r"(?i)(password\s*=\s*|://[^/@\s:]*:)('[^']*'|[^\s@]+)")

_WORDS: dict[type[psycopg.Error], str] = {
    errors.QueryCanceled: "the database did not answer within statement_timeout",
    errors.LockNotAvailable: "the database was kept waiting by another program's lock",
    errors.InsufficientPrivilege: "the database user may not do that",
    errors.UndefinedTable: "the database has no spool under this schema any more",
}
_CONFLICTS = (errors.SerializationFailure, errors.DeadlockDetected, errors.UniqueViolation)
"""The last: a commit whose connection broke may come through while it is tried again."""

_OF_THE_MAIL = (errors.DataError, errors.ProgramLimitExceeded)
"""A value that no column takes; one that is too large for it, or for an index."""


class SpoolConflict(SpoolError):  # noqa: N818 - a state, not an error of ours
    """Another transaction was in the way, and the server undid this one: done again, it may succeed."""


def as_spool_error(error: Exception) -> SpoolError:
    """None of them is the mail's fault."""
    if isinstance(error, SpoolError):
        return error
    if isinstance(error, errors.DiskFull):
        return SpoolDiskFull("the database server's disk has no space left")
    if isinstance(error, errors.OutOfMemory | MemoryError):
        return SpoolShortOfMemory("the database had too little memory")
    if isinstance(error, _OF_THE_MAIL):
        return SpoolRefused(f"the database cannot hold it: {type(error).__name__}: {text_of(error)}")
    if isinstance(error, _CONFLICTS):
        return SpoolConflict(f"the database undid a change: {text_of(error)}")
    if isinstance(error, errors.ReadOnlySqlTransaction):
        return SpoolUnreachable(
            f"the database only reads at this moment: it is a standby, or a failover is under way ({text_of(error)})"
        )
    return _by_its_words(error)


def _by_its_words(error: Exception) -> SpoolError:
    for kind, words in _WORDS.items():
        if isinstance(error, kind):
            return SpoolError(f"{words} ({text_of(error)})")
    if is_connection_lost(error):
        return SpoolUnreachable(f"the connection to the database broke: {text_of(error)}")
    return SpoolError(f"the database failed: {type(error).__name__}: {text_of(error)}")


def is_connection_lost(error: Exception) -> bool:
    """Whether the server, or the way to it, is the trouble, and not the statement. Class 57P: the server is stopping or starting; 53300: it has
    too many connections; 58: its disk fails.
    """
    if not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError | OSError):
        return False
    state = getattr(error, "sqlstate", None)
    return state is None or state.startswith(("08", "53300", "57P", "58"))


def text_of(error: BaseException) -> str:
    """The first line, which holds no values of a row: those stand in the details behind it."""
    diagnosis = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    lines = (diagnosis or str(error) or type(error).__name__).strip().splitlines()
    return without_password(lines[0] if lines else type(error).__name__)[:_LONGEST]


def without_password(text: str) -> str:
    return _PASSWORD.sub(r"\1***", text)
