"""Loading a configuration from a file and the environment."""

import os
from datetime import timedelta
from pathlib import Path

import pytest

from qboxrelay.settings.load import Problem, SettingsError, load
from qboxrelay.settings.schema import Settings
from qboxrelay.settings.types import SocketAddress


def problems(path: Path | None, environ: dict[str, str]) -> tuple[Problem, ...]:
    with pytest.raises(SettingsError) as caught:
        load(path, environ)
    return caught.value.problems


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "qboxrelay.toml"


def test_nothing_means_the_defaults(config: Path) -> None:
    """Every key has a default: no file, and an empty one, are configurations."""
    config.write_bytes(b"")

    assert load(None, {}) == Settings()
    assert load(config, {}) == Settings()


def test_file_is_read(config: Path) -> None:
    """Tables, arrays of tables and every kind of value reach the settings."""
    config.write_text(
        '[spool]\nmax_bytes = "1GB"\n[[accounts]]\nname = "a"\ndomains = ["example.com"]\n[[accounts]]\nname = "b"\n'
        '[delivery]\nretry_schedule = ["1s", "1m 30s"]\n[status]\naddress = ""\n'
    )

    settings = load(config, {})

    assert settings.spool.max_bytes == 10**9
    assert [account.name for account in settings.accounts] == ["a", "b"]
    assert settings.accounts[0].domains == ("example.com",)
    assert settings.delivery.retry_schedule == (timedelta(seconds=1), timedelta(seconds=90))
    assert settings.status.address is None


def test_file_of_another_editor_is_read(config: Path) -> None:
    """A byte order mark and CR LF are an editor's habit, not a fault; lines are counted all the same."""
    config.write_bytes(b'\xef\xbb\xbf[relay]\r\nname = "a.example.com"\r\n')
    assert load(config, {}).relay.name == "a.example.com"

    config.write_bytes(b"\xef\xbb\xbf[relay]\r\n\r\nnam = 1\r\n")
    assert [problem.line for problem in problems(config, {})] == [3]


def test_environment_goes_before_the_file(config: Path) -> None:
    """A key of a table is set by QBOXRELAY_<SECTION>_<KEY>; the rest of the table stays."""
    config.write_text('[spool]\nmax_bytes = "1GB"\nmax_messages = 5\n')
    environ = {
        "QBOXRELAY_SPOOL_MAX_BYTES": "2GB",
        "QBOXRELAY_STATUS_ADDRESS": "[::1]:80",
        "QBOXRELAY_DELIVERY_HEADER_PRIORITY": "false",
    }

    settings = load(config, environ)

    assert (settings.spool.max_bytes, settings.spool.max_messages) == (2 * 10**9, 5)
    assert settings.status.address == SocketAddress("::1", 80)
    assert settings.delivery.header_priority is False


def test_variables_of_others_are_left_alone() -> None:
    """Tokens are read elsewhere, and a cluster puts variables beside ours when the service is called qboxrelay."""
    environ = {
        "PATH": "/bin",
        "QBOXRELAY_TOKEN_DEFAULT": "a-token",
        "QBOXRELAY_SERVICE_HOST": "10.0.0.1",
        "QBOXRELAY_SERVICE_PORT_SMTP": "25",
        "QBOXRELAY_PORT": "tcp://10.0.0.1:25",
        "QBOXRELAY_PORT_25_TCP_ADDR": "10.0.0.1",
    }

    assert load(None, environ) == Settings()


def test_file_and_environment_are_judged_together(config: Path) -> None:
    """All problems at once, whatever they come from; the environment's are last."""
    config.write_text('[log]\nlevel = "loud"\n\n[relay]\ncolour = 1\n')

    found = problems(config, {"QBOXRELAY_LOG_FORMAT": "xml", "QBOXRELAY_LOG_COLOUR": "1"})

    assert [(problem.source, problem.line, problem.key) for problem in found] == [
        (str(config), 2, "log.level"),
        (str(config), 5, "relay.colour"),
        ("environment", None, "QBOXRELAY_LOG_COLOUR"),
        ("environment", None, "QBOXRELAY_LOG_FORMAT"),
    ]


def test_environment_over_what_is_no_table(config: Path) -> None:
    """A section that is not one is reported as it stands in the file."""
    config.write_text("log = 3\n")

    assert [problem.key for problem in problems(config, {"QBOXRELAY_LOG_LEVEL": "info"})] == ["log"]


def test_environment_alone_is_judged_too() -> None:
    """Without any file, a variable that means nothing is still an error."""
    assert [str(problem) for problem in problems(None, {"QBOXRELAY_LOG_LEVL": "info"})] == [
        "environment: QBOXRELAY_LOG_LEVL: no key is set by this variable; did you mean QBOXRELAY_LOG_LEVEL?"
    ]


def test_paths_are_relative_to_the_configuration(config: Path) -> None:
    """The folder of the configuration is where relative paths begin, wherever the relay was started."""
    config.write_text('[relay]\ndata_dir = "spool"\n[[accounts]]\ntoken_file = "secrets/token"\n')

    settings = load(config, {"CREDENTIALS_DIRECTORY": "/nowhere"})

    assert settings.relay.data_dir == config.parent / "spool"
    assert settings.accounts[0].token_file == config.parent / "secrets/token"


def test_bare_name_is_a_credential_where_there_is_one(config: Path, tmp_path: Path) -> None:
    """systemd's LoadCredential= puts secrets in a directory that it names."""
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "send-token").write_text("a-token\n")
    config.write_text('[[accounts]]\ntoken_file = "send-token"\n')

    settings = load(config, {"CREDENTIALS_DIRECTORY": str(credentials)})

    assert settings.accounts[0].token_file == credentials / "send-token"


def test_missing_file_is_named_with_its_neighbour(config: Path) -> None:
    """A slip in the name of the file is the first thing to look for."""
    config.write_text("")

    (problem,) = problems(config.with_name("qboxrely.toml"), {})

    assert (problem.wrong, problem.instead) == ("there is no such file", f"did you mean {config}?")


def test_missing_file_without_neighbour(tmp_path: Path) -> None:
    """Where nothing is like it, the option is named."""
    (problem,) = problems(tmp_path / "no" / "such.toml", {})

    assert problem.instead == "name another one with --config"


def test_folder_is_no_file(tmp_path: Path) -> None:
    """What cannot be read is said with the system's reason."""
    (problem,) = problems(tmp_path, {})

    assert problem.wrong == "cannot be read: Is a directory"


def test_deeply_nested_text_is_refused(config: Path) -> None:
    """A hostile file ends in a sentence, not in a traceback."""
    config.write_text("a = " + "[" * 50_000)

    assert problems(config, {})


def test_error_text_holds_every_problem() -> None:
    """Whoever only prints the exception sees all."""
    error = SettingsError([Problem(wrong="b"), Problem(source="x.toml", line=2, key="k", wrong="a", instead="c")])

    assert str(error) == "x.toml:2: k: a; c\nb"


def test_process_environment_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read is what was passed."""
    monkeypatch.setenv("QBOXRELAY_LOG_LEVEL", "loud")

    assert load(None, {}) == Settings()
    assert os.environ["QBOXRELAY_LOG_LEVEL"] == "loud"
