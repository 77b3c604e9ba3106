"""Sender domains in real processes: what the door answers, what `qboxrelay domains` and `explain` say, and a refresh that a daemon notices."""

import json
import os
import pty
import smtplib
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contract.domains.zones import ZONES
from tests.support.dns import knot
from tests.support.processes import HOST, Relay, Sandbox, free_port, wait_until

REPLIES = {
    "example.com": "250 2.0.0 Ok",
    "example.org": "250 2.0.0 Ok",
    "misconfigured.example": "250 2.0.0 Ok",
    "not-verified.example": "550 5.7.1 not-verified.example is not a verified Delivery domain (not_verified)",
    "need-approval.example": "550 5.7.1 need-approval.example is a Delivery domain that waits for approval",
    "disabled.example": "550 5.7.1 disabled.example is a disabled Delivery domain",
    "blocked.example": "550 5.7.1 blocked.example is a Delivery domain blocked by Qboxmail",
    "unassigned.example": "550 5.7.1 unassigned.example is not assigned to the Delivery account",
    "news.example": "550 5.7.1 news.example is not assigned to the Delivery account",
    "unknown.example": "550 5.7.1 unknown.example is not a Delivery domain",
}
ACCOUNT = 'delivery_account = "sandbox"'


def section(directory: Path, base_url: str, extra: str = "") -> str:
    """The settings that ask the sandbox's Management API."""
    directory.mkdir(parents=True, exist_ok=True)
    token = directory / "management-token"
    token.write_text("sandbox-management-token\n")
    token.chmod(0o600)
    return f'[sender_domains]\nbase_url = "{base_url}"\ntoken_file = "{token}"\n{extra}\n'


def mail(domain: str) -> bytes:
    return f"From: Ann <ann@{domain}>\r\nTo: bob@example.net\r\nSubject: from {domain}\r\n\r\nhello\r\n".encode()


def said(port: int, domain: str, sender: str = "") -> str:
    """The reply to a mail from the domain, at whatever command it came."""
    with smtplib.SMTP(HOST, port) as client:
        try:
            client.sendmail(sender or f"ann@{domain}", ["bob@example.net"], mail(domain))
        except smtplib.SMTPResponseException as error:
            return f"{error.smtp_code} {bytes(error.smtp_error).decode()}"  # type: ignore[arg-type]
    return "250 2.0.0 Ok"


