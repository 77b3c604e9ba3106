"""The spool in one SQLite file: WAL, `synchronous=FULL`, one writer thread with group commit.

In: the port's calls. Out: the port's answers, after the commit. Never: a second process on the same directory.
"""

from qboxrelay.spool.sqlite.spool import SqliteSpool

__all__ = ["SqliteSpool"]
