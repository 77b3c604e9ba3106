"""What somebody hears whose relay does not start: one line that says what to change, and an exit status."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import HOST, free_port

TAKEN = "Address already in use"


def qboxrelay(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "qboxrelay", *map(str, arguments)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def configured(tmp_path: Path, *, smtp: int = 0, status: int = 0, more: str = "") -> Path:
    """A configuration that could run on ports of its own."""
    token = tmp_path / "token"
    token.write_text("a-token\n")
    token.chmod(0o600)
    file = tmp_path / "qboxrelay.toml"
    file.write_text(
        f'[relay]\ndata_dir = "data"\n[[listeners]]\naddress = "{HOST}:{smtp or free_port()}"\n'
        f'[[accounts]]\ntoken_file = "token"\n[status]\naddress = "{HOST}:{status or free_port()}"\n[log]\nlevel = "error"\n{more}'
    )
    return file


def test_wrong_configuration_has_a_status_of_its_own(tmp_path: Path) -> None:
    """78 is EX_CONFIG of sysexits.h: a service manager need not try again."""
    run = qboxrelay("run", "--config", configured(tmp_path, more="[spool]\nmax_messages = 0\n"))

    assert run.returncode == os.EX_CONFIG
    assert "spool.max_messages" in run.stderr


def test_address_that_is_taken(tmp_path: Path) -> None:
    """The line says whose address it is, without numbers of the operating system, and is no error of the configuration: it may pass."""
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        status = qboxrelay("run", "--config", configured(tmp_path, status=port))
        smtp = qboxrelay("run", "--config", configured(tmp_path, smtp=port))

    assert status.stderr == (
        f"qboxrelay: status: cannot listen on {HOST}:{port}: {TAKEN}; set another address in [status]\n"
    )
    assert smtp.stderr == f"qboxrelay: listener smtp: cannot listen on {HOST}:{port}: {TAKEN}\n"
    assert [status.returncode, smtp.returncode] == [1, 1]


def test_check_knows_a_spool_that_cannot_be(tmp_path: Path) -> None:
    """`check` refuses what `run` would refuse: a spool where no file can be made."""
    file = configured(tmp_path, more='[spool]\nurl = "sqlite:///proc/x/y.db"\n')
    check, run = qboxrelay("check", "--config", file), qboxrelay("run", "--config", file)

    assert "spool.url" in check.stderr
    assert check.stderr == run.stderr
    assert [check.returncode, run.returncode] == [1, os.EX_CONFIG]


@pytest.mark.parametrize("command", [("demo", "--smtp-port"), ("demo", "--sandbox-port"), ("sandbox", "--port")])
@pytest.mark.parametrize("port", [70000, -1])
def test_port_that_cannot_be(command: tuple[str, str], port: int) -> None:
    """A number that no port has is a mistake in the option, not a traceback."""
    run = qboxrelay(*command, port)

    assert run.returncode == 2
    assert command[1] in run.stderr
    assert "Invalid value" in run.stderr
    assert "Traceback" not in run.stderr


def test_demo_with_a_port_given_twice() -> None:
    """Both options are named, and the one to change."""
    port = free_port()
    run = qboxrelay("demo", "--smtp-port", port, "--sandbox-port", port, "--http-port", free_port())

    assert run.returncode == 1
    assert run.stderr == (
        f"qboxrelay: --smtp-port and --sandbox-port both name port {port}; choose another port with --sandbox-port\n"
    )
