"""How a URL of a server is read: a password that was not written as a URL asks for is neither used nor shown."""

from datetime import timedelta

import pytest

from qboxrelay.settings.finding import Finding
from qboxrelay.settings.rules_spool import spool_findings
from qboxrelay.settings.schema import Settings
from qboxrelay.spool.port import SpoolError
from qboxrelay.spool.postgres.connecting import Access, access

SECOND = timedelta(seconds=1)


def read(url: str) -> Access:
    return access(url, schema="mail", password=None, connect_timeout=SECOND, statement_timeout=SECOND)


def found(url: str) -> list[Finding]:
    return list(spool_findings(Settings.model_validate({"spool": {"url": url}})))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:s3cr3t/more@db1/mail",
        "postgresql://user:s3c/r3t@db1/mail",
        "postgresql://user:12/s3cr3t@db1/mail",
        "postgresql://user:12/s3c/r3t@db1:5432/mail",
        "postgresql://user:/s3cr3t@db1/mail",
        "postgresql://user:12@s3cr3t@db1/mail",
        "postgresql://user:12@db1:s3cr3t@db2/mail",
        "postgresql://user:pass@db1:5432,db2:s3cr3t/mail",
    ],
)
def test_a_password_with_what_divides_a_url(url: str) -> None:
    """The driver would take a part of it for the port, the host or the database: the settings are refused, and where they were not looked at, the
    spool.
    """
    with pytest.raises(SpoolError, match="%2F") as caught:
        read(url)
    (finding,) = found(url)
    said = f"{caught.value} {finding}"
    assert "%2F" in finding.instead
    assert not any(part in said for part in ("s3c", "r3t", "more", "db1"))


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("postgresql://user:s3c%2Fr%403t@db1/mail", "db1:5432/mail"),
        ("postgresql://user:s3c:r3t?@db1:5433/mail", "db1:5433/mail"),
        ("postgresql://user@db1,db2:5433,[::1]:5434/mail", "db1:5432,db2:5433,::1:5434/mail"),
        ("postgresql://user@/mail?host=@socket", "@socket:5432/mail"),
    ],
)
def test_what_is_shown_of_a_url(url: str, place: str) -> None:
    """Where the spool is, and no secret."""
    assert read(url).place == place
    assert found(url) == []
