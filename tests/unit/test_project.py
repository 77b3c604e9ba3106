"""Promises of the repository itself: the lock file, the README's commands, the size of files."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOP_LEVEL = {
    "pyproject.toml", "qboxrelay", "config", "systemd", "tests", "Dockerfile", "README.md", "LICENSE", "CHANGELOG.md",
    "requirements.lock",
}  # fmt: skip


def test_every_dependency_is_locked() -> None:
    """Each requirement of pyproject.toml, extras included, has one pinned version in the lock file."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
    ]
    pinned = [line.partition("==")[0].lower() for line in (ROOT / "requirements.lock").read_text().splitlines()]
    for requirement in wanted:
        name = re.match(r"[\w.-]+", requirement)
        assert name is not None
        assert pinned.count(name[0].lower()) == 1, requirement


def test_readme_commands_are_one_line_each() -> None:
    """The README's two commands can be pasted."""
    readme = (ROOT / "README.md").read_text()
    for label in ("demo", "test"):
        found = re.findall(rf"<!-- command: {label} -->\n```sh\n(.*?)\n```", readme, re.DOTALL)
        assert len(found) == 1, label
        assert "\n" not in found[0]


def test_nothing_else_at_the_top() -> None:
    """The top level is what it is said to be; hidden files may stand beside it."""
    found = {
        entry.name
        for entry in ROOT.iterdir()
        if not entry.name.startswith(".") and not entry.name.endswith(".egg-info")
    }
    assert found <= TOP_LEVEL


def test_no_file_grows_central() -> None:
    """A file over 400 lines is a room to divide."""
    sizes = {path: len(path.read_text().splitlines()) for path in (ROOT / "qboxrelay").rglob("*.py")}
    assert {str(path): size for path, size in sizes.items() if size > 400} == {}
