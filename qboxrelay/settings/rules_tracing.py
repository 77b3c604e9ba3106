"""What the keys of `[tracing]` must be, and whether what they need is installed.

In: `Settings` whose every key is right by itself. Out: findings. Never: an import of what is looked for.
"""

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from urllib.parse import urlsplit

from qboxrelay.settings.finding import Finding
from qboxrelay.settings.schema import Settings
from qboxrelay.settings.web_address import web_address_fault

_PATH = ("tracing", "endpoint")
_EXAMPLE = 'write it as "http://127.0.0.1:4318/v1/traces"'
_PACKAGES = ("opentelemetry", "opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")


def tracing_findings(settings: Settings) -> Iterator[Finding]:
    """Every broken rule."""
    endpoint = settings.tracing.endpoint
    if endpoint and (wrong := _fault(endpoint)):
        yield Finding(_PATH, wrong, _EXAMPLE)


def extra_findings(settings: Settings, installed: Callable[[str], bool] | None = None) -> Iterator[Finding]:
    """What is asked for and not installed."""
    if settings.tracing.endpoint and not all(map(installed or _installed, _PACKAGES)):
        instead = "install it with: pip install 'qboxrelay[otel]', or leave endpoint empty"
        yield Finding(_PATH, "spans need the extra otel, which is not installed", instead)


def _fault(url: str) -> str:
    if fault := web_address_fault(url):
        return fault
    if urlsplit(url).path in {"", "/"}:
        return "has no path, and is used as it stands"
    return ""


def _installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:
        return False
