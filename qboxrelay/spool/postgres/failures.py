"""Why the pool has no connection: it tells nobody but its log.

In: the pool's log records. Out: the latest reason, for the error that somebody gets who waits for a connection. Never: a second log beside ours.
"""

import logging

from qboxrelay.spool.postgres.faults import text_of

_LOG = logging.getLogger("psycopg.pool")


class Failures(logging.Handler):
    """Of the pool of this name. `latest` is empty while all is well."""

    def __init__(self, pool: str) -> None:
        super().__init__(logging.WARNING)
        self.latest = ""
        self._pool = pool
        _LOG.propagate = False
        _LOG.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        arguments = record.args if isinstance(record.args, tuple) else ()
        if self._pool in arguments:
            self.latest = next((text_of(one) for one in arguments if isinstance(one, Exception)), self.latest)

    def close(self) -> None:
        _LOG.removeHandler(self)
        super().close()
