"""The way to the API: certificates, versions of TLS, proxies, IPv6. Where it is not right nothing is sent, and nothing is lost."""

import asyncio
import contextlib
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.contract.dispatch.harness import (
    CERTIFICATE,
    TOKEN,
    account,
    dispatching,
    mails,
    opened,
    quick,
    scenario,
    states,
    until,
)
from tests.support.scripted_api import ScriptedApi

PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


def serving(certificate: Path = CERTIFICATE) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


async def refused(tmp_path: Path, tls: ssl.SSLContext, authority: Path) -> str:
    """Why the mail of an account that trusts this authority waits; the API has seen nothing of it."""
    async with ScriptedApi(tls=tls) as api, opened(tmp_path) as spool:
        used = account(api.base_url, ca_file=authority)
        async with dispatching(spool, used, settings=quick(unknown_outcome="hold")) as relay:
            await spool.put(mails("a"))
            await until(lambda: relay.happened("qboxrelay_attempts_total", 2, outcome="deferred"))
            record = (await relay.records())["a"]
            assert relay.metric("qboxrelay_attempts_total", outcome="unknown") == 0
    assert not api.requests
    assert record.reason == "connect"
    return (record.text or "").lower()


def test_certificate_for_another_name(tmp_path: Path) -> None:
    """A certificate of an authority that is trusted, for another host, is not spoken to."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=other.example"]
    command += ["-addext", "subjectAltName=DNS:other.example", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    both = tmp_path / "both.pem"
    both.write_text(key.read_text() + certificate.read_text())

    assert "certificate verify failed" in asyncio.run(refused(tmp_path, serving(both), certificate))


@scenario
async def test_tls_below_1_2(tmp_path: Path) -> None:
    """An API that offers no more than TLS 1.1 is not spoken to, and there is no fall-back."""
    old = serving()
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")

    assert await refused(tmp_path, old, CERTIFICATE)


@scenario
async def test_client_certificate_is_shown(tmp_path: Path) -> None:
    """An API that asks for a certificate takes mail from who shows one, and from nobody else."""
    asking = serving()
    asking.verify_mode = ssl.CERT_REQUIRED
    asking.load_verify_locations(CERTIFICATE)
    async with ScriptedApi(tls=asking) as api, opened(tmp_path) as spool:
        await spool.put(mails("a"))
        async with dispatching(spool, account(api.base_url)) as relay:
            # With TLS 1.3 the server refuses when the client has begun to speak: no better than no answer.
            await until(lambda: relay.happened("qboxrelay_attempts_total", 1, outcome="unknown"))
        assert not api.requests
        async with dispatching(spool, account(api.base_url, client_certificate_file=CERTIFICATE)) as relay:
            records = await relay.finished()
    assert states(records, ["a"]) == ["sent"]
    assert api.accepted == {"a": 1}


@scenario
async def test_ipv6(tmp_path: Path) -> None:
    """An address of IPv6 in the URL."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"IPv6 is not there: {error}")
    async with (
        ScriptedApi(host="::1") as api,
        opened(tmp_path) as spool,
        dispatching(spool, account(api.base_url)) as relay,
    ):
        await spool.put(mails("a"))
        await relay.finished()
    assert api.accepted == {"a": 1}


@asynccontextmanager
async def tunnel(seen: list[bytes]) -> AsyncIterator[int]:
    """A proxy that knows CONNECT alone; `seen` is what it could read of it all. Yields its port."""
    tasks: set[asyncio.Task[None]] = set()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                seen.append(data)
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        seen.append(head)
        host, _, port = head.split()[1].decode().rpartition(":")
        there = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        tasks.update({asyncio.create_task(copy(reader, there[1])), asyncio.create_task(copy(there[0], writer))})

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("how", ["setting", "environment", "NO_PROXY"])
def test_proxy(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy by setting, or by HTTPS_PROXY but for what NO_PROXY names; of mail and token it sees nothing."""
    for variable in PROXY_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.lower(), raising=False)
    seen: list[bytes] = []

    async def main() -> ScriptedApi:
        async with tunnel(seen) as port, ScriptedApi(tls=serving()) as api, opened(tmp_path) as spool:
            url = f"http://127.0.0.1:{port}"
            if how != "setting":
                monkeypatch.setenv("HTTPS_PROXY", url)
            if how == "NO_PROXY":
                monkeypatch.setenv("NO_PROXY", "127.0.0.1")
            used = account(api.base_url, proxy=url if how == "setting" else "")
            async with dispatching(spool, used) as relay:
                await spool.put(mails("a"))
                await relay.finished()
        return api

    api = asyncio.run(main())
    assert api.accepted == {"a": 1}
    if how == "NO_PROXY":
        assert seen == []
    else:
        assert seen[0].startswith(f"CONNECT 127.0.0.1:{api.port} ".encode())
        assert TOKEN.encode() not in b"".join(seen)


@scenario
async def test_proxy_that_asks_for_a_password(tmp_path: Path) -> None:
    """407 to a CONNECT: nothing was sent, so the mail waits and nobody calls it unknown."""
    async with ScriptedApi() as api, opened(tmp_path) as spool:

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as proxy:
            used = account("https://api.example/v1", proxy=f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}")
            async with dispatching(spool, used, settings=quick(unknown_outcome="hold")) as relay:
                await spool.put(mails("a"))
                await until(lambda: relay.happened("qboxrelay_attempts_total", 2, outcome="deferred"))
                record = (await relay.records())["a"]
    assert record.reason == "proxy"
    assert "407" in (record.text or "")
    assert not api.requests
