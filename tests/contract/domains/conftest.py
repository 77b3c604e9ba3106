"""One DNS server for all tests of this folder, and what they ask it with."""

from collections.abc import Iterator

import pytest

from tests.contract.domains.zones import ZONES
from tests.support.dns import knot


@pytest.fixture(scope="session")
def dns_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with knot(tmp_path_factory.mktemp("knot"), ZONES) as port:
        yield port
