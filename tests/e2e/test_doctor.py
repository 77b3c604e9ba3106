"""`qboxrelay doctor` beside a relay and the sandbox: what it finds, what it says to do, and that it sends nothing."""

import json
import shutil
import smtplib
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.contract.smtp.harness import PEM
from tests.support.processes import HOST, Relay, Sandbox

StartRelay = Callable[..., Relay]
NO_DNS = 'resolvers = ["127.0.0.1:9"]\ndns_timeout = "1s"'


def doctor(config: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "qboxrelay", "doctor", "--config", str(config), *words],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def rows(config: Path) -> tuple[int, dict[str, dict[str, Any]]]:
    """Exit status, and rows by name."""
    done = doctor(config, "--json")
    assert not done.stderr, done.stderr
    return done.returncode, {row["name"]: row for row in json.loads(done.stdout)}


def verdicts(found: dict[str, dict[str, Any]], *names: str) -> list[str]:
    return [found[name]["verdict"] for name in names]


@pytest.fixture
def managed(start_relay: StartRelay, qboxmail: Sandbox, tmp_path: Path) -> Relay:
    """A relay with both tokens, whose account is known by its username."""
    token = tmp_path / "management"
    token.write_text("sandbox-management-token\n")
    token.chmod(0o600)
    accounts = qboxmail._http.get("/api/delivery/accounts", headers={"X-Api-Token": "sandbox-management-token"}).json()
    mine = next(one for one in accounts["resources"] if one["type"] == "transactional")
    return start_relay(
        account=f'delivery_account = "{mine["id"]}"',
        extra=f'[sender_domains]\ntoken_file = "{token}"\nbase_url = "{qboxmail.url}"\n{NO_DNS}\n',
    )


def test_all_is_well(managed: Relay, qboxmail: Sandbox) -> None:
    """Beside a running relay: its ports are its own, both tokens are taken, the list for production is gone through, nothing is sent."""
    status, found = rows(managed.config)

    assert status == 0, [row for row in found.values() if row["verdict"] == "fail"]
    assert verdicts(found, "file", "secret token", "disk space", "relay", "listener smtp", "status") == ["ok"] * 6
    assert f"process {managed.pid()}" in found["relay"]["found"]
    assert "running relay's" in found["listener smtp"]["found"]
    assert verdicts(found, "DNS", "reachable", "token", "clock") == ["ok"] * 4
    assert found["example.com"]["verdict"] == "ok"
    assert found["DNS of example.com"]["verdict"] == "unknown"
    production = ["Delivery domain verified", "sender domain assigned", "account enabled", "account type"]
    assert verdicts(found, *production, "suppression list") == ["ok"] * 5
    assert found["monitoring"]["verdict"] == "unknown"
    assert found["fsync"]["verdict"] in {"ok", "warn"}
    assert qboxmail.messages() == []
    assert "sandbox-" not in json.dumps(found)


def test_text_for_people(managed: Relay) -> None:
    """Groups, a line for each finding, what to do below it, and the sums at the end; not one colour in a pipe."""
    done = doctor(managed.config)

    assert done.returncode == 0
    assert "\nThis machine\n" in done.stdout
    assert "  ok      listener smtp: " in done.stdout
    assert "          → " in done.stdout
    assert done.stdout.splitlines()[-1].endswith(" unknown")
    assert "\x1b" not in done.stdout


def test_what_is_wrong_is_found(start_relay: StartRelay, qboxmail: Sandbox, tmp_path: Path) -> None:
    """Wrong tokens, a secret that everybody reads, a port that another program has: each is named with what to do, and the status is 1."""
    relay = start_relay()
    assert relay.stop() == 0
    token, management = relay.directory / "token", tmp_path / "management"
    token.write_text("wrong\n")
    token.chmod(0o644)
    management.write_text("wrong as well\n".replace(" ", "-"))
    management.chmod(0o600)
    with relay.config.open("a") as file:
        file.write(f'[sender_domains]\ntoken_file = "{management}"\nbase_url = "{qboxmail.url}"\n')
    with socket.create_server((HOST, relay.smtp_port)):
        done = doctor(relay.config, "--json")
    found = json.loads(done.stdout)

    assert done.returncode == 1
    by_group = {(row["group"].split(",")[0], row["name"]): row for row in found}
    assert by_group["This machine", "secret token"]["verdict"] == "warn"
    assert "chmod 0600" in by_group["This machine", "secret token"]["advice"]
    assert by_group["This machine", "listener smtp"]["verdict"] == "fail"
    assert "another program" in by_group["This machine", "listener smtp"]["found"]
    assert by_group["Send API", "token"]["verdict"] == "fail"
    assert by_group["Management API", "token"]["verdict"] == "fail"
    assert "wrong" not in {word for row in found for word in row["found"].split()}


