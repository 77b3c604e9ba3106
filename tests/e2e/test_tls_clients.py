"""Real clients over TLS, logged in: STARTTLS and implicit TLS, as their users would set them up."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.contract.smtp.harness import PEM
from tests.e2e.test_clients import arrived, needs
from tests.support import mails
from tests.support.processes import HOST, Relay, Sandbox

StartRelay = Callable[..., Relay]
PASSWORD = "correct horse battery staple"


@pytest.fixture(params=["starttls", "implicit"])
def tls(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def relay(tls: str, start_relay: StartRelay, tmp_path: Path) -> Relay:
    """A door with TLS at which a login is needed."""
    hashed = subprocess.run(
        ["qboxrelay", "hash-password"], input=PASSWORD, capture_output=True, text=True, timeout=60, check=True,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    ).stdout.strip()  # fmt: skip
    pem = tmp_path / "door.pem"
    shutil.copy(PEM, pem)
    return start_relay(
        listener=f'tls = "{tls}"\nauth = "required"',
        extra=f'[tls]\ncertificate_file = "{pem}"\n[[users]]\nname = "app"\npassword_hash = "{hashed}"\n',
    )


def run(*command: str, **options: Any) -> None:
    done = subprocess.run(command, capture_output=True, timeout=120, check=False, **options)
    assert done.returncode == 0, (done.stdout, done.stderr)


@needs("swaks")
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_swaks(mechanism: str, tls: str, relay: Relay, qboxmail: Sandbox) -> None:
    how = "--tls" if tls == "starttls" else "--tls-on-connect"
    run("swaks", "--server", f"{HOST}:{relay.smtp_port}", how, "--auth", mechanism, "--auth-user", "app",
        "--auth-password", PASSWORD, "--from", "ann@example.com", "--to", "bob@example.net", "--header", "Subject: x")  # fmt: skip
    (message,) = arrived(qboxmail)
    assert message["subject"] == "x"
    assert relay.events("mail.accepted")[0]["user"] == "app"


@needs("msmtp")
def test_msmtp(tls: str, relay: Relay, qboxmail: Sandbox, tmp_path: Path) -> None:
    config = tmp_path / "msmtprc"
    config.write_text(
        f"account default\nhost {HOST}\nport {relay.smtp_port}\nfrom ann@example.com\nauth on\nuser app\npassword {PASSWORD}\n"
        f"tls on\ntls_starttls {'on' if tls == 'starttls' else 'off'}\ntls_trust_file {PEM}\n"
    )
    config.chmod(0o600)
    run("msmtp", f"--file={config}", "bob@example.net", input=mails.simple("from msmtp").as_bytes())
    (message,) = arrived(qboxmail)
    assert message["subject"] == "from msmtp"


@needs("curl")
def test_curl(tls: str, relay: Relay, qboxmail: Sandbox, tmp_path: Path) -> None:
    file = tmp_path / "mail.eml"
    file.write_bytes(mails.simple("from curl").as_bytes().replace(b"\n", b"\r\n"))
    scheme = "smtp" if tls == "starttls" else "smtps"
    run("curl", "--silent", "--show-error", "--ssl-reqd", "--cacert", str(PEM), "--user", f"app:{PASSWORD}",
        f"{scheme}://{HOST}:{relay.smtp_port}/client.example", "--mail-from", "ann@example.com",
        "--mail-rcpt", "bob@example.net", "--upload-file", str(file))  # fmt: skip
    (message,) = arrived(qboxmail)
    assert message["subject"] == "from curl"


NODEMAILER = """
const nodemailer = require("nodemailer");
const [host, port, secure, password, ca] = process.argv.slice(2);
nodemailer.createTransport({host, port: +port, secure: secure === "yes", requireTLS: true, auth: {user: "app", pass: password},
  tls: {ca: require("fs").readFileSync(ca)}})
  .sendMail({from: "ann@example.com", to: "bob@example.net", subject: "from nodemailer", text: "x"})
  .then(info => console.log(JSON.stringify(info)), error => { console.error(error.message); process.exit(1); });
