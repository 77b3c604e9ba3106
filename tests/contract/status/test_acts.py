"""What may be done from the page, by whom, and that it is written down."""

from datetime import timedelta
from pathlib import Path

import pytest

from qboxrelay.settings.types import Secret
from qboxrelay.status.doorkeeper import COOKIE
from tests.contract.spool.harness import scenario
from tests.contract.status.harness import TOKEN, csrf_of, pages, settings

UNTOUCHED = {"sent-1": "sent", "failed-1": "failed", "held-1": "held", "queued-1": "queued"}


@pytest.mark.parametrize(
    ("act", "id_", "state"),
    [("retry", "failed-1", "queued"), ("release", "held-1", "queued"), ("hold", "queued-1", "held")],
)
@scenario
async def test_an_act_is_done_and_written_down(tmp_path: Path, act: str, id_: str, state: str) -> None:
    """With the token, from our own form; the trail names the page and who asked."""
    async with pages(tmp_path) as site:
        csrf = await site.log_in()
        done = await site.post("/act", {"csrf": csrf, "act": act, "id": id_, "back": "/messages?state=held"})
        assert done.status_code == 200
        assert 'href="/messages?state=held"' in done.text
        assert await site.states() == {**UNTOUCHED, id_: state}
        (handled,) = await site.spool.follow()
        assert (handled.what, handled.id, handled.by) == (act, id_, "page:127.0.0.1")
        assert f"<strong>{act.capitalize()}</strong> by page:127.0.0.1" in await site.text(f"/messages/{id_}")


@scenario
async def test_what_cannot_be_done_says_why(tmp_path: Path) -> None:
    """Of several, each for itself."""
    async with pages(tmp_path) as site:
        csrf = await site.log_in()
        done = await site.post("/act", {"csrf": csrf, "act": "retry", "id": ["sent-1", "failed-1", "<b>"]})
        assert "1 of 3" in done.text
        assert "it was sent" in done.text
        assert "&lt;b&gt;" in done.text
        assert await site.states() == {**UNTOUCHED, "failed-1": "queued"}


@scenario
async def test_deleting_is_asked_about_first(tmp_path: Path) -> None:
    """Nothing is gone before the second click; then the trail stays."""
    async with pages(tmp_path) as site:
        csrf = await site.log_in()
        asked = await site.post("/act", {"csrf": csrf, "act": "delete", "id": ["failed-1", "held-1"]})
        assert "Delete 2 messages for good?" in asked.text
        assert await site.states() == UNTOUCHED
        fields = {"csrf": csrf_of(asked.text), "act": "delete", "id": ["failed-1", "held-1"], "sure": "yes"}
        assert (await site.post("/act", fields)).status_code == 200
        assert await site.states() == {"sent-1": "sent", "queued-1": "queued"}
        gone = await site.text("/messages/failed-1", status=404)
        assert "Delete</strong> by page:127.0.0.1, it was failed" in gone


@pytest.mark.parametrize(
    "said",
    [
        {"origin": "http://evil.example", "sec_fetch_site": "cross-site"},
        {"origin": "http://evil.example", "sec_fetch_site": ""},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "none"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"origin": "", "sec_fetch_site": ""},
        {"origin": "http://["},
    ],
)
@scenario
async def test_another_site_cannot_act(tmp_path: Path, said: dict[str, str]) -> None:
    """Even with the cookie and the right text of the form."""
    async with pages(tmp_path) as site:
        csrf = await site.log_in()
        for path, fields in (
            ("/act", {"act": "retry", "id": "failed-1"}),
            ("/accounts/pause", {"account": "default"}),
            ("/logout", {}),
        ):
            refused = await site.post(path, {"csrf": csrf, **fields}, **said)
            assert refused.status_code == 403, path
        assert await site.states() == UNTOUCHED
        assert (await site.spools.queue().overview()).pauses == ()
        assert (await site.post("/act", {"csrf": csrf, "act": "retry", "id": "failed-1"})).status_code == 200


@scenario
async def test_a_form_needs_its_session(tmp_path: Path) -> None:
    """The right cookie without the form's text, the text without the cookie, another session's text: nothing is done."""
    async with pages(tmp_path) as site:
        other = await site.log_in()
        site.http.cookies.clear()
        csrf = await site.log_in()
        act = {"act": "retry", "id": "failed-1"}
        for fields in (act, {**act, "csrf": ""}, {**act, "csrf": "é"}, {**act, "csrf": other}):
            assert (await site.post("/act", fields)).status_code == 403, fields
        site.http.cookies.clear()
        assert (await site.post("/act", {**act, "csrf": csrf})).status_code == 403
        bearer = {"authorization": f"Bearer {TOKEN}"}
        assert (await site.post("/act", {**act, "csrf": csrf}, **bearer)).status_code == 403
        assert await site.states() == UNTOUCHED


@scenario
async def test_without_a_token_acts_are_off(tmp_path: Path) -> None:
    """And the pages say how to switch them on."""
    async with pages(tmp_path, token=None) as site:
        for path in ("/messages", "/messages/failed-1", "/accounts"):
            text = await site.text(path)
            assert "token_file" in text, path
            assert 'method="post"' not in text, path
        assert "token_file = " in await site.text("/login")
        for token in ("", "None", TOKEN):
            assert (await site.post("/login", {"token": token})).status_code == 403
        assert (await site.post("/act", {"act": "retry", "id": "failed-1", "csrf": ""})).status_code == 403
        assert await site.states() == UNTOUCHED


