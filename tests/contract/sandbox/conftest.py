"""A sandbox as at its start for each test."""

from collections.abc import Iterator

import pytest

from tests.contract.sandbox.harness import Client, serving


@pytest.fixture(scope="module")
def running() -> Iterator[Client]:
    with serving() as client:
        yield client


@pytest.fixture
def qboxmail(running: Client) -> Client:
    running.http.timeout = 60
    running.http.delete("/sandbox").raise_for_status()
    return running
