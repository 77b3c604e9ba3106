"""Keys of tables from the environment: `QBOXRELAY_<SECTION>_<KEY>`, such as `QBOXRELAY_SPOOL_MAX_BYTES=10GB`.

In: the environment and the schema. Out: the values to lay over the file's, and the names that mean nothing. Never: the
environment of the process itself; it is passed in. Tokens (`QBOXRELAY_TOKEN_<ACCOUNT>`, `QBOXRELAY_MANAGEMENT_TOKEN`) are no keys:
`secrets` reads them; `failpoints` reads its own.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from functools import cache

from qboxrelay import failpoints
from qboxrelay.settings.keys import keys_of
from qboxrelay.settings.problem import Problem
from qboxrelay.settings.types import Section

PREFIX = "QBOXRELAY_"
TOKEN_PREFIX = "QBOXRELAY_TOKEN_"  # noqa: S105 - the name of a variable
MANAGEMENT_TOKEN = "QBOXRELAY_MANAGEMENT_TOKEN"  # noqa: S105 - as above
SOURCE = "environment"

# A cluster or a container link that is called after the relay puts these beside ours; they are addresses, not settings.
_FOREIGN = re.compile(
    r"QBOXRELAY_(NAME|SENDMAIL_SERVER|SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP)(_(ADDR|PORT|PROTO))?)?)"
)

KeyPath = tuple[str, ...]


def overrides(root: type[Section], environ: Mapping[str, str]) -> tuple[dict[KeyPath, str], tuple[Problem, ...]]:
    """The text for each key that the environment sets, and what of it cannot be meant."""
    known = variables(root)
    ours = sorted(name for name in environ if name.startswith(PREFIX) and not _is_foreign(name))
    found = {known[name]: environ[name] for name in ours if name in known}
    return found, tuple(_unknown(name, root) for name in ours if name not in known)


@cache
def variables(root: type[Section]) -> dict[str, KeyPath]:
    """Every variable that sets a key; arrays cannot be said in one."""
    return {PREFIX + "_".join(path).upper(): path for path, array in _leaves(root, ()) if not array}


def _leaves(section: type[Section], base: KeyPath) -> Iterator[tuple[KeyPath, bool]]:
    for name, key in keys_of(section).items():
        path = (*base, name)
        if key.section is not None and not key.repeated:
            yield from _leaves(key.section, path)
        else:
            yield path, key.repeated


def _is_foreign(name: str) -> bool:
    return (
        name.startswith(TOKEN_PREFIX)
        or name in {MANAGEMENT_TOKEN, failpoints.VARIABLE}
        or _FOREIGN.fullmatch(name) is not None
    )


def _unknown(name: str, root: type[Section]) -> Problem:
    arrays = {PREFIX + "_".join(path).upper(): path for path, array in _leaves(root, ()) if array}
    if (path := arrays.get(name)) is not None:
        return Problem(
            source=SOURCE,
            key=name,
            wrong="a list cannot come from the environment",
            instead=f"set {'.'.join(path)} in the file",
        )
    bare = {variable.removeprefix(PREFIX): variable for variable in variables(root)}
    near = difflib.get_close_matches(name.removeprefix(PREFIX), bare, n=1)
    return Problem(
        source=SOURCE,
        key=name,
        wrong="no key is set by this variable",
        instead=f"did you mean {bare[near[0]]}?"
        if near
        else "remove it; a key of a table is set by QBOXRELAY_<SECTION>_<KEY>",
    )