"""


@needs("node")
def test_nodemailer(tls: str, relay: Relay, qboxmail: Sandbox) -> None:
    modules = os.environ.get("TESTS_NODE_MODULES", "")
    if not (Path(modules) / "nodemailer").is_dir():
        pytest.skip("nodemailer is not installed: name its node_modules in TESTS_NODE_MODULES")
    run("node", "-", HOST, str(relay.smtp_port), "yes" if tls == "implicit" else "no", PASSWORD, str(PEM),
        input=NODEMAILER.encode(), env={**os.environ, "NODE_PATH": modules})  # fmt: skip
    (message,) = arrived(qboxmail)
    assert message["subject"] == "from nodemailer"


GO = """
package main

import (
	"crypto/tls"
	"net/smtp"
	"os"
)

func check(err error) {
	if err != nil {
		println(err.Error())
		os.Exit(1)
	}
}

func main() {
	host, port, implicit, password := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	config := &tls.Config{InsecureSkipVerify: true}
	var client *smtp.Client
	var err error
	if implicit == "yes" {
		connection, failed := tls.Dial("tcp", host+":"+port, config)
		check(failed)
		client, err = smtp.NewClient(connection, host)
	} else {
		client, err = smtp.Dial(host + ":" + port)
		check(err)
		err = client.StartTLS(config)
	}
	check(err)
	check(client.Auth(smtp.PlainAuth("", "app", password, host)))
	check(client.Mail("ann@example.com"))
	check(client.Rcpt("bob@example.net"))
	writer, err := client.Data()
	check(err)
	_, err = writer.Write([]byte("Subject: from Go\\r\\n\\r\\nhello\\r\\n.dot\\r\\n"))
	check(err)
	check(writer.Close())
	check(client.Quit())
}
"""


@pytest.fixture(scope="module")
def go_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, made once: its libraries are compiled with it, which may take a minute."""
    folder = tmp_path_factory.mktemp("go")
    source, program = folder / "client.go", folder / "client"
    source.write_text(GO)
    places = {"GOCACHE": str(folder / "cache"), "GOPATH": str(folder / "go"), "HOME": str(folder)}
    command = ["go", "build", "-o", str(program), str(source)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=280, env={**os.environ, **places})
    assert done.returncode == 0, done.stderr
    return program


@needs("go")
def test_go(tls: str, relay: Relay, qboxmail: Sandbox, go_client: Path) -> None:
    """Go's net/smtp, which is strict about replies and prompts."""
    run(str(go_client), HOST, str(relay.smtp_port), "yes" if tls == "implicit" else "no", PASSWORD)
    (message,) = arrived(qboxmail)
    assert message["subject"] == "from Go"
    assert message["text_body"].replace("\r\n", "\n") == "hello\n.dot\n"


@pytest.mark.skipif(
    subprocess.run(["git", "send-email", "--version"], capture_output=True, check=False).returncode == 129
    or not shutil.which("git")
    or not list(Path("/usr/lib/git-core").glob("git-send-email")),
    reason="git send-email is not installed",
)
def test_git_send_email(tls: str, relay: Relay, qboxmail: Sandbox, tmp_path: Path) -> None:
    """A series of patches over one connection."""
    home = {**os.environ, "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}

    def git(*arguments: str) -> None:
        run(
            "git",
            "-c",
            "user.name=Ann",
            "-c",
            "user.email=ann@example.com",
            *arguments,
            cwd=tmp_path / "repo",
            env=home,
        )

    (tmp_path / "repo").mkdir()
    git("init", "--quiet")
    for number in (1, 2):
        (tmp_path / "repo" / "file").write_text(f"line {number}\n")
        git("add", "file")
        git("commit", "--quiet", "-m", f"Change {number}")
    git("format-patch", "--quiet", "--root", "-o", str(tmp_path / "patches"))
    encryption = "tls" if tls == "starttls" else "ssl"
    git(
        "-c", "sendemail.smtpSSLCertPath=",
        "send-email", "--quiet", "--confirm=never", "--from=ann@example.com", "--to=bob@example.net", f"--smtp-server={HOST}",
        f"--smtp-server-port={relay.smtp_port}", f"--smtp-encryption={encryption}", "--smtp-user=app",
        f"--smtp-pass={PASSWORD}", *map(str, sorted((tmp_path / "patches").iterdir())),
    )  # fmt: skip
    # Two requests may be under way at a time, and either may be the first to arrive.
    messages = sorted(arrived(qboxmail, 2), key=lambda message: str(message["subject"]))
    assert [message["subject"] for message in messages] == ["[PATCH 1/2] Change 1", "[PATCH 2/2] Change 2"]
    assert json.dumps(messages[1]["headers"]).count("In-Reply-To") == 1
