"""A log in a file, and logging as it was before, afterwards."""

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from qboxrelay.settings.schema import LogSettings
from qboxrelay.telemetry.logs import configure

Lines = Callable[[], list[str]]
Log = Callable[..., Lines]


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Configuration is global, in structlog and in the standard library."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.fixture
def log_to(tmp_path: Path) -> Iterator[Log]:
    """Configure logging with the given keys of `[log]`; what comes back reads the lines that were written."""
    with (tmp_path / "log").open("w") as stream:

        def start(**keys: Any) -> Lines:
            configure(LogSettings(**{"format": "json", **keys}), stream)
            return lambda: (tmp_path / "log").read_text("utf-8").splitlines()

        yield start


def only(lines: list[str]) -> dict[str, Any]:
    """The fields of the only line."""
    (line,) = lines
    fields = json.loads(line)
    assert isinstance(fields, dict)
    return fields
