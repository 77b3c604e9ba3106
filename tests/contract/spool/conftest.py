"""Every backend goes through every test of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.spool.harness import BACKENDS, Spools, spools_of
from tests.contract.spool.way import Way
from tests.support.postgres import require_postgres, shared_cluster
from tests.support.tcp_proxy import tcp_proxy


@pytest.fixture(params=list(BACKENDS))
def spools(request: pytest.FixtureRequest, tmp_path: Path) -> Spools:
    return spools_of(request.param, tmp_path)


@pytest.fixture
def way(tmp_path: Path) -> Iterator[Way]:
    """To the tests' PostgreSQL server, with somebody in it who may cut it."""
    require_postgres()
    with tcp_proxy(shared_cluster().port) as proxy:
        yield Way(proxy, tmp_path)
