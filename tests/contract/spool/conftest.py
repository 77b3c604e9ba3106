"""Every backend goes through every test of this folder."""

from pathlib import Path

import pytest

from tests.contract.spool.harness import Spools, SqliteSpools


@pytest.fixture(params=["sqlite"])
def spools(request: pytest.FixtureRequest, tmp_path: Path) -> Spools:
    backends = {"sqlite": SqliteSpools}
    return backends[request.param](tmp_path)