def qboxrelay(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "qboxrelay", *map(str, arguments)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def change(qboxmail: Sandbox, domain: str, **fields: Any) -> None:
    httpx.put(f"{qboxmail.url}/sandbox/domains/{domain}", json=fields, trust_env=False).raise_for_status()


def test_the_door_says_why_and_explain_says_the_same(
    start_relay: Callable[..., Relay], qboxmail: Sandbox, tmp_path: Path
) -> None:
    """An acceptance and every refusal, before 250; `explain` reads what the relay keeps."""
    relay = start_relay(extra=section(tmp_path / "relay", qboxmail.url), account=ACCOUNT)
    replies = {domain: said(relay.smtp_port, domain) for domain in REPLIES}
    files = []
    for domain in REPLIES:
        files.append(tmp_path / f"{domain}.eml")
        files[-1].write_bytes(mail(domain))
    explained = qboxrelay("explain", "--json", "--config", relay.config, *files)
    answers = [json.loads(line) for line in explained.stdout.splitlines()]

    assert {domain: reply.startswith(REPLIES[domain]) for domain, reply in replies.items()} == dict.fromkeys(
        REPLIES, True
    )
    for answer, (domain, reply) in zip(answers, replies.items(), strict=True):
        assert answer["reply"].startswith(reply), domain
        assert (answer["decision"] == "accept") == reply.startswith("250"), domain
    assert answers[0]["sender_domain"]["state"] == "enabled"
    assert "misconfigured" in answers[2]["sender_domain"]["text"]
    assert answers[3]["rule"] == "sender_domain_not_verified"


def test_what_is_not_known_is_said(tmp_path: Path) -> None:
    """`explain` without a relay's spool accepts, as the door would, and says that it does not know."""
    config = tmp_path / "qboxrelay.toml"
    (tmp_path / "token").write_text("a-token\n")
    config.write_text(
        '[relay]\ndata_dir = "data"\n[[accounts]]\ntoken_file = "token"\n'
        + section(tmp_path, f"http://{HOST}:{free_port()}")
    )
    file = tmp_path / "mail.eml"
    file.write_bytes(mail("blocked.example"))
    known, unconfigured = qboxrelay("explain", "--config", config, file), qboxrelay("explain", "--json", file)
    listed = qboxrelay("domains", "list", "--config", config)

    assert known.returncode == 0
    assert "no_facts" in known.stdout
    assert "no spool" in known.stdout
    assert json.loads(unconfigured.stdout)["sender_domain"]["state"] == "not_checked"
    assert listed.returncode == 1
    assert "cannot reach the Management API" in listed.stderr
    assert not (tmp_path / "data").exists()


def test_a_verified_domain_is_accepted_at_once_after_a_refresh(
    start_relay: Callable[..., Relay], qboxmail: Sandbox, tmp_path: Path
) -> None:
    """The command leaves the facts in the spool, and the running relay takes them over by itself."""
    relay = start_relay(extra=section(tmp_path / "relay", qboxmail.url, 'refresh = "1h"'), account=ACCOUNT)
    assert said(relay.smtp_port, "not-verified.example").startswith("550")
    change(qboxmail, "not-verified.example", display_status="enabled")
    assert said(relay.smtp_port, "not-verified.example").startswith("550")
    refreshed = qboxrelay("domains", "refresh", "--config", relay.config)
    assert refreshed.returncode == 0, refreshed.stderr
    assert "not-verified.example" in refreshed.stdout
    wait_until(lambda: said(relay.smtp_port, "not-verified.example").startswith("250"), what="the relay knows")
    assert relay.metric('qboxrelay_sender_domain_status{domain="not-verified.example",status="enabled"}') == 1
    (changed,) = relay.wait_for("sender_domain.changed")
    assert (changed["domain"], changed["before"], changed["after"]) == (
        "not-verified.example",
        "not_verified",
        "enabled",
    )


def test_the_list_and_its_age(start_relay: Callable[..., Relay], qboxmail: Sandbox, tmp_path: Path) -> None:
    """State, what becomes of its mail, accounts, Qboxmail's own checks; also while the API is down."""
    relay = start_relay(extra=section(tmp_path / "relay", qboxmail.url), account=ACCOUNT)
    qboxmail.faults({"action": "status", "status": 500, "path": "/api/"})
    shown, as_json = (qboxrelay("domains", "list", "--config", relay.config, *flag) for flag in ((), ("--json",)))
    listing = json.loads(as_json.stdout)
    entries = {entry["domain"]: (entry["state"], entry["mode"], entry["accounts"]) for entry in listing["domains"]}

    assert (shown.returncode, as_json.returncode) == (0, 0)
    assert listing["source"] == "management"
    assert 0 <= listing["age_seconds"] < 120
    assert entries["example.com"] == ("enabled", "accept", ["sandbox"])
    assert entries["blocked.example"] == ("blocked", "reject", ["sandbox"])
    assert entries["unassigned.example"] == ("not_assigned", "reject", [])
    # What the door says for the relay's own account, not for any.
    assert entries["news.example"] == ("not_assigned", "reject", ["sandbox-news"])
    assert "dkim ok 2026-01-02" in shown.stdout
    assert " ago." in shown.stdout
    assert qboxrelay("domains", "refresh", "--config", relay.config).returncode == 1


def test_the_list_says_when_it_counts_no_more(
    start_relay: Callable[..., Relay], qboxmail: Sandbox, tmp_path: Path
) -> None:
    """Older than `facts_max_age`; and which domains no account of the relay serves."""
    relay = start_relay(
        extra=section(tmp_path / "relay", qboxmail.url, 'refresh = "5s"\nfacts_max_age = "10s"'),
        account=f'{ACCOUNT}\ndomains = ["example.com"]',
    )
    relay.stop()
    listed = qboxrelay("domains", "list", "--config", relay.config)
    assert "reject (no account of the relay)" in listed.stdout
    wait_until(
        lambda: "longer than facts_max_age" in qboxrelay("domains", "list", "--config", relay.config).stdout,
        what="the facts are too old",
    )
    entries = json.loads(qboxrelay("domains", "list", "--json", "--config", relay.config).stdout)["domains"]
    by_name = {entry["domain"]: (entry["state"], entry["mode"], entry["account"]) for entry in entries}
    assert by_name["example.com"] == ("enabled", "accept", "default")
    assert by_name["blocked.example"] == ("blocked", "reject", None)


def test_no_source_no_list(start_relay: Callable[..., Relay]) -> None:
    """Without a token and without domains nothing is checked: said at the start, in /readyz, and by the command."""
    relay = start_relay()
    assert said(relay.smtp_port, "example.com").startswith("250")
    assert len(relay.events("sender_domains.not_checked")) == 1
    assert "sender domains: not checked" in qboxrelay("check", "--config", relay.config).stdout
    for command in (("list",), ("check",), ("refresh",)):
        done = qboxrelay("domains", *command, "--config", relay.config)
        assert (done.returncode, "[sender_domains]" in done.stderr) == (1, True), done


def test_a_dead_management_api_costs_no_mail(
    start_relay: Callable[..., Relay], qboxmail: Sandbox, tmp_path: Path
) -> None:
    """It was never reached: mail is taken by default, and the status says what is wrong."""
    relay = start_relay(extra=section(tmp_path / "relay", f"http://{HOST}:{free_port()}"), account=ACCOUNT)
    assert said(relay.smtp_port, "example.com").startswith("250")
    wait_until(qboxmail.messages, what="the mail")
    status = httpx.get(f"http://{HOST}:{relay.http_port}/readyz", trust_env=False)
    domains = status.json()["sender_domains"]

    assert status.status_code == 200
    assert (domains["too_old"], domains["failing"]["reason"]) == (True, "connect")
    assert relay.metric('qboxrelay_sender_domain_verdicts_total{state="no_facts",verdict="accept"}') == 1


def test_mail_from_is_judged_by_setting(start_relay: Callable[..., Relay], qboxmail: Sandbox, tmp_path: Path) -> None:
    """At the MAIL command; From is judged all the same."""
    relay = start_relay(extra=section(tmp_path / "relay", qboxmail.url, "check_mail_from = true"), account=ACCOUNT)
    with smtplib.SMTP(HOST, relay.smtp_port) as client:
        client.ehlo()
        assert client.mail("ann@blocked.example")[0] == 550
        assert client.mail("<>")[0] == 250
    assert said(relay.smtp_port, "blocked.example", "ann@example.com").startswith("550")
    file = tmp_path / "mail.eml"
    file.write_bytes(mail("example.com"))
    explained = qboxrelay("explain", "--json", "--sender", "ann@blocked.example", "--config", relay.config, file)
    assert json.loads(explained.stdout)["rule"] == "sender_domain_blocked"


def test_spellings_of_one_domain_and_the_null_sender(
    start_relay: Callable[..., Relay], qboxmail: Sandbox, tmp_path: Path
) -> None:
    """IDNA both ways, whatever full stop and case; the API sees what was judged. `<>` is judged by From, and so is a subdomain by setting."""
    for name in ("xn--bcher-kva.example", "news.example.com"):
        change(qboxmail, name)
    relay = start_relay(
        extra=section(tmp_path / "relay", qboxmail.url, "check_mail_from = true\nsubdomains = true"), account=ACCOUNT
    )
    spellings = (
        "bücher.example",
        "BÜCHER\u3002Example",
        "XN--Bcher-KVA.example.",
        "\uff4eews.example.com",
        "EXAMPLE.com.",
    )
    subject_of = dict(zip(spellings, "abcde", strict=True))
    for domain, subject in subject_of.items():
        with smtplib.SMTP(HOST, relay.smtp_port) as client:
            client.ehlo()
            assert (client.mail("<>")[0], client.rcpt("bob@example.net")[0]) == (250, 250)
            code, reply = client.data(f"From: ann@{domain}\r\nSubject: {subject}\r\n\r\nhello\r\n".encode())
            assert code == 250, reply
    wait_until(lambda: len(qboxmail.messages()) == len(spellings), what="all arrive")
    sent = [entry["message"] for entry in qboxmail.messages()]
    arrived = {message["subject"]: message["from"]["address"].lower() for message in sent}
    assert [arrived[subject] for subject in "abcde"] == [
        *["ann@xn--bcher-kva.example"] * 3,
        "ann@news.example.com",
        "ann@example.com",
    ]
    assert said(relay.smtp_port, "deep.blocked.example", "").startswith("550 5.7.1 deep.blocked.example")
    assert said(relay.smtp_port, "a.b.example.com", "").startswith("250")


@pytest.fixture(scope="module")
def dns_port(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with knot(tmp_path_factory.mktemp("knot"), ZONES) as port:
        yield port


@pytest.fixture
def static(tmp_path: Path, dns_port: int) -> Path:
    """A configuration without a Management token."""
    config = tmp_path / "qboxrelay.toml"
    (tmp_path / "token").write_text("a-token\n")
    config.write_text(
        f"""
[relay]
data_dir = "data"
[[accounts]]
token_file = "token"
[sender_domains]
domains = ["right.example", "xn--bcher-kva.example"]
resolvers = ["{HOST}:{dns_port}"]
dns_timeout = "2s"
spf_include = "spf.provider.example"
dkim_selectors = ["tr"]
"""
    )
    return config


@pytest.mark.parametrize(
    ("domain", "status"), [("right.example", 0), ("wrong.example", 2), ("missing.example", 2), ("lame.example", 3)]
)
def test_checking_says_it_with_its_exit_status(static: Path, domain: str, status: int) -> None:
    """Right, wrong, missing, unknown."""
    done = qboxrelay("domains", "check", domain, "--json", "--config", static)
    (report,) = json.loads(done.stdout)

    assert done.returncode == status, done
    assert report["domain"] == domain
    assert {record["kind"] for record in report["records"]} == {"dkim", "spf", "dmarc", "mx"}
    assert all(record["expected"] for record in report["records"])
    assert done.stderr == ""


def test_the_worst_of_several_is_the_exit_status(static: Path) -> None:
    """Something wrong outweighs something unknown; expected and found stand in a table, with what to publish."""
    done = qboxrelay("domains", "check", "right.example", "LAME.example.", "missing.example", "--config", static)

    assert done.returncode == 2
    assert "right.example: enabled" in done.stdout
    assert "lame.example: not_listed" in done.stdout
    assert 'publish TXT at missing.example: "v=spf1 include:spf.provider.example ~all"' in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(
    "name",
    [
        "ann@example.com",
        "http://example.com/",
        "",
        ".",
        "[192.0.2.1]",
        "a\x1b[31m.example",
        "ü..de",
        f"{'a' * 64}.example",
    ],
)
def test_what_is_no_domain_is_told_apart_from_one_without_records(static: Path, name: str) -> None:
    """Exit status 1, and no look at DNS, not even for the right names beside it."""
    done = qboxrelay("domains", "check", "right.example", name, "--config", static)

    assert (done.returncode, done.stdout) == (1, "")
    assert "no name of DNS" in done.stderr
    assert "\x1b" not in done.stderr


def test_progress_is_for_people_who_wait(static: Path) -> None:
    """On a terminal it is shown beside the output, which stays as it is."""
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        done = subprocess.run(
            [sys.executable, "-m", "qboxrelay", "domains", "check", "right.example", "--json", "--config", str(static)],
            stdout=subprocess.PIPE, stderr=theirs, timeout=120, check=False,
        )  # fmt: skip
        os.close(theirs)
        shown = terminal.read(65536)

    assert done.returncode == 0
    assert b"Asking DNS" in shown
    assert json.loads(done.stdout)[0]["verdict"] == "ok"


def test_static_domains_are_listed_with_their_letters(static: Path) -> None:
    """IDNA both ways; the Management API is not asked."""
    shown, as_json = (qboxrelay("domains", "list", "--config", static, *flag) for flag in ((), ("--json",)))

    assert "bücher.example (xn--bcher-kva.example)" in shown.stdout
    assert "not asked" in shown.stdout
    assert "sender domains: right.example" in qboxrelay("check", "--config", static).stdout
    assert json.loads(as_json.stdout)["source"] == "static"
    assert qboxrelay("domains", "check", "--config", static).returncode == 3


def test_verifying_says_where_the_documentation_is_silent(static: Path, tmp_path: Path, qboxmail: Sandbox) -> None:
    """No request is invented; a configured one is made."""
    silent = qboxrelay("domains", "verify", "example.com", "--config", static)
    asking = tmp_path / "asking"
    asking.mkdir()
    (asking / "token").write_text("a-token\n")
    request = 'verify_path = "/api/delivery/accounts/1"\nverify_method = "GET"'
    config = asking / "qboxrelay.toml"
    config.write_text(
        '[relay]\ndata_dir = "data"\n[[accounts]]\ntoken_file = "token"\n' + section(asking, qboxmail.url, request)
    )
    asked = qboxrelay("domains", "verify", "not-verified.example", "--config", config)
    unknown = qboxrelay("domains", "verify", "unknown.example", "--config", config)

    assert silent.returncode == 1
    assert "not by which request" in silent.stderr
    assert "Qboxmail panel" in silent.stderr
    assert asked.returncode == 0, asked.stderr
    assert "HTTP 200" in asked.stdout
    assert (unknown.returncode, "not a Delivery domain" in unknown.stderr) == (1, True)


def test_the_demo_shows_an_acceptance_and_each_refusal() -> None:
    """Without any configuration."""
    ports = [free_port() for _ in range(3)]
    arguments = ["--smtp-port", ports[0], "--http-port", ports[1], "--sandbox-port", ports[2]]
    demo = subprocess.Popen(
        [sys.executable, "-m", "qboxrelay", "demo", *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )
    try:
        wait_until(lambda: _listens(ports[0]), what="the demo listens")
        replies = {domain: said(ports[0], domain) for domain in REPLIES}
    finally:
        demo.terminate()
        output, _ = demo.communicate(timeout=40)

    assert {domain: reply.startswith(REPLIES[domain]) for domain, reply in replies.items()} == dict.fromkeys(
        REPLIES, True
    )
    assert "not-verified.example" in output


def _listens(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=5).close()
    except OSError:
        return False
    return True
