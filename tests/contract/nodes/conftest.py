"""These need a server."""

import pytest

from tests.support.postgres import require_postgres


@pytest.fixture(autouse=True)
def _server() -> None:
    require_postgres()
