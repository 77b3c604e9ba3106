"""`qboxrelay demo`: relay, spool and emulated Qboxmail in one process, without configuration.

In: ports and perhaps a directory. Out: what is where, a line to send a first mail, each mail's way. Never: a byte that leaves
this machine.
"""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from qboxrelay.cli.daemon import OnSignal, fail, in_words, run_until_signal

if TYPE_CHECKING:
    from qboxrelay.sandbox.server import SandboxServer
    from qboxrelay.service import Relay

HOST = "127.0.0.1"


def demo(
    smtp_port: int = typer.Option(2525, min=0, max=65535, help="Where applications hand in mail."),
    http_port: int = typer.Option(8025, min=0, max=65535, help="Metrics and health of the relay."),
    sandbox_port: int = typer.Option(
        8026, min=0, max=65535, help="The emulated Qboxmail: Send API, Management API, inbox page."
    ),
    data_dir: Path | None = typer.Option(
        None, help="Directory of the spool, kept and used again; without it a temporary one, removed at the end."
    ),
) -> None:
    """Run the relay together with an emulated Qboxmail, to see it work. No configuration, nothing leaves this machine."""
    if data_dir is not None:
        raise typer.Exit(_demo(smtp_port, http_port, sandbox_port, data_dir.absolute()))
    temporary = Path(tempfile.mkdtemp(prefix="qboxrelay-demo-"))
    try:
        raise typer.Exit(_demo(smtp_port, http_port, sandbox_port, temporary))
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _demo(smtp_port: int, http_port: int, sandbox_port: int, data_dir: Path) -> int:
    from qboxrelay.sandbox.app import SandboxConfig
    from qboxrelay.sandbox.server import SandboxServer
    from qboxrelay.settings.schema import LogSettings
    from qboxrelay.spool.port import SpoolError
    from qboxrelay.telemetry.logs import configure

    configure(LogSettings(format="console", subjects="full"), sys.stdout)

    ports = {"--smtp-port": smtp_port, "--http-port": http_port, "--sandbox-port": sandbox_port}
    taken = _given_twice(ports) or _first_taken(ports)
    if taken is not None:
        return fail(taken)

    async def main(on_signal: OnSignal) -> int:
        sandbox = SandboxServer(SandboxConfig(host=HOST, port=sandbox_port))
        await sandbox.start()
        relay = _relay(smtp_port, http_port, data_dir, sandbox)
        on_signal(relay.stop)
        try:
            await relay.start()
            await relay.run(lambda: print(_welcome(relay, sandbox, data_dir), flush=True))
        except (SpoolError, OSError) as error:
            return fail(in_words(error))
        finally:
            await sandbox.stop()
        return 0

    return run_until_signal(main)


def _given_twice(ports: dict[str, int]) -> str | None:
    """One sentence about the first port that two options name; 0 is any port that is free."""
    options: dict[int, str] = {}
    for option, port in ports.items():
        if port and port in options:
            return f"{options[port]} and {option} both name port {port}; choose another port with {option}"
        options[port] = option
    return None


def _first_taken(ports: dict[str, int]) -> str | None:
    """One sentence about the first port that cannot be used, with the option that changes it."""
    import socket

    for option, port in ports.items():
        try:
            socket.create_server((HOST, port)).close()
        except OSError as error:
            return f"cannot listen on {HOST}:{port}: {in_words(error)}; choose another port with {option}"
    return None


def _relay(smtp_port: int, http_port: int, data_dir: Path, sandbox: "SandboxServer") -> "Relay":
    from qboxrelay.model.clock import SystemClock
    from qboxrelay.qboxmail.token import FixedToken
    from qboxrelay.service import Relay
    from qboxrelay.settings.schema import (
        AccountSettings,
        ListenerSettings,
        RelaySettings,
        SenderDomainSettings,
        Settings,
        StatusSettings,
    )
    from qboxrelay.settings.types import Secret, SocketAddress, parse_duration

    settings = Settings(
        relay=RelaySettings(name="localhost", data_dir=data_dir),
        listeners=(ListenerSettings(address=SocketAddress(HOST, smtp_port)),),
        accounts=(AccountSettings(name="demo", base_url=f"{sandbox.base_url}/v1", delivery_account="sandbox"),),
        sender_domains=SenderDomainSettings(base_url=sandbox.base_url, refresh=parse_duration("5s")),
        status=StatusSettings(address=SocketAddress(HOST, http_port), token_file=_page_token(data_dir)),
    )
    return Relay(
        settings=settings,
        tokens={"demo": FixedToken(Secret(sandbox.send_token))},
        management_token=FixedToken(Secret(sandbox.management_token)),
        clock=SystemClock(),
    )


def _page_token(data_dir: Path) -> Path:
    """A token for the status page, made once. Where that is not possible, the spool will say why."""
    import secrets
    from contextlib import suppress

    file = data_dir / "status-token"
    with suppress(OSError):
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not file.exists():
            file.touch(mode=0o600)
            file.write_text(secrets.token_urlsafe(24))
    return file


def _welcome(relay: "Relay", sandbox: "SandboxServer", data_dir: Path) -> str:
    smtp = relay.listeners[0].port
    http = relay.http.port if relay.http else 0
    mail = r"From: Ann <ann@example.com>\nTo: Bob <bob@example.net>\nSubject: Hello\n\nIt works."
    first = f"python3 -c \"import smtplib; smtplib.SMTP('{HOST}', {smtp}).sendmail('ann@example.com', 'bob@example.net', '{mail}')\""
    return f"""
  SMTP        {HOST}:{smtp}   point an application here, no login
  Inbox       {sandbox.base_url}/   what arrived at the emulated Qboxmail
  Messages    {sandbox.base_url}/sandbox/messages   the same as JSON
  Status      http://{HOST}:{http}/   the relay's page; to act there, log in with {(data_dir / "status-token").read_text()}
  Metrics     http://{HOST}:{http}/metrics   and /healthz, /readyz
  Spool       {data_dir}

Send a first mail from another terminal:

  {first}

Mail from example.com and example.org is accepted. To see a refusal, write one of these in its From instead: not-verified.example,
need-approval.example, disabled.example, blocked.example, unassigned.example, news.example (another account's), unknown.example.

Each mail's way follows. Ctrl-C stops.
"""
