"""For every test: how many examples a property is tried with, which tests come first; what is skipped elsewhere must run in CI."""

import os
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A loaded machine is no failure. TESTS_EXAMPLES asks for a longer run of the properties. In CI the examples are the same each time: what is
# found there was changed there, and the search for more goes on where somebody looks.
settings.register_profile(
    "suite",
    deadline=None,
    max_examples=int(os.environ.get("TESTS_EXAMPLES", "100")),
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("suite")


if any(name.lower() in {"http_proxy", "https_proxy", "all_proxy"} for name in os.environ):
    # A machine's way out is not the way to what listens here.
    for name in ("NO_PROXY", "no_proxy"):
        os.environ[name] = ",".join(filter(None, [os.environ.get(name), "127.0.0.1", "localhost"]))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests first, in whatever order: the others fill what is left of the time beside them."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


_LAST_LINES = 30


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With TESTS_NOTHING_SKIPPED set, a skip is a failure: a test that finds nothing to test has not passed. Beside what failed stands what its
    relays said last.
    """
    report = yield
    if report.failed:
        report.sections.extend(_last_words(item))
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("TESTS_NOTHING_SKIPPED"):
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be: {report.longrepr}"
    return report


def _last_words(item: pytest.Item) -> list[tuple[str, str]]:
    place = getattr(item, "funcargs", {}).get("tmp_path")
    if not isinstance(place, Path):
        return []
    return [(str(log.relative_to(place)), _end_of(log)) for log in sorted(place.rglob("log.jsonl"))]


def _end_of(log: Path) -> str:
    return "\n".join(line[:500] for line in log.read_text(errors="replace").splitlines()[-_LAST_LINES:])
