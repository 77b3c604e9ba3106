"""How the server goes about a statement of the spool: its plan, as it was carried out.

In: a connection, a named statement, its values. Out: the steps of the plan with their rows and buffers. Never: a change that stays, as long as the
caller rolls back.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
from psycopg import sql

Step = dict[str, Any]
_VALUE = re.compile(r"%\((\w+)\)s")
_SETTINGS = "SET search_path TO {}; SET enable_seqscan = off; SET random_page_cost = 1.1; SET jit = off"


def like_a_relay(connection: "psycopg.Connection[Any]", schema: str) -> None:
    """Set what every connection of a relay has set."""
    connection.execute(sql.SQL(_SETTINGS).format(sql.Identifier(schema)))


class Explained:
    """Statements that a connection keeps prepared, as a relay's connections do: values come apart from the plan."""

    def __init__(self, connection: "psycopg.Connection[Any]", statements: Mapping[str, str]) -> None:
        self._connection = connection
        self._statements = statements
        self._prepared: dict[str, list[str]] = {}

    def run(self, name: str, values: Mapping[str, object]) -> Step:
        """The whole plan, carried out; in the caller's transaction."""
        given = [sql.Literal(_plain(values[one])) for one in self._names(name)]
        brackets = sql.SQL("({})").format(sql.SQL(", ").join(given)) if given else sql.SQL("")
        query = sql.SQL("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE {}{}").format(_as_name(name), brackets)
        row = self._connection.execute(query).fetchone()
        assert row is not None
        explained: Step = row[0][0]
        return explained

    def _names(self, name: str) -> list[str]:
        """Of the values, in the order of their numbers."""
        if name not in self._prepared:
            text = self._statements[name].rstrip(";")
            names = list(dict.fromkeys(_VALUE.findall(text)))
            numbered = _VALUE.sub(lambda found: f"${names.index(found[1]) + 1}", text).replace("%%", "%")
            self._connection.execute(sql.SQL("PREPARE {} AS ").format(_as_name(name)) + sql.SQL(numbered))
            self._prepared[name] = names
        return self._prepared[name]


def steps(plan: Step) -> Iterator[Step]:
    """A plan's steps, each before its parts."""
    yield plan
    for part in plan.get("Plans", []):
        yield from steps(part)


def buffers(explained: Step) -> int:
    """Pages that were looked at, in memory or not. A part that writes, and that no other one reads, is counted apart from the whole."""
    parts = list(steps(explained["Plan"]))
    read = {part.get("CTE Name") for part in parts}
    apart = [part for part in parts if part.get("Subplan Name", "").removeprefix("CTE ") not in {*read, ""}]
    writing = [part for part in apart if part["Subplan Name"].startswith("CTE ")]
    return sum(int(part["Shared Hit Blocks"] + part["Shared Read Blocks"]) for part in (parts[0], *writing))


def _as_name(name: str) -> sql.Identifier:
    return sql.Identifier(f"explained_{name}")


def _plain(value: object) -> object:
    """A list of nothing but None has no type that the driver could spell out."""
    if isinstance(value, list) and all(one is None for one in value):
        return "{" + ",".join("NULL" for _ in value) + "}"
    return value
