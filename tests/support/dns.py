"""A real DNS server on loopback: Knot DNS with zones that a test writes, and something in front of it that counts and is slow on demand.

In: zones as text. Out: ports to ask. Never: anything of the relay's own code; a question that leaves the machine.
"""

import asyncio
import shutil
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import dns.dnssec
import dns.exception
import dns.message
import dns.query
import dns.rdatatype
import pytest

from tests.support import processes

HOST = "127.0.0.1"
_HEAD = "$TTL {ttl}\n@ SOA ns.example. hostmaster.example. 1 3600 600 86400 {ttl}\n@ NS ns.example.\n"
_PATIENCE_SECONDS = 60.0


def program(name: str) -> str:
    """Its path; the test is skipped where it is missing."""
    found = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def free_port() -> int:
    """Free for UDP and TCP at this moment."""
    while True:
        port = processes.free_port()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, suppress(OSError):
            udp.bind((HOST, port))
            return port


@contextmanager
def knot(folder: Path, zones: Mapping[str, str], *, ttl: int = 300, signed: tuple[str, ...] = ()) -> Iterator[int]:
    """Serve the zones; yields the port. A zone whose text is empty has no file: the server is lame for it and says SERVFAIL."""
    folder.mkdir(parents=True, exist_ok=True)
    port, knotd = free_port(), program("knotd")
    for name, text in zones.items():
        if text:
            (folder / f"{name}.zone").write_text(_HEAD.format(ttl=ttl) + text)
    entries = "".join(
        f'  - domain: {name}\n    file: "{folder / name}.zone"\n    zonefile-sync: -1\n    journal-content: none\n'
        f"    dnssec-signing: {'on' if name in signed else 'off'}\n"
        for name in zones
    )
    config = folder / "knot.conf"
    config.write_text(
        f'server:\n  rundir: "{folder}"\n  listen: {HOST}@{port}\n  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n'
        f'database:\n  storage: "{folder}"\nlog:\n  - target: stderr\n    any: warning\nzone:\n{entries}'
    )
    with (folder / "knot.log").open("wb") as log:
        process = subprocess.Popen([knotd, "-c", str(config)], stdout=log, stderr=log)
    try:
        for name, text in zones.items():
            if text:
                _wait_for(port, name, process, folder / "knot.log", signed=name in signed)
        yield port
    finally:
        process.terminate()
        process.wait(_PATIENCE_SECONDS)


def _wait_for(port: int, zone: str, process: "subprocess.Popen[bytes]", log: Path, *, signed: bool) -> None:
    """Until the server knows the zone, and where it signs it, its keys."""
    wanted = dns.rdatatype.DNSKEY if signed else dns.rdatatype.SOA
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        with suppress(dns.exception.DNSException, OSError):
            answer = dns.query.tcp(dns.message.make_query(zone, wanted), HOST, port=port, timeout=1)
            if any(rrset.rdtype == wanted for rrset in answer.answer):
                return
        time.sleep(0.05)
    raise AssertionError(f"{zone} is not served: {log.read_text()}")


class Front:
    """Stands in front of a server while the `async with` lasts. `asked` counts questions as (name, type); those for names in `silent`
    get no answer, those in `slow` a late one, until they are taken out.
    """

    def __init__(self, behind: int) -> None:
        self._behind = behind
        self.asked: Counter[tuple[str, str]] = Counter()
        self.by_tcp: Counter[tuple[str, str]] = Counter()
        self.silent: set[str] = set()
        self.slow: dict[str, float] = {}
        self.port = free_port()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._udp, _ = await loop.create_datagram_endpoint(lambda: _Udp(self), local_addr=(HOST, self.port))
        self._tcp = await asyncio.start_server(self._serve_tcp, HOST, self.port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._udp.close()
        self._tcp.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def answered(self) -> None:
        """Return when the next question has been answered, or will not be."""
        await asyncio.wait(self._tasks or {asyncio.create_task(asyncio.sleep(0.01))}, return_when="FIRST_COMPLETED")

    def datagram(self, question: bytes, client: tuple[str, int]) -> None:
        async def answer() -> None:
            if await self._passes(question, self.asked):
                reply = await asyncio.to_thread(_over_udp, question, self._behind)
                self._udp.sendto(reply, client)

        task = asyncio.create_task(answer())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            question = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
            if await self._passes(question, self.by_tcp):
                reply = await asyncio.to_thread(_over_tcp, question, self._behind)
                writer.write(len(reply).to_bytes(2, "big") + reply)
                await writer.drain()
        writer.close()

    async def _passes(self, question: bytes, counted: "Counter[tuple[str, str]]") -> bool:
        (asked,) = dns.message.from_wire(question).question
        name = asked.name.to_text(omit_final_dot=True)
        counted[name, dns.rdatatype.to_text(asked.rdtype)] += 1
        await asyncio.sleep(max((seconds for end, seconds in self.slow.items() if name.endswith(end)), default=0))
        return not any(name.endswith(end) for end in self.silent)


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, front: Front) -> None:
        self._front = front

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._front.datagram(data, addr)


def _over_udp(question: bytes, port: int) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as behind:
        behind.settimeout(_PATIENCE_SECONDS)
        behind.connect((HOST, port))
        behind.send(question)
        return behind.recv(65535)


def _over_tcp(question: bytes, port: int) -> bytes:
    with socket.create_connection((HOST, port), timeout=_PATIENCE_SECONDS) as behind, behind.makefile("rb") as stream:
        behind.sendall(len(question).to_bytes(2, "big") + question)
        return stream.read(int.from_bytes(stream.read(2), "big"))


@contextmanager
def unbound(folder: Path, behind: int, zones: tuple[str, ...], anchors: Mapping[str, str]) -> Iterator[int]:
    """A validating resolver that knows the zones of the server behind; `anchors` are DS records by zone. Yields its port."""
    folder.mkdir(parents=True, exist_ok=True)
    port, path = free_port(), program("unbound")
    trusted = "".join(f'  trust-anchor: "{zone}. DS {record}"\n' for zone, record in anchors.items())
    stubs = "".join(f"stub-zone:\n  name: {zone}\n  stub-addr: {HOST}@{behind}\n" for zone in zones)
    config = folder / "unbound.conf"
    config.write_text(
        f'server:\n  interface: {HOST}\n  port: {port}\n  do-daemonize: no\n  chroot: ""\n  username: ""\n  use-syslog: no\n'
        f'  directory: "{folder}"\n  pidfile: ""\n  num-threads: 1\n  do-not-query-localhost: no\n  logfile: ""\n'
        f'  module-config: "validator iterator"\n  local-zone: "example." nodefault\n{trusted}'
        f"remote-control:\n  control-enable: no\n{stubs}"
    )
    with (folder / "unbound.log").open("wb") as log:
        process = subprocess.Popen([path, "-d", "-c", str(config)], stdout=log, stderr=log)
    try:
        _wait_for(port, zones[0], process, folder / "unbound.log", signed=False)
        yield port
    finally:
        process.terminate()
        process.wait(_PATIENCE_SECONDS)


def key_digest(port: int, zone: str) -> str:
    """The DS record of a signed zone's key, as text: what a parent would publish."""
    answer = dns.query.tcp(dns.message.make_query(zone, "DNSKEY"), HOST, port=port, timeout=5)
    keys = [rdata for rrset in answer.answer if rrset.rdtype == dns.rdatatype.DNSKEY for rdata in rrset]
    (signing,) = [key for key in keys if key.flags & 1]
    return dns.dnssec.make_ds(f"{zone}.", signing, "SHA256").to_text()
