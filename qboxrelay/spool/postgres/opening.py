"""What a start says of the server: whether what it commits is safe.

In: a connection. Out: a line in the log, and warnings. Never: a refusal: who runs the server decides how safe it is.
"""

from dataclasses import dataclass

import psycopg
import structlog

from qboxrelay.spool.postgres.connecting import Access, Connection, connect
from qboxrelay.spool.postgres.faults import as_spool_error
from qboxrelay.spool.postgres.migrations import newest, version_of

log = structlog.get_logger()

_LOOK = """
SELECT current_setting('server_version') AS version, current_setting('synchronous_commit') AS synchronous_commit,
  current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes,
  current_setting('synchronous_standby_names') AS standbys
"""
_OFF = {
    "synchronous_commit": "what was answered 250 may be lost when the server crashes",
    "fsync": "all mail may be lost when the server's machine crashes",
    "full_page_writes": "pages may be torn when the server's machine crashes",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerState:
    """As the server says of this session."""

    version: str
    synchronous_commit: str
    fsync: str
    full_page_writes: str
    standbys: str
    """synchronous_standby_names: on which other servers a commit must be, too."""

    @property
    def unsafe(self) -> dict[str, str]:
        """Settings that are off, and what follows from it."""
        return {name: what for name, what in _OFF.items() if getattr(self, name) == "off"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What a look at a server finds. `schema_version` is 0 where there is no spool yet; `newest` is what this program makes."""

    place: str
    state: ServerState
    schema_version: int
    newest: int


async def look(wanted: Access) -> Looked:
    """Without making anything. Raises `SpoolError`."""
    connection = await connect(wanted)
    try:
        version = await version_of(connection, wanted.schema)
        return Looked(place=wanted.place, state=await state_of(connection), schema_version=version, newest=newest())
    except (psycopg.Error, OSError) as error:
        raise as_spool_error(error) from None
    finally:
        await connection.close()


async def state_of(connection: Connection) -> ServerState:
    row = await (await connection.execute(_LOOK)).fetchone()
    assert row is not None
    return ServerState(**row)


def report(state: ServerState, *, place: str, schema: str, node: str) -> None:
    log.info(
        "spool.opened",
        backend="postgresql",
        place=place,
        schema=schema,
        node=node,
        version=state.version,
        synchronous_commit=state.synchronous_commit,
        standbys=state.standbys,
    )
    for name, what in state.unsafe.items():
        log.warning("spool.unsafe", setting=f"{name} = off", hint=what)
