"""`qboxrelay sendmail` as programs call it: as a command, as a link named sendmail, from PHP and by cron's way."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import HOST, Relay, Sandbox, free_port, wait_until

PROGRAM = Path(sys.executable).parent / "qboxrelay"
StartRelay = Callable[..., Relay]
MAIL = b"From: Ann <ann@example.com>\nTo: bob@example.net\nSubject: piped\n\nhello\n"


@pytest.fixture
def relay(start_relay: StartRelay) -> Relay:
    return start_relay()


@pytest.fixture
def sendmail(tmp_path: Path) -> Path:
    """The link that stands in /usr/sbin."""
    link = tmp_path / "sendmail"
    link.symlink_to(PROGRAM)
    return link


def pipe(
    relay: Relay | None, *words: str, mail: bytes = MAIL, program: Path | None = None, **environ: str
) -> subprocess.CompletedProcess[bytes]:
    command = [str(program)] if program else [str(PROGRAM), "sendmail"]
    if relay is not None:
        environ["QBOXRELAY_SENDMAIL_SERVER"] = f"{HOST}:{relay.smtp_port}"
    return subprocess.run(
        [*command, *words], input=mail, capture_output=True, timeout=120, check=False, env={**os.environ, **environ}
    )


def sent(qboxmail: Sandbox, count: int = 1) -> list[dict[str, Any]]:
    wait_until(lambda: len(qboxmail.messages()) >= count, what="the mail is sent")
    return [entry["message"] for entry in qboxmail.messages()]


def test_recipients_of_the_header(relay: Relay, qboxmail: Sandbox, sendmail: Path) -> None:
    """`sendmail -t -i`: To, Cc and Bcc get it, nobody sees Bcc, a dot line is text, and nothing is printed."""
    mail = (
        b"To: Bob <bob@example.net>,\n carl@example.net\nCc: team: dora@example.net, eve@example.net;\nBcc: hidden@example.net\n"
        b"From: Ann <ann@example.com>\nSubject: from the header\n\none\n.\ntwo\n"
    )
    done = pipe(relay, "-t", "-i", mail=mail, program=sendmail)

    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    (message,) = sent(qboxmail)
    assert "hidden@example.net" in str(message["bcc"])
    assert "hidden" not in str(message.get("headers"))
    shown = f"{message['to']}{message['cc']}"
    assert all(f"{name}@example.net" in shown for name in ("bob", "carl", "dora", "eve"))
    assert message["text_body"].split() == ["one", ".", "two"]


@pytest.mark.parametrize(
    "words",
    [
        ["-f", "bounce@example.com", "-i"],
        ["-fbounce@example.com", "-oi", "-oem", "-odb"],
        ["-r", "bounce@example.com", "-ti"],
        ["-bm", "-B8BITMIME", "-f<bounce@example.com>", "-i", "-O", "DeliveryMode=b", "-v", "--"],
    ],
)
def test_envelope_sender_in_every_form(words: list[str], relay: Relay, qboxmail: Sandbox) -> None:
    """-f and -r, apart or in one word, among options that change nothing."""
    done = pipe(relay, *words, "bob@example.net")

    assert done.returncode == 0, done.stderr
    assert len(sent(qboxmail)) == 1
    assert relay.events("mail.accepted")[0]["sender"] == "bounce@example.com"
    assert done.stdout.startswith(b"250 2.0.0 Ok: queued as" if "-v" in words else b"")


def test_what_is_missing_is_added(relay: Relay, qboxmail: Sandbox) -> None:
    """A body without a header becomes a mail: From of -f and -F, a date, an id; a dot ends it, and what follows is not sent."""
    done = pipe(relay, "-f", "ann@example.com", "-F", "Ann the Ünique", "bob@example.net", mail=b"only text\n.\nmore\n")

    assert done.returncode == 0, done.stderr
    (message,) = sent(qboxmail)
    assert "Ann the Ünique" in str(message["from"])
    assert message["text_body"].strip() == "only text"
    assert "Message-ID" in message["headers"]


def test_lines_do_not_become_commands_or_fields(relay: Relay, qboxmail: Sandbox) -> None:
    """What a form on a web page may bring into -f, -F, -N or To: no second recipient, no further field, a clear error."""
    address = "ann@example.com>\r\nRCPT TO:<evil@example.net"
    assert pipe(relay, "-f", address, "bob@example.net").returncode == os.EX_DATAERR
    assert pipe(relay, "-f", "ann@example.com", address).returncode == os.EX_DATAERR
    assert pipe(relay, "-N", "never\r\nDATA", "bob@example.net").returncode == os.EX_USAGE
    raw = pipe(relay, "-t", mail=b"To: b\xff@example.net\n\nhello\n")
    assert (raw.returncode, b"internal" in raw.stderr) == (os.EX_DATAERR, False)

    done = pipe(relay, "-f", "ann@example.com", "-F", "Ann\r\nX-Evil: 1", "bob@example.net", mail=b"\nhello\n")
    assert done.returncode == 0, done.stderr
    (message,) = sent(qboxmail)
    assert "Ann X-Evil: 1" in str(message["from"])
    assert "X-Evil" not in message["headers"]


def test_server_of_the_configuration(relay: Relay, qboxmail: Sandbox) -> None:
    """Without another word, --config tells where the relay takes mail."""
    done = pipe(None, "--config", str(relay.config), "bob@example.net")

    assert done.returncode == 0, done.stderr
    assert sent(qboxmail)[0]["subject"] == "piped"


@pytest.mark.parametrize(
    ("words", "mail", "status", "said"),
    [
        ([], MAIL, os.EX_USAGE, b"no recipients"),
        (["-t"], b"Subject: x\n\n", os.EX_USAGE, b"no recipients in To, Cc or Bcc"),
        (["-Z", "a@example.net"], MAIL, os.EX_USAGE, b"unknown option -Z"),
        (["-bs"], MAIL, os.EX_USAGE, b"not supported"),
        (["-bp"], MAIL, os.EX_USAGE, b"qboxrelay queue list"),
        (["-f"], MAIL, os.EX_USAGE, b"-f needs a value"),
        (["--server", "nonsense", "a@example.net"], MAIL, os.EX_CONFIG, b"HOST:PORT"),
        (["--config", "/nowhere.toml", "a@example.net"], MAIL, os.EX_OSFILE, b""),
        (["not an address@@", "a@example.net"], MAIL, os.EX_NOUSER, b"the recipient not an address@@ was refused"),
    ],
)
def test_status_says_what_is_wrong(
    words: list[str], mail: bytes, status: int, said: bytes, relay: Relay, qboxmail: Sandbox
) -> None:
    """Programs decide by the exit status whether to try again; nothing is sent."""
    own = "--server" in words or "--config" in words
    done = pipe(None if own else relay, *words, mail=mail)

    assert done.returncode == (os.EX_CONFIG if status == os.EX_OSFILE else status), done.stderr
    assert said in done.stderr
    assert b"Traceback" not in done.stderr
    assert qboxmail.messages() == []


def test_relay_that_is_away_or_refuses(start_relay: StartRelay) -> None:
    """No relay: try again (75). A rule that refuses the mail: do not (69)."""
    away = pipe(None, "bob@example.net", QBOXRELAY_SENDMAIL_SERVER=f"{HOST}:{free_port()}")
    relay = start_relay(extra='[[senders]]\nname = "none"\naction = "refuse"\n')
    refused = pipe(relay, "bob@example.net")

    assert (away.returncode, refused.returncode) == (os.EX_TEMPFAIL, os.EX_UNAVAILABLE)
    assert b"cannot be reached" in away.stderr
    assert b"550 5.7.1" in refused.stderr


@pytest.mark.skipif(shutil.which("php") is None, reason="needs php (php-cli)")
def test_mail_of_php(relay: Relay, qboxmail: Sandbox, sendmail: Path) -> None:
    """PHP's mail() with its own default command line; its return value is true only when the relay has the mail."""
    code = (
        'exit(mail("bob@example.net", "from PHP", "hello", "From: ann@example.com\\r\\nBcc: eve@example.net") ? 0 : 1);'
    )
    command = ["php", "-d", f"sendmail_path={sendmail} -t -i", "-r", code]
    environ = {**os.environ, "QBOXRELAY_SENDMAIL_SERVER": f"{HOST}:{relay.smtp_port}"}
    assert subprocess.run(command, env=environ, timeout=120, check=False).returncode == 0
    (message,) = sent(qboxmail)
    assert (message["subject"], message["text_body"].strip()) == ("from PHP", "hello")

    environ["QBOXRELAY_SENDMAIL_SERVER"] = f"{HOST}:{free_port()}"
    assert subprocess.run(command, env=environ, timeout=120, capture_output=True, check=False).returncode == 1


