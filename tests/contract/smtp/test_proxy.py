"""PROXY protocol: who the client is, from proxies that are trusted, in both versions, also before TLS."""

import asyncio
import contextlib
import ipaddress
import smtplib
import socket
import ssl
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qboxrelay.smtp.proxy import ProxyError, read_proxy_header
from qboxrelay.smtp.tls import Certificate
from tests.contract.smtp.harness import HOST, LOOPS, PEM, Running, door
from tests.support.processes import wait_until

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
V4 = SIGNATURE + struct.pack("!BBH4s4sHH", 0x21, 0x11, 12, bytes([192, 0, 2, 7]), bytes([192, 0, 2, 1]), 4711, 25)
V6 = SIGNATURE + struct.pack(
    "!BBH16s16sHH", 0x21, 0x21, 41, ipaddress.ip_address("2001:db8::7").packed, bytes(16), 4711, 25
) + b"\x04\x00\x02ab"  # fmt: skip
LOCAL = SIGNATURE + struct.pack("!BBH", 0x20, 0, 0)
UNSPEC = SIGNATURE + struct.pack("!BBH", 0x21, 0, 3) + b"abc"
each_loop = pytest.mark.parametrize("loop", LOOPS)
PROXIED: dict[str, Any] = {"proxy_protocol": True, "trusted_proxies": ["127.0.0.0/8"]}


class Proxied(smtplib.SMTP):
    """smtplib behind a proxy: the header goes out before anything else."""

    def __init__(self, port: int, header: bytes, tls: ssl.SSLContext | None = None) -> None:
        self._header, self._tls = header, tls
        super().__init__(HOST, port, timeout=60)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        connection = socket.create_connection((host, port), timeout)
        connection.sendall(self._header)
        return self._tls.wrap_socket(connection, server_hostname=HOST) if self._tls else connection


@each_loop
@pytest.mark.parametrize(
    ("header", "client"),
    [
        (b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 25\r\n", ("192.0.2.7", 4711)),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 25\r\n", ("2001:db8::7", 4711)),
        (V4, ("192.0.2.7", 4711)),
        (V6, ("2001:db8::7", 4711)),
    ],
)
@pytest.mark.parametrize("tls", ["none", "implicit"])
def test_client_behind_a_proxy(loop: str, header: bytes, client: tuple[str, int], tls: str) -> None:
    """The mail is that of the client that the proxy names; TLS begins right behind the header."""
    context = ssl.create_default_context(cafile=str(PEM)) if tls == "implicit" else None
    with door(loop=loop, tls=tls, certificate=Certificate(PEM, None), **PROXIED) as running:
        with Proxied(running.port, header, context) as smtp:
            smtp.sendmail("ann@example.com", ["bob@example.net"], b"Subject: x\r\n\r\nhello\r\n")
        (envelope, _), *_ = running.got
    assert (envelope.client.address, envelope.client.port) == client


@pytest.mark.parametrize("header", [b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN ff::1 ff::2 1 2\r\n", LOCAL, UNSPEC])
def test_proxy_that_speaks_for_itself(header: bytes) -> None:
    """A health check is the proxy's own connection."""
    with door(**PROXIED) as running, Proxied(running.port, header) as smtp:
        smtp.sendmail("ann@example.com", ["bob@example.net"], b"Subject: x\r\n\r\nhello\r\n")
        (envelope, _), *_ = running.got
    assert envelope.client.address == HOST


def test_allow_list_is_about_the_client() -> None:
    """Not about the proxy."""
    with (
        door(**PROXIED, allow_networks=["127.0.0.0/8"]) as running,
        Proxied(running.port, b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 25\r\n") as smtp,
    ):
        smtp.ehlo()
        assert smtp.mail("ann@example.com")[0] == 554


BROKEN = [
    b"EHLO client.example\r\nMAIL FROM:<a@example.com>\r\n",
    b"PROXY TCP4 192.0.2.7 192.0.2.1 4711\r\nEHLO",
    b"PROXY TCP4 not-an-address 192.0.2.1 4711 25\r\n",
    b"PROXY TCP4 2001:db8::7 192.0.2.1 4711 25\r\n",
    b"PROXY TCP4 192.0.2.7 192.0.2.1 70000 25\r\n",
    b"PROXY TCP4 192.0.2.7 192.0.2.1 -1 25\r\n",
    b"PROXY " + b"x" * 200,
    SIGNATURE + struct.pack("!BBH", 0x22, 0x11, 12) + b"x" * 12,
    SIGNATURE + struct.pack("!BBH", 0x11, 0x11, 12) + b"x" * 12,
    SIGNATURE + struct.pack("!BBH", 0x21, 0x11, 4) + b"x" * 4,
    SIGNATURE + struct.pack("!BBH", 0x21, 0x11, 65535) + b"x" * 5000,
]


@contextmanager
def connected(running: Running) -> Iterator[socket.socket]:
    with socket.create_connection((HOST, running.port), timeout=60) as raw:
        yield raw


@pytest.mark.parametrize("header", BROKEN)
def test_broken_header(header: bytes) -> None:
    """Closed without a word, counted; nothing behind it is read as commands."""
    with door(**PROXIED) as running:
        with connected(running) as raw:
            raw.sendall(header)
            assert _all(raw) == b""
        wait_until(lambda: running.metric("qboxrelay_smtp_proxy_failures_total", listener="smtp") == 1)
        assert not running.got


def test_header_from_a_stranger() -> None:
    """Whoever is not a trusted proxy cannot say who he is."""
    with door(proxy_protocol=True, trusted_proxies=["192.0.2.1"]) as running:
        with connected(running) as raw:
            raw.sendall(V4)
            assert _all(raw) == b""
        wait_until(lambda: running.metric("qboxrelay_smtp_proxy_failures_total", listener="smtp") == 1)


def test_header_where_none_is_expected() -> None:
    """Without proxy_protocol it is no command, and changes nothing."""
    with door() as running, Proxied(running.port, b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 25\r\n") as smtp:
        assert smtp.getreply()[0] == 500
        smtp.ehlo()
        smtp.mail("ann@example.com")
        smtp.rcpt("bob@example.net")
        smtp.data(b"x\r\n")
        (envelope, _), *_ = running.got
    assert envelope.client.address == HOST


def _all(raw: socket.socket) -> bytes:
    received = b""
    try:
        while chunk := raw.recv(1000):
            received += chunk
    except ConnectionError:
        pass
    return received


@given(
    st.binary(max_size=300)
    | st.binary(max_size=60).map(SIGNATURE.__add__)
    | st.binary(max_size=60).map(b"PROXY ".__add__)
)
def test_any_bytes(data: bytes) -> None:
    """A client, none, or a refusal; never another exception, never a byte too many."""
    position = 0

    async def exactly(count: int) -> bytes:
        nonlocal position
        part = data[position : position + count]
        position += count
        if len(part) < count:
            raise EOFError
        return part

    with contextlib.suppress(ProxyError, EOFError):
        found = asyncio.run(read_proxy_header(exactly))
        assert found is None or str(ipaddress.ip_address(found[0])) == found[0]
