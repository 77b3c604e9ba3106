"""Real clients log in, with every mechanism that they have; TLS has tests of its own."""

import json
import os
import shutil
import smtplib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import mails, processes
from tests.support.logins import cheap_hash
from tests.support.processes import HOST, Relay, Sandbox, wait_until

USER, PASSWORD = "erp@example.com", "hunter2"
SETTINGS = f"""
[[users]]
name = "{USER}"
password_hash = "{cheap_hash(PASSWORD)}"
cram_md5_secret_file = "cram.secret"
senders = ["*@example.com"]

[[users]]
name = "zoë"
password_hash = "{cheap_hash("Ärger im Büro")}"

[logins]
failure_delay = "100ms"
max_failures_per_address = 0
max_failures_per_user = 0
"""
LISTENER = """
auth = "required"
auth_without_tls = true
auth_mechanisms = ["PLAIN", "LOGIN", "CRAM-MD5"]
"""
MECHANISMS = pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
INITIAL = pytest.mark.parametrize("initial", [True, False], ids=["initial-response", "prompted"])


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


class House:
    """A relay that all tests here share, and what it has done since a test began."""

    def __init__(self, relay: Relay, qboxmail: Sandbox) -> None:
        self._relay = relay
        self._qboxmail = qboxmail
        self._before = len(relay.log.read_text())
        self._messages_before = len(qboxmail.messages(content=0))
        self.port = relay.smtp_port

    @property
    def log(self) -> str:
        return self._relay.log.read_text()[self._before :]

    def events(self, name: str) -> list[dict[str, Any]]:
        found = (json.loads(line) for line in self.log.splitlines())
        return [line for line in found if line["event"] == name]

    def assert_arrived(self, mechanism: str, user: str = USER) -> None:
        """One mail, by this user, with this mechanism; and no password in the log."""
        messages = wait_until(self._new_messages, what="the mail at the sandbox")
        assert len(messages) == 1
        assert [(line["user"], line["mechanism"]) for line in self.events("login.accepted")] == [(user, mechanism)]
        assert [line["user"] for line in self.events("mail.accepted")] == [user]
        assert PASSWORD not in self.log

    def assert_refused(self) -> None:
        """No mail, for the password's sake; which is not in the log."""
        assert self._new_messages() == []
        assert [line["reason"] for line in self.events("login.refused")] == ["password"]
        assert "hunter3" not in self.log

    def _new_messages(self) -> list[dict[str, Any]]:
        return self._qboxmail.messages(content=0)[self._messages_before :]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Relay, Sandbox]]:
    """Starting them takes longer than all that the clients do."""
    folder = tmp_path_factory.mktemp("auth") / "relay"
    folder.mkdir()
    secret = folder / "cram.secret"
    secret.write_text(PASSWORD)
    secret.chmod(0o600)
    with (
        processes.sandbox() as qboxmail,
        processes.relay(folder, qboxmail.url, listener=LISTENER, extra=SETTINGS) as relay,
    ):
        yield relay, qboxmail


@pytest.fixture
def house(programs: tuple[Relay, Sandbox]) -> House:
    return House(*programs)


@INITIAL
@MECHANISMS
def test_smtplib(house: House, mechanism: str, initial: bool) -> None:
    """Python's own, with and without an initial response."""
    with smtplib.SMTP(HOST, house.port) as client:
        client.ehlo()
        assert client.esmtp_features["auth"].split() == ["PLAIN", "LOGIN", "CRAM-MD5"]
        client.user, client.password = USER, PASSWORD
        answer: Any = {"PLAIN": client.auth_plain, "LOGIN": client.auth_login, "CRAM-MD5": client.auth_cram_md5}[
            mechanism
        ]
        client.auth(mechanism, answer, initial_response_ok=initial)
        client.send_message(mails.simple("from smtplib"))

    house.assert_arrived(mechanism)


def test_smtplib_chooses(house: House) -> None:
    """`login` takes the best of what is offered."""
    with smtplib.SMTP(HOST, house.port) as client:
        client.login(USER, PASSWORD)
        client.send_message(mails.simple("from smtplib"))

    house.assert_arrived("CRAM-MD5")


