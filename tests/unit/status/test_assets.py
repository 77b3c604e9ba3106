"""Templates, stylesheet and script travel with the package."""

import re
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

from qboxrelay.status.assets import ROUTES

ROOT = Path(__file__).parents[3]
PAGES = files("qboxrelay.status") / "pages"


def test_files_are_where_an_installed_package_has_them() -> None:
    """Found by `importlib.resources`; each that a page or a route names is there."""
    names = {entry.name for entry in PAGES.iterdir()}
    text = "".join((PAGES / name).read_text("utf-8") for name in names if name.endswith(".html"))
    named = set(re.findall(r'(?:extends|import) "([^"]+)"', text)) | {route.path.rpartition("/")[2] for route in ROUTES}

    assert named <= names
    assert set(re.findall(r'"/assets/([^"]+)"', text)) <= {route.path.rpartition("/")[2] for route in ROUTES}


def test_a_wheel_holds_them() -> None:
    """The whole folder of the package goes into it, whatever the kind of file."""
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]

    assert wheel == {"packages": ["qboxrelay"]}
    assert (ROOT / "qboxrelay" / "status" / "pages").samefile(str(PAGES))


def test_the_stylesheet_needs_nothing_from_elsewhere() -> None:
    """No import, no font, no image."""
    style = (PAGES / "status.css").read_text("utf-8")

    assert "@import" not in style
    assert "url(" not in style
    assert "prefers-color-scheme: dark" in style


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(scheme: str) -> None:
    """Text on its background has at least 4.5 to 1 (WCAG 2.2, 1.4.3), lines of charts 3 to 1 (1.4.11)."""
    style = (PAGES / "status.css").read_text("utf-8")
    light, _, dark = style.partition("@media (prefers-color-scheme: dark)")
    found = re.findall(r"--([\w-]+): (#[0-9a-f]{6})", light if scheme == "light" else dark.partition("*, *")[0])
    colours = dict(found)
    pairs = [(ink, back, 4.5) for ink in ("ink", "soft", "accent") for back in ("back", "card", "head", "mute-back")]
    pairs += [(ink, f"{ink}-back", 4.5) for ink in ("good", "warn", "bad", "info")]
    pairs += [("ink", f"{tone}-back", 4.5) for tone in ("warn", "bad")] + [("bad", "card", 4.5), ("warn", "card", 4.5)]
    pairs += [("accent-ink", "accent", 4.5), *((line, "card", 3.0) for line in ("s1", "s2", "s3"))]

    low = {(ink, back): round(_contrast(colours[ink], colours[back]), 2) for ink, back, _ in pairs}
    assert {pair: low[pair[:2]] for pair in pairs if low[pair[:2]] < pair[2]} == {}


def _contrast(one: str, other: str) -> float:
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
