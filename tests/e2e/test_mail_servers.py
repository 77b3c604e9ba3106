"""Mail servers that relay to us: Postfix as a null client with pipelining, or with TLS and a login; Exim with CHUNKING."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.contract.smtp.harness import PEM
from tests.support.logins import cheap_hash
from tests.support.postfix import postfix, sbin
from tests.support.processes import HOST, Relay, Sandbox, wait_until

StartRelay = Callable[..., Relay]
MAIL = "From: Ann <ann@example.com>\nTo: Bob <bob@example.net>\nSubject: from {name}\n\nhello\n.a line with a dot\n"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="starting a mail server takes root")


@pytest.fixture
def place() -> Iterator[Path]:
    """Short, as names of sockets must be, and open to other users, as pytest's own folders are not."""
    folder = Path(tempfile.mkdtemp(prefix="mta-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@as_root
@pytest.mark.skipif(sbin("postfix") is None, reason="postfix is not installed")
def test_postfix_null_client(start_relay: StartRelay, qboxmail: Sandbox, place: Path) -> None:
    """Mail handed to sendmail(1) leaves through Postfix, pipelined, several on one connection, each once."""
    relay = start_relay()
    with postfix(place / "null-client", relay.smtp_port) as environment:
        for number in range(10):
            subprocess.run(
                [sbin("sendmail") or "", "-i", "-f", "ann@example.com", "bob@example.net"],
                input=MAIL.format(name=f"postfix {number}").encode(),
                env=environment,
                timeout=60,
                check=True,
            )
        wait_until(lambda: len(qboxmail.messages()) >= 10, seconds=60, what="ten mails from Postfix")
    messages = [entry["message"] for entry in qboxmail.messages()]
    assert sorted(message["subject"] for message in messages) == [f"from postfix {number}" for number in range(10)]
    assert {message["text_body"].replace("\r\n", "\n") for message in messages} == {"hello\n.a line with a dot\n"}


@as_root
@pytest.mark.skipif(sbin("postfix") is None, reason="postfix is not installed")
def test_postfix_with_tls_and_a_login(start_relay: StartRelay, qboxmail: Sandbox, place: Path) -> None:
    """With the README's own lines: the certificate is verified, and Postfix logs in."""
    hashed = cheap_hash("hunter2")
    relay = start_relay(
        listener='tls = "starttls"\nauth = "required"',
        extra=f'[tls]\ncertificate_file = "{PEM}"\n[[users]]\nname = "postfix"\npassword_hash = "{hashed}"\n',
    )
    folder = place / "login-client"
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    lines = readme[readme.index("relayhost = [relay.example.com]:587") :].partition("```")[0]
    for old, new in {
        "[relay.example.com]:587": "[localhost]:%s",
        "/etc/ssl/certs/ca-certificates.crt": str(PEM),
        "hash:/etc/postfix/relay-password": "static:postfix:hunter2",
    }.items():
        assert old in lines
        lines = lines.replace(old, new)
    try:
        with postfix(folder, relay.smtp_port, client=f"{lines}smtp_host_lookup = native") as environment:
            command = [sbin("sendmail") or "", "-i", "-f", "ann@example.com", "bob@example.net"]
            subprocess.run(command, input=MAIL.format(name="a login").encode(), env=environment, timeout=60, check=True)
            wait_until(qboxmail.messages, seconds=60, what="the mail from Postfix")
    finally:
        for log in (folder / "postfix.log", relay.log):
            print(log.read_text() if log.exists() else f"no {log}")
    (accepted,) = relay.wait_for("mail.accepted")
    assert accepted["user"] == "postfix"


@as_root
def test_exim_with_chunking(start_relay: StartRelay, qboxmail: Sandbox, place: Path) -> None:
    """Exim sends MAIL, RCPT and BDAT in one go."""
    exim = os.environ.get("TESTS_EXIM") or sbin("exim4")
    if exim is None:
        pytest.skip("exim4 is not installed, and TESTS_EXIM does not name the program")
    relay = start_relay()
    spool = place / "exim"
    spool.mkdir()
    shutil.chown(spool, "nobody", "nogroup")
    config = spool / "exim.conf"  # read by a user who may not enter the test's own folder
    config.write_text(
        f"""
exim_path = {exim}
primary_hostname = exim.example
exim_user = nobody
exim_group = nogroup
spool_directory = {spool}
log_file_path = {spool}/%slog
keep_environment =
never_users =
trusted_users = root
tls_advertise_hosts =
disable_ipv6 = true
begin routers
relay:
  driver = manualroute
  transport = relay
  route_list = * {HOST}
  self = send
begin transports
relay:
  driver = smtp
  port = {relay.smtp_port}
  hosts_try_chunking = *
  hosts_avoid_tls = *
"""
    )
    done = subprocess.run(
        [exim, "-C", str(config), "-odf", "-v", "-i", "-f", "ann@example.com", "bob@example.net"],
        input=MAIL.format(name="exim").encode(),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert b"BDAT" in done.stderr, done.stderr.decode()
    (entry,) = wait_until(qboxmail.messages, what="the mail from Exim")
    assert entry["message"]["subject"] == "from exim"
    assert entry["message"]["text_body"].replace("\r\n", "\n") == "hello\n.a line with a dot\n"
