"""STARTTLS and implicit TLS with real clients: new ones, old ones, and those that try to cheat."""

import gc
import smtplib
import socket
import ssl
import subprocess
import warnings
from contextlib import ExitStack
from pathlib import Path

import pytest

from qboxrelay.smtp.tls import Certificate, CertificateError
from tests.contract.smtp.harness import HOST, LOOPS, PEM, door, new_certificate
from tests.support.processes import wait_until

MAIL = b"Subject: secret\r\n\r\nhello\r\n"
each_loop = pytest.mark.parametrize("loop", LOOPS)


def trusting(pem: Path = PEM) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(pem))


def only_tls_1_0() -> ssl.SSLContext:
    """A client that can do no better, such as an old copier."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1
    return context


@pytest.fixture(scope="module")
def certificate() -> Certificate:
    return Certificate(PEM, None)


@each_loop
def test_starttls(loop: str, certificate: Certificate) -> None:
    """Offered in clear text, gone within TLS; the mail says which version brought it."""
    with door(loop=loop, certificate=certificate, tls="starttls") as running:
        with smtplib.SMTP(HOST, running.port, timeout=60) as client:
            client.ehlo()
            assert client.has_extn("starttls")
            client.starttls(context=trusting())
            client.ehlo()
            assert not client.has_extn("starttls")
            assert client.docmd("STARTTLS") == (503, b"5.5.1 TLS is active already")
            client.sendmail("ann@example.com", ["bob@example.net"], MAIL)
        (envelope, content), *_ = running.got
    assert envelope.client.tls == "TLSv1.3"
    assert content == MAIL


@each_loop
def test_implicit(loop: str, certificate: Certificate) -> None:
    """TLS from the first byte, and a content far larger than any buffer."""
    large = MAIL + (b"x" * 998 + b"\r\n") * 3000
    with door(loop=loop, certificate=certificate, tls="implicit") as running:
        with smtplib.SMTP_SSL(HOST, running.port, timeout=60, context=trusting()) as client:
            client.ehlo()
            assert not client.has_extn("starttls")
            client.sendmail("ann@example.com", ["bob@example.net"], large)
        assert [content for _, content in running.got] == [large]


@pytest.mark.parametrize("tls", ["none", "starttls", "implicit"])
@each_loop
def test_a_connection_that_is_over_leaves_nothing(loop: str, tls: str, certificate: Certificate) -> None:
    """At once: neither it nor what TLS needed for it waits until the collector looks."""
    gc.collect()
    gc.disable()
    try:
        with door(loop=loop, certificate=certificate, tls=tls) as running:
            before = left_of_connections()
            for _ in range(10):
                with implicit(running.port) if tls == "implicit" else smtplib.SMTP(HOST, running.port) as client:
                    if tls == "starttls":
                        client.starttls(context=trusting())
                    client.sendmail("a@example.com", ["b@example.net"], MAIL)
            # The last of them may still be on its way out.
            wait_until(lambda: left_of_connections() <= before + 1, what="the connections are freed")
    finally:
        gc.enable()


def implicit(port: int) -> smtplib.SMTP:
    return smtplib.SMTP_SSL(HOST, port, context=trusting())


def left_of_connections() -> int:
    """Of the server's side: its sessions, and what decrypts for them."""
    return sum(type(one).__name__ in {"Session", "SSLProtocol"} for one in gc.get_objects())


@each_loop
def test_what_comes_before_tls_is_forgotten(loop: str, certificate: Certificate) -> None:
    """Commands pipelined behind STARTTLS in clear text are not carried out within TLS (RFC 3207 §4.2, CVE-2011-0411)."""
    with (
        door(loop=loop, certificate=certificate, tls="starttls") as running,
        socket.create_connection((HOST, running.port), timeout=60) as raw,
    ):
        assert raw.recv(1000).startswith(b"220")
        raw.sendall(b"EHLO a\r\nSTARTTLS\r\nMAIL FROM:<evil@example.com>\r\n")
        received = b""
        while b"Ready to start TLS" not in received:
            received += raw.recv(1000)
        with trusting().wrap_socket(raw, server_hostname=HOST) as secure:
            secure.sendall(b"RCPT TO:<victim@example.net>\r\nQUIT\r\n")
            answers = b""
            while chunk := secure.recv(1000):
                answers += chunk
    assert answers == b"503 5.5.1 Send MAIL first\r\n221 2.0.0 Bye\r\n"


@each_loop
def test_handshake_that_fails(loop: str, certificate: Certificate) -> None:
    """Garbage instead of a handshake ends the connection, is counted, and the next client is served."""
    with door(loop=loop, certificate=certificate, tls="starttls") as running:
        with socket.create_connection((HOST, running.port), timeout=60) as raw:
            raw.recv(1000)
            raw.sendall(b"STARTTLS\r\n")
            raw.recv(1000)
            raw.sendall(b"MAIL FROM:<ann@example.com>\r\n" * 20)
            while raw.recv(1000):
                pass
        wait_until(lambda: running.metric("qboxrelay_smtp_tls_failures_total", listener="smtp") == 1)
        with smtplib.SMTP(HOST, running.port, timeout=60) as client:
            client.starttls(context=trusting())
            assert client.noop()[0] == 250