@scenario
async def test_the_cookie_is_for_browsers_and_this_site_alone(tmp_path: Path) -> None:
    """No script reads it, no other site sends it; behind HTTPS it travels encrypted only."""
    async with pages(tmp_path / "plain") as site:
        response = await site.post("/login", {"token": TOKEN, "next": "/messages"})
        cookie = response.headers["set-cookie"].lower()
        assert response.headers["location"] == "/messages"
        assert "httponly" in cookie and "samesite=strict" in cookie and "path=/" in cookie  # noqa: PT018 - one thought
        assert "secure" not in cookie
        assert TOKEN not in cookie
    behind = settings(user_header="X-User", trusted_proxies=["127.0.0.1"])
    async with pages(tmp_path / "behind", behind) as site:
        response = await site.post("/login", {"token": TOKEN}, x_forwarded_proto="https", x_user="ann")
        assert "secure" in response.headers["set-cookie"].lower()


@scenario
async def test_a_wrong_token_is_late_and_leads_nowhere(tmp_path: Path) -> None:
    """It is neither shown nor kept."""
    async with pages(tmp_path) as site:
        before = site.spools.clock.monotonic()
        refused = await site.post("/login", {"token": "a-token-that-nobody-guessed"})
        assert refused.status_code == 403
        assert "not the token" in refused.text
        assert "a-token-that" not in refused.text
        assert "set-cookie" not in refused.headers
        assert site.spools.clock.monotonic() - before == 1


@pytest.mark.parametrize(
    "target", ["//evil.example", "https://evil.example", "/\\evil.example", "evil", "/\t/evil.example", ""]
)
@scenario
async def test_nobody_is_sent_elsewhere(tmp_path: Path, target: str) -> None:
    """By a link to the login, or a form's way back."""
    async with pages(tmp_path) as site:
        response = await site.post("/login", {"token": TOKEN, "next": target})
        assert response.headers["location"] == "/"
        csrf = csrf_of(await site.text("/messages"))
        done = await site.post("/act", {"csrf": csrf, "act": "retry", "id": "failed-1", "back": target})
        assert 'href="/messages"' in done.text
        assert "evil" not in done.text


@scenario
async def test_a_session_ends(tmp_path: Path) -> None:
    """By logging out, after eight hours, when the token is another one, and when fifty others came after it."""
    act = {"act": "hold", "id": "queued-1"}
    async with pages(tmp_path) as site:
        csrf = await site.log_in()
        cookie = site.http.cookies[COOKIE]
        assert (await site.post("/logout", {"csrf": csrf})).headers["location"] == "/"
        site.http.cookies.set(COOKIE, cookie)
        assert (await site.post("/act", {**act, "csrf": csrf})).status_code == 403
        site.http.cookies.clear()

        csrf = await site.log_in()
        site.spools.clock.advance(timedelta(hours=8))
        assert (await site.post("/act", {**act, "csrf": csrf})).status_code == 403
        site.http.cookies.clear()

        csrf = await site.log_in()
        site.token = Secret("another-token-of-the-file")
        assert (await site.post("/act", {**act, "csrf": csrf})).status_code == 403
        site.token = Secret(TOKEN)
        site.http.cookies.clear()

        csrf = await site.log_in()
        for _ in range(50):
            site.sessions.begin("somebody", Secret(TOKEN))
        assert (await site.post("/act", {**act, "csrf": csrf})).status_code == 403
        assert await site.states() == UNTOUCHED


@scenario
async def test_pausing_and_resuming(tmp_path: Path) -> None:
    """An account, or all of them; what the operator said is shown, as text."""
    async with pages(tmp_path) as site:
        csrf = await site.log_in()
        for account in ("default", ""):
            await site.post("/accounts/pause", {"csrf": csrf, "account": account, "why": "<u>maintenance</u>"})
            (pause,) = (await site.spools.queue().overview()).pauses
            assert (pause.account, pause.by) == (account, "page:127.0.0.1")
            for path in ("/", "/accounts"):
                text = await site.text(path)
                assert "&lt;u&gt;maintenance&lt;/u&gt;" in text, path
            await site.post("/accounts/resume", {"csrf": csrf, "account": account})
            assert (await site.spools.queue().overview()).pauses == ()
        assert (await site.post("/accounts/pause", {"csrf": csrf, "account": "nobody"})).status_code == 400


@scenario
async def test_odd_forms_are_refused(tmp_path: Path) -> None:
    """Too large, of another kind, without an act or a message."""
    async with pages(tmp_path) as site:
        csrf = await site.log_in()
        many = {"csrf": csrf, "act": "hold", "id": [f"{number}-1" for number in range(300)]}
        for fields, status in (
            ({"csrf": csrf, "act": "explode", "id": "sent-1"}, 400),
            ({"csrf": csrf, "act": "hold"}, 400),
            (many, 400),
            ({"csrf": csrf, "act": "hold", "id": "x" * 100_000}, 413),
        ):
            assert (await site.post("/act", fields)).status_code == status
        said = {"origin": site.url, "sec-fetch-site": "same-origin"}
        assert (await site.http.post("/act", json={"csrf": csrf}, headers=said)).status_code == 415
        for path in ("/act", "/accounts/pause", "/accounts/resume", "/logout"):
            assert (await site.http.get(path)).status_code == 405
        assert await site.states() == UNTOUCHED


@scenario
async def test_a_proxys_user_is_named_in_the_trail(tmp_path: Path) -> None:
    """Whoever the proxy let in still needs the token to act."""
    behind = settings(user_header="X-User", trusted_proxies=["127.0.0.1"])
    async with pages(tmp_path, behind) as site:
        site.http.headers["x-user"] = "ann"
        assert 'method="post"' not in await site.text("/messages")
        csrf = await site.log_in()
        await site.post("/act", {"csrf": csrf, "act": "hold", "id": "queued-1"})
        (handled,) = await site.spool.follow()
        assert handled.by == "page:ann"
