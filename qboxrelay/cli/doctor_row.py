"""One line of the doctor's findings.

In: what was looked at and what came of it. Out: `Row`, for people and as JSON. Never: a guess shown as a fact: that is what `unknown` is for.
"""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """How it is."""

    OK = "ok"
    WARN = "warn"
    """Works, and should be looked at."""
    FAIL = "fail"
    """Mail will not come in, or not go out."""
    UNKNOWN = "unknown"
    """It cannot be seen from here."""


_COLOURS = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.FAIL: "red", Verdict.UNKNOWN: "cyan"}


@dataclass(frozen=True, slots=True)
class Row:
    """`advice` says what to do; empty when nothing is to be done."""

    group: str
    name: str
    verdict: Verdict
    found: str
    advice: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def print_row(row: Row, before: Row | None) -> None:
    """The row below the one before it, with its group's heading where one begins."""
    from rich.console import Console
    from rich.markup import escape

    from qboxrelay.cli.plain import plain

    console = Console(highlight=False, soft_wrap=True)
    if before is None or before.group != row.group:
        console.print(f"\n[bold]{escape(plain(row.group))}[/bold]")
    colour = _COLOURS[row.verdict]
    console.print(f"  [{colour}]{row.verdict.value:8}[/{colour}]{escape(plain(f'{row.name}: {row.found}'))}")
    if row.advice:
        console.print(f"          → {escape(plain(row.advice))}")