@needs("swaks")
@MECHANISMS
def test_swaks(house: House, mechanism: str) -> None:
    """swaks with the mechanism that it is told."""
    run = subprocess.run(
        ["swaks", "--server", f"{HOST}:{house.port}", "--from", "ann@example.com", "--to", "bob@example.net",
         "--auth", mechanism, "--auth-user", USER, "--auth-password", PASSWORD],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout

    house.assert_arrived(mechanism)


@needs("swaks")
@MECHANISMS
def test_swaks_with_a_wrong_password(house: House, mechanism: str) -> None:
    """Its exit status 28 is: the authentication failed."""
    run = subprocess.run(
        ["swaks", "--server", f"{HOST}:{house.port}", "--from", "ann@example.com", "--to", "bob@example.net",
         "--auth", mechanism, "--auth-user", USER, "--auth-password", "hunter3"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert run.returncode == 28, run.stdout
    assert "535 5.7.8 Wrong user name or password" in run.stdout
    house.assert_refused()


@needs("curl")
@INITIAL
@MECHANISMS
def test_curl(house: House, tmp_path: Path, mechanism: str, initial: bool) -> None:
    """curl, with and without --sasl-ir."""
    file = tmp_path / "mail.eml"
    file.write_bytes(mails.simple("from curl").as_bytes().replace(b"\n", b"\r\n"))
    subprocess.run(
        ["curl", "--silent", "--show-error", f"smtp://{HOST}:{house.port}/client.example",
         "--user", f"{USER}:{PASSWORD}", "--login-options", f"AUTH={mechanism}",
         *(["--sasl-ir"] if initial else []), "--mail-from", "ann@example.com", "--mail-rcpt", "bob@example.net",
         "--upload-file", str(file)],
        timeout=60, check=True,
    )  # fmt: skip

    house.assert_arrived(mechanism)


@needs("msmtp")
@MECHANISMS
def test_msmtp(house: House, mechanism: str) -> None:
    """msmtp with the mechanism that it is told."""
    subprocess.run(
        ["msmtp", f"--host={HOST}", f"--port={house.port}", "--from=ann@example.com", "--tls=off",
         f"--auth={mechanism.lower()}", f"--user={USER}", f"--passwordeval=echo '{PASSWORD}'", "-t"],
        input=mails.simple("from msmtp").as_bytes(), timeout=60, check=True,
    )  # fmt: skip

    house.assert_arrived(mechanism)


@needs("msmtp")
def test_msmtp_with_a_wrong_password(house: House) -> None:
    """Its exit status is EX_NOPERM: no retry mends that."""
    run = subprocess.run(
        ["msmtp", f"--host={HOST}", f"--port={house.port}", "--from=ann@example.com", "--tls=off",
         "--auth=plain", f"--user={USER}", "--passwordeval=echo hunter3", "-t"],
        input=mails.simple("from msmtp").as_bytes(), capture_output=True, timeout=60, check=False,
    )  # fmt: skip

    assert run.returncode == 77, run.stderr
    house.assert_refused()


NODEMAILER = """
const nodemailer = require("nodemailer");
const [host, port, user, pass, method] = process.argv.slice(2);
const transport = nodemailer.createTransport({host, port: +port, ignoreTLS: true, auth: {user, pass}, authMethod: method});
transport.sendMail({from: "ann@example.com", to: "bob@example.net", subject: "from nodemailer", text: "x"})
  .then(info => console.log(info.response), error => { console.error(error.code, error.responseCode); process.exit(1); });
"""


@needs("node")
@MECHANISMS
def test_nodemailer(house: House, mechanism: str) -> None:
    """nodemailer with the mechanism that it is told."""
    run = nodemailer(house, USER, PASSWORD, mechanism)
    assert run.returncode == 0, run.stderr

    house.assert_arrived(mechanism)


@needs("node")
def test_nodemailer_with_a_wrong_password(house: House) -> None:
    """It tells its application EAUTH."""
    run = nodemailer(house, USER, "hunter3", "PLAIN")

    assert (run.returncode, run.stderr.strip()) == (1, "EAUTH 535")
    house.assert_refused()


def nodemailer(house: House, user: str, password: str, mechanism: str) -> "subprocess.CompletedProcess[str]":
    modules = os.environ.get("TESTS_NODE_MODULES", "")
    if not (Path(modules) / "nodemailer").is_dir():
        pytest.skip(
            "nodemailer is not installed: npm install nodemailer, and name its node_modules in TESTS_NODE_MODULES"
        )
    return subprocess.run(
        ["node", "-", HOST, str(house.port), user, password, mechanism],
        input=NODEMAILER, env={**os.environ, "NODE_PATH": modules}, text=True, capture_output=True, timeout=60, check=False,
    )  # fmt: skip


@needs("node")
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_what_is_not_ascii(house: House, mechanism: str) -> None:
    """Names and passwords of a client that speaks UTF-8."""
    run = nodemailer(house, "zoë", "Ärger im Büro", mechanism)
    assert run.returncode == 0, run.stderr

    house.assert_arrived(mechanism, "zoë")


def test_without_a_login(house: House) -> None:
    """A client that does not log in hears what to do."""
    with smtplib.SMTP(HOST, house.port) as client, pytest.raises(smtplib.SMTPSenderRefused) as caught:
        client.send_message(mails.simple("without a login"))

    assert caught.value.smtp_code == 530
    assert caught.value.smtp_error.startswith(b"5.7.0 Authentication required")


def test_as_somebody_else(house: House) -> None:
    """A user that is bound to senders: refused at MAIL for the envelope, at the end for From."""
    mail = mails.simple("x", sender="boss@example.org").as_string()
    with smtplib.SMTP(HOST, house.port) as client:
        client.login(USER, PASSWORD)
        with pytest.raises(smtplib.SMTPSenderRefused) as at_mail:
            client.sendmail("boss@example.org", "bob@example.net", mail)
        with pytest.raises(smtplib.SMTPDataError) as at_end:
            client.sendmail("ann@example.com", "bob@example.net", mail)

    assert (at_mail.value.smtp_code, at_mail.value.smtp_error[:5]) == (553, b"5.7.1")
    assert (at_end.value.smtp_code, at_end.value.smtp_error[:5]) == (550, b"5.7.1")
    assert [line["user"] for line in house.events("sender.refused")] == [USER]
    assert [line["rule"] for line in house.events("mail.refused")] == ["user_senders"]
