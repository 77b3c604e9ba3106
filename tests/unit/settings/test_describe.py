"""The reference configuration."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from qboxrelay.settings import describe
from qboxrelay.settings.keys import dotted, find, keys_of
from qboxrelay.settings.load import load
from qboxrelay.settings.schema import Settings
from qboxrelay.settings.toml import to_toml
from qboxrelay.settings.typed import Field
from qboxrelay.settings.types import Section

REFERENCE = Path(__file__).parents[3] / "config" / "qboxrelay.toml"
_BEHIND_A_HASH = re.compile(r"^# (?=\w+ = |\[\[)", re.MULTILINE)


def test_reference_is_what_the_schema_says() -> None:
    """Every key, its default and its reason, byte for byte: `python -m qboxrelay.settings.describe > config/qboxrelay.toml`."""
    assert REFERENCE.read_text("utf-8") == describe.reference()


def test_reference_is_made_by_one_command() -> None:
    """Whoever changes the schema writes the file anew with it."""
    done = subprocess.run([sys.executable, "-m", "qboxrelay.settings.describe"], capture_output=True, check=True)

    assert done.stdout.decode() == describe.reference()


def test_reference_holds_the_defaults() -> None:
    """Running with the reference is running with no file."""
    assert load(REFERENCE, {}) == Settings()


def test_reference_shows_every_key() -> None:
    """With the keys behind a # too, nothing of the schema is missing, and nothing else is there."""
    shown = tomllib.loads(_BEHIND_A_HASH.sub("", REFERENCE.read_text("utf-8")))

    assert shown.keys() == Settings.model_fields.keys()
    for name, key in keys_of(Settings).items():
        tables = shown[name] if key.repeated else [shown[name]]
        assert key.section is not None
        for table in tables:
            assert table.keys() == key.section.model_fields.keys()


def test_every_key_and_section_says_why_it_is_there() -> None:
    """A docstring under each field, one on each section."""
    for key in keys_of(Settings).values():
        assert key.section is not None
        assert key.section.__doc__
        assert [inner.name for inner in keys_of(key.section).values() if not inner.doc] == []


class _Inner(Section):
    """A table inside."""

    depth: int = 1
    """How deep."""


class _Rule(Section):
    """One rule."""

    match: str
    """What it is about."""
    inner: _Inner = _Inner()
    """More of it."""
    note: str | None = Field(default=None, examples=["a note"])
    """For people."""


class _Root(Section):
    rules: tuple[_Rule, ...] = ()
    """The rules."""
    level: int = 3
    """A key without a section."""


def test_sections_without_default_are_shown_behind_a_hash() -> None:
    """A reader sees how such a section looks; the file says that there is none."""
    text = describe.reference(_Root)

    assert tomllib.loads(text) == {"level": 3}
    assert text.endswith("""
# One rule.
# [[rules]]
# What it is about.
# match = ""
# More of it.
# inner = { "depth" = 1 }
# For people.
# note = "a note"

# A key without a section.
level = 3
""")


def test_paths_lead_to_keys() -> None:
    """Elements of arrays are no keys of their own."""
    key = find(_Root, ("rules", 3, "inner", "depth"))

    assert key is not None
    assert key.doc == "How deep."
    assert find(_Root, ("rules", 3, "inner", "depth", "x")) is None
    assert dotted(("rules", 3, "inner", "depth")) == "rules[3].inner.depth"


def test_values_are_written_as_toml() -> None:
    """Whatever a value holds, the text loads back to it."""
    values = {"a": 'quote " and \\ and \n', "b": 12_000, "c": 1.5, "d": [True, []], "e": {}, "f": None}

    assert tomllib.loads(f"v = {to_toml(values)}") == {"v": {**values, "f": ""}}
