"""For every test: how many examples a property is tried with; what is skipped elsewhere must run in CI."""

import os
from collections.abc import Generator

import pytest
from hypothesis import settings

# A loaded machine is no failure. TESTS_EXAMPLES asks for a longer run of the properties. In CI the examples are the same each time: what is
# found there was changed there, and the search for more goes on where somebody looks.
settings.register_profile(
    "suite",
    deadline=None,
    max_examples=int(os.environ.get("TESTS_EXAMPLES", "100")),
    derandomize=bool(os.environ.get("CI")),
)
settings.load_profile("suite")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With TESTS_NOTHING_SKIPPED set, a skip is a failure: a test that finds nothing to test has not passed."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("TESTS_NOTHING_SKIPPED"):
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be: {report.longrepr}"
    return report
