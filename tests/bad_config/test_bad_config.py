"""Broken configurations, each a file, with what must be said about it in the file beside it.

A line `#! NAME=value` sets a variable of the environment. To see what is said about all of them:
`python -m tests.bad_config.test_bad_config`.
"""

import tempfile
from pathlib import Path

import pytest

from qboxrelay.settings.problem import SettingsError
from qboxrelay.settings.verify import load_verified

FOLDER = Path(__file__).parent
FILES = sorted(FOLDER.glob("*.toml"))


def said(file: Path, data_dir: Path) -> str:
    """Every problem on a line; the folder is left out, so that the text is the same everywhere."""
    environ = {"QBOXRELAY_TOKEN_DEFAULT": "a-token", "QBOXRELAY_RELAY_DATA_DIR": str(data_dir)}
    for line in file.read_text("utf-8", "replace").splitlines():
        if line.startswith("#! "):
            name, _, value = line.removeprefix("#! ").partition("=")
            environ[name] = value
    try:
        load_verified(file, environ)
    except SettingsError as error:
        return "".join(f"{problem}\n" for problem in error.problems).replace(f"{FOLDER}/", "")
    return ""


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_broken_configuration_is_explained(file: Path, tmp_path: Path) -> None:
    """Every problem is reported at once, with file, line and what to write instead."""
    expected = file.with_suffix(".expected").read_text("utf-8")

    assert expected
    assert said(file, tmp_path) == expected


def test_no_value_is_shown(tmp_path: Path) -> None:
    """What stands in a file may be a secret that was put in the wrong place: no problem repeats it."""
    everything = "".join(said(file, tmp_path) for file in FILES)

    assert "hunter2" not in everything
    assert "0123456789abcdef" not in everything


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        for broken in FILES:
            print(f"{broken.name}\n{said(broken, Path(folder))}")
