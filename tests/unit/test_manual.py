"""The README is the manual: no command and no setting is left out, and its links lead somewhere."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from qboxrelay.cli.app import app
from qboxrelay.settings.keys import keys_of
from qboxrelay.settings.schema import Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
HEADINGS = [
    match[1]
    for match in re.finditer(
        r"^#{1,6} (.*)$", re.sub(r"^```.*?^```", "", README, flags=re.MULTILINE | re.DOTALL), re.MULTILINE
    )
]


def commands(command: Any, name: str = "qboxrelay") -> Iterator[str]:
    """The full names of all commands that do something."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name
        return
    for word, one in inner.items():
        yield from commands(one, f"{name} {word}")


def named(command: str) -> bool:
    """Written out, or in a list behind its group: `qboxrelay domains list`, `check`."""
    if f"`{command}`" in README or f"`{command} " in README:
        return True
    group, _, word = command.rpartition(" ")
    return any(f"`{group} " in line and re.search(rf"`{word}\b[^`]*`", line) for line in README.splitlines())


@pytest.mark.parametrize("command", list(commands(typer.main.get_command(app))))
def test_every_command_is_in_the_manual(command: str) -> None:
    """By its full name, or behind the first of its group."""
    assert named(command)


@pytest.mark.parametrize("section", list(keys_of(Settings)))
def test_every_setting_is_in_the_manual(section: str) -> None:
    """The row of the section names its keys, all of them, in the order of the schema, and no others."""
    (row,) = re.findall(rf"^\| `\[+{section}\]+` \| .+ \| (.*) \|$", README, re.MULTILINE)
    inner = keys_of(Settings)[section].section
    assert inner is not None

    assert re.findall(r"`(\w+)`", row) == list(keys_of(inner))


def test_links_lead_somewhere() -> None:
    """To a heading of the README, or to a file of the repository."""
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in HEADINGS}
    for target in re.findall(r"\]\(([^)]+)\)", README):
        if target.startswith("#"):
            assert target[1:] in anchors
        elif not target.startswith("https://"):
            assert (ROOT / target).is_file(), target
