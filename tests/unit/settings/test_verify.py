"""Whether a configuration can run: what holds, and what is warned of. Its refusals are in tests/bad_config."""

from pathlib import Path

import pytest

from qboxrelay.settings.hosts import is_loopback
from qboxrelay.settings.places import files_that_cannot_be_read
from qboxrelay.settings.problem import SettingsError
from qboxrelay.settings.types import Secret, Section
from qboxrelay.settings.verify import load_verified


class _Certificate(Section):
    certificate_file: Path | None = None


class _Root(Section):
    tls: _Certificate = _Certificate()
    listeners: tuple[_Certificate, ...] = ()
    hosts: tuple[str, ...] = ("a",)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "qboxrelay.toml"
    file.write_text('[relay]\ndata_dir = "data"\n[[accounts]]\ntoken_file = "token"\n')
    (tmp_path / "token").write_text("a-token\n")
    (tmp_path / "token").chmod(0o600)
    return file


def test_token_file_is_found(config: Path) -> None:
    """A file stays a file, so that a rotated token is seen without a restart."""
    verified = load_verified(config, {})

    assert verified.tokens == {"default": config.parent / "token"}
    assert verified.settings.relay.data_dir == config.parent / "data"
    assert verified.warnings == ()


def test_configuration_may_be_nothing_but_variables(tmp_path: Path) -> None:
    """A container needs no file."""
    environ = {"QBOXRELAY_TOKEN_DEFAULT": "a-token", "QBOXRELAY_RELAY_DATA_DIR": str(tmp_path)}

    assert load_verified(None, environ).tokens == {"default": Secret("a-token")}


def test_looking_changes_nothing(config: Path) -> None:
    """The data directory is made at the start of the relay, not by a check."""
    before = sorted(config.parent.iterdir())

    load_verified(config, {})

    assert sorted(config.parent.iterdir()) == before


def test_warnings_do_not_stop(config: Path) -> None:
    """What is careless is said; the relay starts."""
    (config.parent / "token").chmod(0o644)
    environ = {"QBOXRELAY_TOKEN_NEWS": "another-token"}

    mode, unused = load_verified(config, environ).warnings

    assert mode.startswith(f"the file {config.parent / 'token'} is open to every user")
    assert (
        unused
        == "QBOXRELAY_TOKEN_NEWS is set, but no account has the name for it: QBOXRELAY_TOKEN_DEFAULT would be read"
    )


def test_page_token_that_everybody_reads_is_warned_of(config: Path) -> None:
    """Whoever knows it may delete mail."""
    token = config.parent / "status-token"
    token.write_text("0123456789abcdef01234567\n")
    config.write_text(config.read_text() + '[status]\naddress = "0.0.0.0:8025"\ntoken_file = "status-token"\n')
    token.chmod(0o600)
    assert load_verified(config, {}).warnings == ()
    token.chmod(0o644)
    (warning,) = load_verified(config, {}).warnings
    assert warning.startswith(f"the file {token} is open to every user")


def test_token_from_two_places_is_warned_of(config: Path) -> None:
    """Whoever rotates the file must know that it is not read."""
    verified = load_verified(config, {"QBOXRELAY_TOKEN_DEFAULT": "a-token"})

    assert verified.tokens == {"default": Secret("a-token")}
    assert verified.warnings == (
        "QBOXRELAY_TOKEN_DEFAULT is set and goes before the token_file of the account default",
    )


def test_rules_and_tokens_are_judged_together(config: Path) -> None:
    """One run of check is enough to see what must be mended."""
    config.write_text('[delivery]\nlease = "1s"\n[[accounts]]\ntoken_file = "nothing"\n[relay]\nname = "a b"\n')

    with pytest.raises(SettingsError) as caught:
        load_verified(config, {"QBOXRELAY_RELAY_DATA_DIR": "data"})

    assert [problem.key for problem in caught.value.problems] == [
        "delivery.lease",
        "accounts[0].token_file",
        "relay.name",
    ]


@pytest.mark.parametrize("address", ["127.0.0.1:0", "[::1]:2525", "localhost:2525", "127.8.0.1:25"])
def test_loopback_is_open_without_authentication(config: Path, address: str) -> None:
    """Only this machine reaches it."""
    config.write_text(f'{config.read_text()}[[listeners]]\naddress = "{address}"\n')

    assert load_verified(config, {}).settings.listeners


@pytest.mark.parametrize("url", ["https://api.example.com/v1", "http://127.0.0.1:8026/v1", "http://[::1]:8026/v1"])
def test_token_travels_encrypted_or_not_at_all(config: Path, url: str) -> None:
    """Clear text is for this machine alone."""
    config.write_text(f'{config.read_text()}base_url = "{url}"\n')

    assert load_verified(config, {}).settings.accounts[0].base_url == url


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1/v1", "ftp://127.0.0.1/v1", "https:///v1", "https://[::1/v1", "https://a:b/"]
)
def test_url_that_cannot_be_used_is_refused(config: Path, url: str) -> None:
    """What would fail with every mail is said before the first one."""
    config.write_text(f'{config.read_text()}base_url = "{url}"\n')

    with pytest.raises(SettingsError, match="base_url"):
        load_verified(config, {})


@pytest.mark.parametrize(
    ("one", "other"), [("0.0.0.0:25", "127.0.0.1:25"), ("127.0.0.1:25", "0.0.0.0:25"), ("[::]:25", "[::1]:25")]
)
def test_wildcard_takes_every_address_of_its_port(config: Path, one: str, other: str) -> None:
    """The second one could not be bound."""
    config.write_text(
        f'{config.read_text()}[[listeners]]\nname = "a"\naddress = "{one}"\n[[listeners]]\nname = "b"\naddress = "{other}"\n'
    )

    with pytest.raises(SettingsError, match="is taken by another section"):
        load_verified(config, {})


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("LOCALHOST.", True),
        ("::1%lo", True),
        ("0.0.0.0", False),
        ("::", False),
        ("a.b", False),
    ],
)
def test_loopback_is_what_cannot_be_reached_from_elsewhere(host: str, *, loopback: bool) -> None:
    """A name other than localhost may lead anywhere."""
    assert is_loopback(host) == loopback


def test_every_file_that_a_key_names_is_looked_for(tmp_path: Path) -> None:
    """A certificate that is missing is told by check, not by the first client."""
    there = tmp_path / "there"
    there.write_text("")
    root = _Root(
        tls=_Certificate(certificate_file=tmp_path),
        listeners=(
            _Certificate(),
            _Certificate(certificate_file=there),
            _Certificate(certificate_file=tmp_path / "no"),
        ),
    )

    found = list(files_that_cannot_be_read(root))

    assert [finding.path for finding in found] == [("tls", "certificate_file"), ("listeners", 2, "certificate_file")]
    assert found[1].wrong == f"the file {tmp_path / 'no'} does not exist"


def test_spool_in_a_folder_of_its_own(config: Path) -> None:
    """The spool may be elsewhere than data_dir, in a folder that the start makes; a folder in the place of the file is told by check."""
    place = config.parent / "there" / "spool.db"
    with config.open("a") as text:
        text.write(f'[spool]\nurl = "sqlite://{place}"\n')

    load_verified(config, {})

    place.mkdir(parents=True)
    with pytest.raises(SettingsError) as refused:
        load_verified(config, {})
    assert [problem.key for problem in refused.value.problems] == ["spool.url"]
    assert f"{place} is not a file" in str(refused.value)
