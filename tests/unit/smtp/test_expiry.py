"""Until when a certificate is valid, as OpenSSL says it."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from qboxrelay.smtp.expiry import not_after


def made(folder: Path, *options: str) -> str:
    """The PEM of a self-signed certificate."""
    out = folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-nodes", "-subj", "/CN=relay.example", "-keyout", str(folder / "key.pem"), "-out", str(out), *options],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return out.read_text()


def end(folder: Path) -> datetime:
    """As OpenSSL reads it."""
    shown = subprocess.run(
        ["openssl", "x509", "-noout", "-enddate", "-in", str(folder / "certificate.pem")],
        check=True, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    text = shown.stdout.strip().removeprefix("notAfter=")
    return datetime.strptime(text, "%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC)


@pytest.mark.parametrize("days", ["1", "90", "20000"])
@pytest.mark.parametrize("key", [("-newkey", "rsa:2048"), ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")])
def test_the_end_is_the_one_that_openssl_reads(tmp_path: Path, days: str, key: tuple[str, ...]) -> None:
    """Of both forms of time: after 2049 years have four digits."""
    pem = made(tmp_path, *key, "-days", days)

    assert not_after(pem) == end(tmp_path)


def test_the_first_certificate_of_a_chain_counts(tmp_path: Path) -> None:
    """It is the one that is shown; a key in the same file does not matter."""
    first = made(tmp_path, "-newkey", "rsa:2048", "-days", "7")
    ends_at = end(tmp_path)
    second = made(tmp_path, "-newkey", "rsa:2048", "-days", "700")
    key = (tmp_path / "key.pem").read_text()

    assert not_after(key + first + second) == ends_at


def test_what_is_no_certificate_has_no_end(tmp_path: Path) -> None:
    """Never an exception: a figure must not stop a door."""
    pem = made(tmp_path, "-newkey", "rsa:2048", "-days", "7")
    lines = pem.splitlines()
    for broken in (
        "",
        "x",
        lines[0],
        pem.replace(lines[1], ""),
        pem.replace(lines[1], lines[1][:-4]),
        f"{lines[0]}\n!\n{lines[-1]}",
    ):
        assert not_after(broken) is None or broken == pem
