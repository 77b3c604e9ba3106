"""A Dockerfile's steps, and running them in a directory where there is no container engine.

In: a Dockerfile. Out: stages of instructions; files under a directory that stands for the image's root. Never: a step left out in silence: an
instruction that is not known is an error.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_SAID = frozenset({"VOLUME", "EXPOSE", "STOPSIGNAL", "USER", "HEALTHCHECK", "ENTRYPOINT", "CMD"})
_OURS = ("/opt/qboxrelay", "/etc/qboxrelay", "/var/lib/qboxrelay", "/src")
"""Paths of the image that a step's text names."""


@dataclass
class Stage:
    """One FROM with what follows it; `said` has what only describes how the image runs."""

    name: str
    steps: list[tuple[str, str]] = field(default_factory=list)
    said: dict[str, str] = field(default_factory=dict)

    def words(self, instruction: str) -> list[str]:
        """An instruction in exec form."""
        found: list[str] = json.loads(self.said[instruction])
        return found


def stages(text: str) -> list[Stage]:
    found: list[Stage] = []
    for instruction, rest in _instructions(text):
        if instruction == "FROM":
            found.append(Stage(rest.partition(" AS ")[2]))
        elif instruction in _SAID:
            found[-1].said[instruction] = rest
        else:
            found[-1].steps.append((instruction, rest))
    return found


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line.strip() and not line.startswith("#")]
    for line in lines:
        instruction, _, rest = line.partition(" ")
        yield instruction, rest.strip()


class Build:
    """Runs stages, each in a directory of its own below `place`; the context is the repository."""

    def __init__(self, place: Path, context: Path) -> None:
        self._place = place
        self._context = context
        self._roots: dict[str, Path] = {}

    def run(self, stage: Stage) -> Path:
        """The stage's root."""
        root = self._roots[stage.name] = self._place / (stage.name or "image")
        root.mkdir()
        environ, folder = dict(os.environ), root
        environ["PATH"] = f"{Path(sys.executable).parent}:{environ['PATH']}"
        for instruction, rest in stage.steps:
            match instruction:
                case "WORKDIR":
                    folder = root / rest.lstrip("/")
                    folder.mkdir(parents=True, exist_ok=True)
                case "COPY":
                    self._copy(shlex.split(rest), root, folder)
                case "RUN":
                    _run(rest, root, folder, environ)
                case "ENV":
                    environ |= dict(_variables(rest, root))
                case _:
                    raise AssertionError(f"a step that nobody runs: {instruction} {rest}")
        return root

    def _copy(self, words: list[str], root: Path, folder: Path) -> None:
        base = self._context
        if words[0].startswith("--from="):
            base = self._roots[words.pop(0).removeprefix("--from=")]
        *sources, target = words
        there = root / target.lstrip("/") if target.startswith("/") else folder / target
        for source in sources:
            found = base / source.lstrip("/")
            # As Docker does: a folder's content, or a file into a folder that is written with a slash.
            if found.is_dir():
                shutil.copytree(
                    found, there, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
                )
            else:
                into = there / found.name if target.endswith("/") else there
                into.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(found, into)


def _run(command: str, root: Path, folder: Path, environ: Mapping[str, str]) -> None:
    if command.startswith("useradd "):
        for name in ("passwd", "group", "shadow", "gshadow"):
            (root / "etc").mkdir(exist_ok=True)
            (root / "etc" / name).touch()
        (root / "var" / "lib").mkdir(parents=True, exist_ok=True)
        command = command.replace("useradd ", f"useradd --prefix {root} ", 1)
    else:
        for path in _OURS:
            command = command.replace(path, f"{root}{path}")
    done = subprocess.run(["sh", "-ec", command], cwd=folder, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (command, done.stdout[-2000:], done.stderr[-2000:])


def _variables(text: str, root: Path) -> Iterator[tuple[str, str]]:
    for word in shlex.split(text):
        name, _, value = word.partition("=")
        yield name, value.replace("/opt/qboxrelay", f"{root}/opt/qboxrelay")


def variables_of(stage: Stage) -> dict[str, str]:
    """What ENV sets, as it is written."""
    words: Sequence[str] = [
        word for instruction, rest in stage.steps if instruction == "ENV" for word in shlex.split(rest)
    ]
    return dict(word.split("=", 1) for word in words)