def test_api_that_is_away(start_relay: StartRelay, qboxmail: Sandbox) -> None:
    """An API that nobody answers for fails; its token is unknown, not wrong."""
    relay = start_relay()
    text = relay.config.read_text().replace(f"{qboxmail.url}/v1", "http://127.0.0.1:9/v1")
    relay.config.write_text(text)
    status, found = rows(relay.config)

    assert status == 1
    assert verdicts(found, "reachable") == ["fail"]
    assert "unknown" in found["token"]["verdict"]


def test_certificate_and_its_expiry(start_relay: StartRelay, tmp_path: Path) -> None:
    """The doors' certificate is shown with its names and its end; one that ends soon, or is over, says so."""
    relay = start_relay()
    pem = tmp_path / "door.pem"
    shutil.copy(PEM, pem)
    with relay.config.open("a") as file:
        file.write(f'[tls]\ncertificate_file = "{pem}"\n')
    _, found = rows(relay.config)
    assert found["certificate of the doors"]["verdict"] in {"ok", "warn"}
    assert "until 2" in found["certificate of the doors"]["found"]

    for days, verdict in ((3, "warn"), (-1, "fail")):
        make(pem, days)
        _, found = rows(relay.config)
        assert found["certificate of the doors"]["verdict"] == verdict, found["certificate of the doors"]


def make(pem: Path, days: int) -> None:
    """A certificate that ends so many days from now."""
    from datetime import UTC, datetime, timedelta

    ends = datetime.now(UTC) + timedelta(days=days)
    begins = ends - timedelta(days=30)
    key, certificate = pem.with_suffix(".key"), pem.with_suffix(".crt")
    request = pem.with_suffix(".csr")
    run = [
        "openssl",
        "req",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=relay.example",
        "-keyout",
        str(key),
        "-out",
        str(request),
    ]
    subprocess.run(run, check=True, capture_output=True, timeout=60)
    names = pem.with_suffix(".ext")
    names.write_text("subjectAltName=DNS:relay.example\n")
    folder = pem.parent / f"ca{days}"
    folder.mkdir()
    (folder / "index.txt").write_text("")
    (folder / "serial").write_text("01\n")
    (folder / "ca.cnf").write_text(
        f"[ca]\ndefault_ca=own\n[own]\ndatabase={folder}/index.txt\nserial={folder}/serial\nnew_certs_dir={folder}\n"
        "default_md=sha256\npolicy=any\nunique_subject=no\n[any]\ncommonName=supplied\n"
    )
    subprocess.run(
        ["openssl", "ca", "-batch", "-config", str(folder / "ca.cnf"), "-selfsign", "-keyfile", str(key), "-in", str(request),
         "-out", str(certificate), "-extfile", str(names), "-notext",
         "-startdate", f"{begins:%Y%m%d%H%M%SZ}", "-enddate", f"{ends:%Y%m%d%H%M%SZ}"],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    pem.write_bytes(certificate.read_bytes() + key.read_bytes())


def test_configuration_that_cannot_run(tmp_path: Path) -> None:
    """Its problems are the findings, and nothing else is looked at."""
    config = tmp_path / "qboxrelay.toml"
    config.write_text('[log]\nlevle = "info"\n')
    done = doctor(config, "--json")

    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert {row["verdict"] for row in found} == {"fail"}
    assert any(f"{config}:2: log.levle" in row["found"] for row in found)


def test_mail_goes_on_beside_it(managed: Relay, qboxmail: Sandbox) -> None:
    """Looking disturbs nothing: the relay takes mail meanwhile, and its spool is whole."""
    before = (managed.directory / "data" / "spool.lock").stat().st_ino
    rows(managed.config)
    with smtplib.SMTP(HOST, managed.smtp_port, timeout=60) as client:
        assert client.noop()[0] == 250

    assert (managed.directory / "data" / "spool.lock").stat().st_ino == before
