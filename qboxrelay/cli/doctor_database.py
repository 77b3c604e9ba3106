"""What the doctor sees of the spool's server.

In: settings. Out: a row. Never: a spool that is made by looking; a password.
"""

from typing import TYPE_CHECKING

from qboxrelay.cli.doctor_row import Row, Verdict

if TYPE_CHECKING:
    from qboxrelay.settings.schema import Settings
    from qboxrelay.spool.postgres.opening import Looked

_GROUP, _NAME = "This machine", "database"
_ADVICE = "until it answers, mail is answered 451: look at the server and its pg_hba.conf, and at url and password_file in [spool]"


async def database_row(settings: "Settings") -> Row:
    """Reachable, of which version, and whether what it commits is safe."""
    from qboxrelay.spool.backend import look_at_server
    from qboxrelay.spool.port import SpoolError

    try:
        looked = await look_at_server(settings)
    except SpoolError as error:
        return Row(_GROUP, _NAME, Verdict.FAIL, str(error), _ADVICE)
    return _row(looked)


def _row(looked: "Looked") -> Row:
    state = looked.state
    schema = (
        f"schema version {looked.schema_version}" if looked.schema_version else "no spool yet: the first start makes it"
    )
    shown = (
        f"{looked.place} answers: PostgreSQL {state.version}, synchronous_commit = {state.synchronous_commit}, "
        f"fsync = {state.fsync}, {schema}"
    )
    if looked.schema_version > looked.newest:
        return Row(_GROUP, _NAME, Verdict.FAIL, shown, "a newer version of this program made it: install that one")
    if state.unsafe:
        advice = "; ".join(f"turn {name} on: {what}" for name, what in state.unsafe.items())
        return Row(_GROUP, _NAME, Verdict.WARN, shown, advice)
    return Row(_GROUP, _NAME, Verdict.OK, shown)
