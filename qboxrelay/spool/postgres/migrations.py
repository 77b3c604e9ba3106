"""The schema and its versions.

In: a connection, and the name of a schema. Out: the schema of this version. Never: two nodes that change it at the same time, a half done
step, or a change of what a newer version made.
"""

from psycopg import AsyncCursor, sql

from qboxrelay import failpoints
from qboxrelay.spool.port import SpoolError
from qboxrelay.spool.postgres.connecting import Connection
from qboxrelay.spool.statements import load_migrations

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('qboxrelay migration ' || %s, 0))"
_FIND = (
    "SELECT count(*) AS found FROM information_schema.tables WHERE table_schema = %s AND table_name = 'schema_version'"
)
_VERSION = "SELECT max(version) AS version FROM schema_version"
_TABLE = "CREATE TABLE IF NOT EXISTS schema_version (version integer NOT NULL, at timestamptz NOT NULL DEFAULT now())"


async def migrate(connection: Connection, schema: str) -> None:
    """Make the schema, or bring it to this version, each step in a transaction of its own. Raises `SpoolError` for a newer one."""
    # A step may take longer than any statement of the mail's; the server of a lost connection ends it.
    await connection.execute("SELECT set_config('statement_timeout', '0', false)")
    await _make_schema(connection, schema)
    for number, script in load_migrations("postgres"):
        async with connection.transaction():
            await connection.execute(_LOCK, [schema])
            # Another node may have done it while this one waited.
            if await version_of(connection, schema) < number:
                await _run_script(connection, script)
                await connection.execute("INSERT INTO schema_version (version) VALUES (%s)", [number])
                failpoints.reach("migration")
    _require_known(await version_of(connection, schema))


async def require_current(connection: Connection, schema: str) -> None:
    """Raises `SpoolError` unless the schema is there, and of this version."""
    version = await version_of(connection, schema)
    if version == 0:
        raise SpoolError(f"there is no spool in the schema {schema} yet: a relay makes it when it starts")
    if version < newest():
        raise SpoolError(
            f"the spool in the schema {schema} is of an older version: start a relay of this version first"
        )
    _require_known(version)


async def version_of(connection: Connection, schema: str) -> int:
    """0: there is no spool yet."""
    row = await (await connection.execute(_FIND, [schema])).fetchone()
    if row is None or not row["found"]:
        return 0
    row = await (await connection.execute(_VERSION)).fetchone()
    return int(row["version"] or 0) if row is not None else 0


def newest() -> int:
    return load_migrations("postgres")[-1][0]


async def _make_schema(connection: Connection, schema: str) -> None:
    async with connection.transaction():
        await connection.execute(_LOCK, [schema])
        row = await (await connection.execute("SELECT to_regnamespace(%s)::text AS name", [schema])).fetchone()
        # Where an administrator made it, this user need not be allowed to.
        if row is None or row["name"] is None:
            await connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
        await connection.execute(_TABLE)


async def _run_script(connection: Connection, script: str) -> None:
    """Several statements at once: those have no binary form."""
    await AsyncCursor(connection).execute(script.encode())


def _require_known(version: int) -> None:
    if version > newest():
        raise SpoolError(
            f"the spool was written by a newer qboxrelay (schema {version}, this one knows {newest()}): install that version again"
        )