def test_mail_of_cron(relay: Relay, qboxmail: Sandbox, sendmail: Path) -> None:
    """As cron calls it (`-FCronDaemon -i -B8BITMIME -oem root`), with a user's name in From and To."""
    mail = b"From: root (Cron Daemon)\nTo: root\nSubject: Cron <root@web> job\nAuto-Submitted: auto-generated\n\ndone \xc3\xbc\n"
    relay.config.write_text(
        relay.config.read_text()
        + '[[senders]]\nname = "root"\nenvelope_from = ["*"]\nfrom_address = "noreply@example.com"\n'
    )
    reload = subprocess.run([str(PROGRAM), "reload", "--config", str(relay.config)], timeout=120, check=True)
    done = pipe(relay, "-FCronDaemon", "-i", "-B8BITMIME", "-oem", "root@example.net", mail=mail, program=sendmail)

    assert reload.returncode == 0
    assert done.returncode == 0, done.stderr
    assert sent(qboxmail)[0]["text_body"].strip() == "done ü"


def test_it_imports_little() -> None:
    """It may be called for every mail: nothing of the daemon is loaded."""
    code = (
        "import sys; from qboxrelay.cli import sendmail, sendmail_message, sendmail_submit;"
        "print([name for name in ('asyncio', 'pydantic', 'typer', 'structlog', 'httpx') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert run.stdout.strip() == "[]"
