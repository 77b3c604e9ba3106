"""Until when a certificate is good, and for which names.

In: the doors' files, or a server's address. Out: rows. Never: a parser of our own: OpenSSL shows certificates after a handshake.
"""

import asyncio
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from qboxrelay.cli.doctor_row import Row, Verdict

_SOON_DAYS = 14


def certificate_row(file: Path, key: Path | None, name: str) -> Row:
    """The doors' own, by a handshake with itself in memory."""
    group, title, renew = (
        "This machine",
        "certificate of the doors",
        "renew it: the relay notices changed files by itself",
    )
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    # The first certificate of the file is to be trusted as it stands, whoever signed it.
    client.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    try:
        server.load_cert_chain(file, key, password="")
        client.load_verify_locations(file)
        facts = _handshake(server, client)
    except ssl.SSLCertVerificationError as error:
        return Row(group, title, Verdict.FAIL, f"{file}: {error.verify_message}", renew)
    except (OSError, ValueError) as error:
        return Row(
            group,
            title,
            Verdict.FAIL,
            f"{file} cannot be used: {error}",
            "name a PEM file with the certificate, and its key",
        )
    names = [value for kind, value in facts.get("subjectAltName", ()) if kind in {"DNS", "IP Address"}]
    row = validity_row(group, title, facts, renew, f"{file} for {', '.join(names) or 'no name'}")
    if row.verdict is Verdict.OK and name and not any(_covers(one, name) for one in names):
        advice = (
            f"clients that check names refuse it: get one for {name}, or set name in [relay] to what clients connect to"
        )
        return Row(group, title, Verdict.WARN, f"{row.found}; not for {name}", advice)
    return row


async def server_row(group: str, host: str, port: int, context: ssl.SSLContext) -> Row:
    """That of a server, checked as the relay would check it."""
    title = f"certificate of {host}"
    try:
        async with asyncio.timeout(15):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
    except ssl.SSLCertVerificationError as error:
        advice = (
            "is something between that opens TLS? Then name its authority in ca_file; or this machine's clock is wrong"
        )
        return Row(group, title, Verdict.FAIL, error.verify_message, advice)
    except (OSError, TimeoutError) as error:
        return Row(
            group,
            title,
            Verdict.FAIL,
            f"no TLS connection: {str(error) or type(error).__name__}",
            "look at firewall, proxy and base_url",
        )
    facts = writer.get_extra_info("peercert") or {}
    writer.close()
    return validity_row(group, title, facts, "it is the provider's to renew", "trusted")


def validity_row(group: str, title: str, facts: Mapping[str, Any], renew: str, shown: str) -> Row:
    """By how long it is still good."""
    until = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(facts["notAfter"])), UTC)
    days = (until - datetime.now(UTC)).days
    found = f"{shown}, until {until:%Y-%m-%d} ({days} days)"
    return Row(group, title, Verdict.WARN, found, renew) if days < _SOON_DAYS else Row(group, title, Verdict.OK, found)


def _handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> Mapping[str, Any]:
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(back, there)
    answering = server.wrap_bio(there, back, server_side=True)
    for _ in range(4):
        for side in (asking, answering):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return asking.getpeercert() or {}


def _covers(pattern: str, name: str) -> bool:
    if pattern.startswith("*."):
        return name.partition(".")[2].lower() == pattern[2:].lower()
    return pattern.lower() == name.lower()
