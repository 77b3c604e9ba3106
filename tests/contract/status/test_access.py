"""Who may read the page and the metrics, and from where."""

from pathlib import Path

import pytest

from tests.contract.spool.harness import scenario
from tests.contract.status.harness import EVERY_PAGE, HTML, TOKEN, OneDomain, pages, settings

ELSEWHERE = "0.0.0.0:8025"
BEARER = {"authorization": f"Bearer {TOKEN}"}


@scenario
async def test_on_loopback_everybody_reads(tmp_path: Path) -> None:
    """And every page lets the browser run nothing but our own, keep nothing, and be framed by nobody."""
    async with pages(tmp_path, domains=OneDomain()) as site:
        for path in (*EVERY_PAGE, "/assets/status.css", "/assets/status.js", "/assets/icon.svg"):
            response = await site.http.get(path)
            headers = response.headers
            policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))

            assert response.status_code in {200, 303, 404}, path
            assert policy["default-src"] == "'none'"
            assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'"
            assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
            assert "unsafe" not in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["cache-control"] == "no-store"
            assert headers["referrer-policy"] == "same-origin"
        assert (await site.http.get("/metrics")).status_code == 200


@scenario
async def test_nothing_comes_from_elsewhere_and_nothing_is_inline(tmp_path: Path) -> None:
    """No address of another host, no style, no handler: the policy has nothing to forbid."""
    async with pages(tmp_path, domains=OneDomain()) as site:
        await site.log_in()
        for path in EVERY_PAGE:
            text = (await site.http.get(path)).text
            assert "style=" not in text, path
            assert " onclick" not in text, path
            assert 'src="http' not in text and 'href="http' not in text, path  # noqa: PT018 - one thought
            assert text.count("<script") == text.count('<script src="/assets/status.js"'), path


@scenario
async def test_from_elsewhere_the_token_is_needed(tmp_path: Path) -> None:
    """For pages and metrics; a browser is shown the way; health stays open."""
    async with pages(tmp_path, settings(address=ELSEWHERE)) as site:
        for path in ("/", "/messages", "/messages/failed-1", "/accounts", "/domains", "/metrics"):
            assert (await site.http.get(path)).status_code == 401, path
            assert (await site.http.get(path, headers={"authorization": "Bearer wrong"})).status_code == 401, path
            assert (await site.http.get(path, headers=BEARER)).status_code == 200, path
        shown = await site.http.get("/messages?state=held", headers=HTML)
        assert (shown.status_code, shown.headers["location"]) == (303, "/login?next=%2Fmessages%3Fstate%3Dheld")
        assert (await site.http.get("/metrics")).headers["www-authenticate"].startswith("Bearer")
        assert (await site.http.get("/healthz")).status_code == 200
        assert (await site.http.get("/readyz")).status_code == 200
        assert "robot@example.com" not in await site.text("/login")
        await site.log_in()
        assert (await site.http.get("/messages/failed-1")).status_code == 200


@scenario
async def test_a_token_that_cannot_be_read_lets_nobody_in(tmp_path: Path) -> None:
    """Whatever is said."""
    async with pages(tmp_path, settings(address=ELSEWHERE), token=None) as site:
        for said in ("Bearer None", "Bearer", "bearer *"):
            assert (await site.http.get("/", headers={"authorization": said})).status_code == 401


@scenario
async def test_a_proxys_user_may_read(tmp_path: Path) -> None:
    """Where the proxy is trusted; its header is nobody else's to set, and whoever it did not name stays out."""
    trusted = settings(user_header="X-Forwarded-User", trusted_proxies=["127.0.0.1"])
    async with pages(tmp_path / "trusted", trusted) as site:
        assert (await site.http.get("/", headers={"x-forwarded-user": "ann"})).status_code == 200
        assert (await site.http.get("/", headers={"x-forwarded-user": ""})).status_code == 401
        assert (await site.http.get("/")).status_code == 401
    other = settings(address=ELSEWHERE, user_header="X-Forwarded-User", trusted_proxies=["192.0.2.1"])
    async with pages(tmp_path / "other", other) as site:
        forged = {"x-forwarded-user": "ann", "x-forwarded-for": "192.0.2.1", "forwarded": "for=192.0.2.1"}
        assert (await site.http.get("/", headers=forged)).status_code == 401


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8025", 200), ("[::1]:8025", 200), ("192.0.2.7", 200), ("localhost:8025", 200), ("LOCALHOST.", 200),
        ("relay.example", 200), ("pages.example.com:80", 200), ("evil.example", 421), ("relay.example.evil.example", 421),
        ("127.0.0.1.evil.example", 421), ("", 421), ("[", 421), ("<script>", 421),
    ],
)  # fmt: skip
@scenario
async def test_a_strangers_name_leads_nowhere(tmp_path: Path, host: str, status: int) -> None:
    """A web page elsewhere whose name was pointed at this address (DNS rebinding) reads nothing; scrapers with the token do."""
    async with pages(tmp_path, settings(hosts=["pages.example.com"])) as site:
        for path in ("/", "/metrics", "/messages/failed-1"):
            answer = await site.http.get(path, headers={"host": host})
            assert answer.status_code == status, answer.text
            assert ("robot@example.com" in answer.text) <= (status == 200)
        if host == "evil.example":
            assert (await site.http.get("/metrics", headers={"host": host, **BEARER})).status_code == 200
            assert (await site.post("/login", {"token": TOKEN}, host=host)).status_code == 421