@each_loop
def test_handshakes_that_never_end(loop: str, certificate: Certificate) -> None:
    """As many at a time as there may be connections; they end with command_timeout, are counted, and then the next client is served."""
    with (
        door(loop=loop, certificate=certificate, tls="implicit", max_connections=2, command_timeout="1s") as running,
        ExitStack() as stack,
    ):
        for _ in range(3):
            stack.enter_context(socket.create_connection((HOST, running.port), timeout=60))
        with smtplib.SMTP_SSL(HOST, running.port, timeout=60, context=trusting()) as client:
            assert client.noop()[0] == 250
        wait_until(lambda: running.metric("qboxrelay_smtp_tls_failures_total", listener="smtp") == 3)


@each_loop
@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_legacy_lets_tls_1_0_in(loop: str, tls: str, certificate: Certificate) -> None:
    """A device limited to TLS 1.0 delivers its mail where the listener says so."""
    with door(loop=loop, certificate=certificate, tls=tls, compatibility="legacy") as running:
        if tls == "implicit":
            with smtplib.SMTP_SSL(HOST, running.port, timeout=60, context=only_tls_1_0()) as client:
                client.sendmail("ann@example.com", ["bob@example.net"], MAIL)
        else:
            with smtplib.SMTP(HOST, running.port, timeout=60) as client:
                client.starttls(context=only_tls_1_0())
                client.sendmail("ann@example.com", ["bob@example.net"], MAIL)
        (envelope, _), *_ = running.got
    assert envelope.client.tls == "TLSv1"


def test_strict_does_not(certificate: Certificate) -> None:
    """TLS 1.2 is the least elsewhere."""
    with (
        door(certificate=certificate, tls="implicit") as running,
        pytest.raises((ssl.SSLError, ConnectionError)),
        smtplib.SMTP_SSL(HOST, running.port, timeout=60, context=only_tls_1_0()),
    ):
        pass


def test_old_openssl_client(certificate: Certificate) -> None:
    """openssl's own client, held to TLS 1.0, speaks STARTTLS with a legacy listener."""
    with door(certificate=certificate, tls="starttls", compatibility="legacy") as running:
        command = ["openssl", "s_client", "-connect", f"{HOST}:{running.port}", "-starttls", "smtp", "-tls1"]
        done = subprocess.run(
            [*command, "-cipher", "DEFAULT@SECLEVEL=0", "-quiet", "-ign_eof"],
            input=b"EHLO old\r\nQUIT\r\n",
            capture_output=True,
            timeout=60,
            check=False,
        )
    assert b"250-PIPELINING" in done.stdout
    assert b"221 2.0.0" in done.stdout


@each_loop
def test_new_certificate_without_a_pause(loop: str, tmp_path: Path) -> None:
    """Changed files are shown to new connections; open ones go on; a broken pair changes nothing."""
    pem = new_certificate(tmp_path / "door.pem")
    certificate = Certificate(pem, None)
    with (
        door(loop=loop, certificate=certificate, tls="implicit") as running,
        smtplib.SMTP_SSL(HOST, running.port, timeout=60, context=trusting(pem)) as old,
    ):
        first = _shown(running.port, trusting(pem))
        assert not certificate.refresh()
        pem.write_text("not a certificate")
        assert not certificate.refresh()
        assert _shown(running.port, _anyone()) == first
        new_certificate(pem)
        assert certificate.refresh()
        assert _shown(running.port, trusting(pem)) != first
        assert old.noop()[0] == 250


def _anyone() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _shown(port: int, context: ssl.SSLContext) -> bytes:
    with (
        socket.create_connection((HOST, port), timeout=60) as raw,
        context.wrap_socket(raw, server_hostname=HOST) as secure,
    ):
        shown = secure.getpeercert(binary_form=True)
    assert shown
    return shown


@pytest.mark.parametrize("content", ["", "nothing", None])
def test_certificate_that_cannot_be_used(content: str | None, tmp_path: Path) -> None:
    """One clear sentence that names the file."""
    pem = tmp_path / "door.pem"
    if content is not None:
        pem.write_text(content)
    with pytest.raises(CertificateError, match=r"door\.pem"):
        Certificate(pem, None)


def test_key_with_a_passphrase(tmp_path: Path) -> None:
    """Nobody is there to type it: an error, not a prompt that waits for ever."""
    key, pem = tmp_path / "key.pem", new_certificate(tmp_path / "door.pem")
    subprocess.run(
        ["openssl", "pkey", "-in", str(pem), "-aes256", "-passout", "pass:x", "-out", str(key)],
        check=True,
        capture_output=True,
        timeout=60,
    )
    with pytest.raises(CertificateError, match="passphrase"):
        Certificate(Path(f"{pem}.crt"), key)


def test_mail_before_tls_where_it_is_required(certificate: Certificate) -> None:
    """530 says what to do."""
    with (
        door(certificate=certificate, tls="starttls", tls_required=True) as running,
        smtplib.SMTP(HOST, running.port, timeout=60) as client,
    ):
        client.ehlo()
        assert client.mail("ann@example.com") == (530, b"5.7.0 Must issue a STARTTLS command first")
        client.starttls(context=trusting())
        client.ehlo()
        assert client.mail("ann@example.com")[0] == 250
        assert client.docmd("STARTTLS")[0] == 503
