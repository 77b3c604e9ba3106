"""Where the Management API's token comes from. Its refusals are in tests/bad_config."""

from pathlib import Path

import pytest

from qboxrelay.settings.types import Secret, SocketAddress
from qboxrelay.settings.verify import load_verified

HEAD = '[relay]\ndata_dir = "data"\n[[accounts]]\ntoken_file = "token"\n[sender_domains]\n'


@pytest.fixture
def config(tmp_path: Path) -> Path:
    for name in ("token", "management"):
        (tmp_path / name).write_text(f"{name}-text\n")
        (tmp_path / name).chmod(0o600)
    return tmp_path / "qboxrelay.toml"


@pytest.mark.parametrize(
    ("section", "used"),
    [
        ("", False),
        ('domains = ["example.com"]', False),
        ('token_file = "management"', True),
        ('token_file = "management"\nsource = "management"', True),
        ('token_file = "management"\nsource = "static"\ndomains = ["example.com"]', False),
        ('token_file = "management"\nsource = "none"', False),
        ('token_file = "gone"\nsource = "none"', False),
    ],
)
def test_the_source_decides_whether_it_is_used(config: Path, section: str, used: bool) -> None:
    """`auto` is what is configured; a file stays a file, so that a rotated token is seen without a restart."""
    config.write_text(HEAD + section)
    assert load_verified(config, {}).management_token == (config.parent / "management" if used else None)


def test_the_environment_goes_before_the_file(config: Path) -> None:
    config.write_text(HEAD + 'token_file = "management"')
    verified = load_verified(config, {"QBOXRELAY_MANAGEMENT_TOKEN": "from-outside"})
    assert verified.management_token == Secret("from-outside")


def test_a_file_for_everybody_is_warned_of(config: Path) -> None:
    config.write_text(HEAD + 'token_file = "management"')
    (config.parent / "management").chmod(0o644)
    (warning,) = load_verified(config, {}).warnings
    assert "management" in warning
    assert "management-text" not in warning


def test_resolvers_are_addresses_with_or_without_a_port(config: Path) -> None:
    config.write_text(HEAD + 'resolvers = ["192.0.2.53", "192.0.2.53:5353", "2001:db8::53", "[2001:db8::53]:5353"]')
    assert load_verified(config, {}).settings.sender_domains.resolvers == (
        SocketAddress("192.0.2.53", 53),
        SocketAddress("192.0.2.53", 5353),
        SocketAddress("2001:db8::53", 53),
        SocketAddress("2001:db8::53", 5353),
    )
