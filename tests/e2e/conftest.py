"""Fixtures of the end-to-end tests: the two programs as processes."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support import processes


@pytest.fixture
def qboxmail() -> Iterator[processes.Sandbox]:
    """An emulated Qboxmail of the test's own."""
    with processes.sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def start_relay(tmp_path: Path, qboxmail: processes.Sandbox) -> Iterator[Callable[..., processes.Relay]]:
    """Start a relay that sends to `qboxmail`; settings as pieces of TOML."""
    with ExitStack() as stack:

        def start(**settings: str) -> processes.Relay:
            return stack.enter_context(processes.relay(tmp_path / "relay", qboxmail.url, **settings))

        yield start
