"""The server: where it listens, how it ends."""

import asyncio
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from qboxrelay.sandbox.config import SandboxConfig
from qboxrelay.sandbox.server import SandboxServer
from tests.contract.sandbox.harness import SEND_TOKEN, Client, message, serving


def test_a_taken_port_is_an_error_before_anything_starts() -> None:
    """OSError from `start`; `stop` after it does nothing."""

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            server = SandboxServer(SandboxConfig(port=taken.getsockname()[1]))
            with pytest.raises(OSError, match="in use"):
                await server.start()
            await server.stop()

    asyncio.run(main())


def test_the_caller_keeps_its_signal_handlers() -> None:
    """The daemon decides what SIGTERM means."""

    async def main() -> None:
        before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
        server = SandboxServer(SandboxConfig(port=0))
        await server.start()
        async with httpx.AsyncClient(base_url=server.base_url, trust_env=False) as http:
            assert (await http.get("/")).status_code == 200
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
        await server.stop()

    asyncio.run(main())


def test_stopping_ends_what_hangs_on_purpose(caplog: pytest.LogCaptureFixture) -> None:
    """A hanging request is cut, and nothing is left running."""

    async def main() -> None:
        server = SandboxServer(SandboxConfig(port=0))
        await server.start()
        async with httpx.AsyncClient(base_url=server.base_url, trust_env=False, timeout=60) as http:
            await http.post("/sandbox/faults", json={"action": "hang"})
            headers = {"Authorization": f"Bearer {server.send_token}"}
            hanging = asyncio.create_task(http.post("/v1/send", json={"messages": [message()]}, headers=headers))
            while not (await http.get("/sandbox/requests")).json():
                pass
            await server.stop()
            with pytest.raises(httpx.TransportError):
                await hanging

    asyncio.run(main())
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_starting_over_forgets_everything(running: Client) -> None:
    """DELETE /sandbox: as at the start."""
    running.send(message())
    running.fault(action="status")
    running.switch(bcc_only=True)
    running.http.put("/sandbox/domains/new.example", json={})

    assert running.http.delete("/sandbox").status_code == 204
    assert (running.messages(), running.requests()) == ([], [])
    assert running.http.get("/sandbox/faults").json()["rules"] == []
    assert running.http.get("/sandbox/switches").json()["assumed"]["bcc_only"] is False
    assert len(running.http.get("/sandbox/domains").json()) == 9


def test_addresses_and_latency() -> None:
    """IPv6 as well; every answer of the Send API waits as configured."""
    with serving(host="::1", latency_seconds=0.01) as qboxmail:
        assert str(qboxmail.http.base_url).startswith("http://[::1]:")
        assert qboxmail.send(message()).status_code == 202


def test_run_ends_on_a_signal() -> None:
    """`run` serves until SIGTERM, then exits with 0."""
    code = "from qboxrelay.sandbox.config import SandboxConfig; from qboxrelay.sandbox.server import run; run(SandboxConfig(port={}))"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-c", code.format(port)])
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
        headers = {"Authorization": f"Bearer {SEND_TOKEN}"}
        while True:
            try:
                answer = http.post("/v1/send", json={"messages": [message()]}, headers=headers)
                break
            except httpx.ConnectError:
                assert process.poll() is None
    process.send_signal(signal.SIGTERM)

    assert answer.status_code == 202
    assert process.wait(20) == 0


def test_https_and_client_certificates() -> None:
    """With a certificate it speaks TLS, also while a connection is broken on purpose; with a client CA it asks who calls."""
    pem = Path(__file__).with_name("localhost.pem")
    with serving(certificate=pem, client_ca=pem) as qboxmail:
        trusting = ssl.create_default_context(cafile=pem)
        with pytest.raises(httpx.TransportError):
            httpx.get(qboxmail.http.base_url, verify=trusting, trust_env=False)
        trusting.load_cert_chain(pem)
        with httpx.Client(base_url=qboxmail.http.base_url, verify=trusting, trust_env=False) as http:
            http.post("/sandbox/faults", json={"action": "half_status", "count": 1})
            with pytest.raises(httpx.TransportError):
                http.post("/v1/send", content=b"{}")
            answer = http.post(
                "/v1/send", json={"messages": [message()]}, headers={"Authorization": f"Bearer {SEND_TOKEN}"}
            )

    assert answer.status_code == 202
