"""The status page in a real browser, over a real relay: pages, search, acts, hostile mail, light and dark, wide and narrow."""

import smtplib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.browser import DESKTOP, PHONE, Looker, chromium
from tests.support.processes import HOST, Relay, Sandbox, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Browser

TOKEN = "a-token-that-nobody-guesses"
EVIL = '"><script>alert(1)</script><img src=x onerror=alert(2)>'
MAIL = (
    'From: "{evil}" <ann@example.com>\r\nTo: Bob <bob@example.net>\r\nSubject: {subject}\r\n'
    "Message-ID: <{evil}@example.com>\r\n\r\nvery secret words\r\n"
)


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    with chromium() as found:
        yield found


@pytest.fixture
def look(browser: "Browser") -> Iterator[Callable[..., Looker]]:
    """Open a window; at the end nothing may have been complained about in any of them."""
    opened: list[Looker] = []

    def open_window(**options: Any) -> Looker:
        opened.append(Looker(browser, **options))
        return opened[-1]

    yield open_window
    for one in opened:
        one.close()
    assert [one.complaints for one in opened if one.complaints] == []


@pytest.fixture
def start(start_relay: Callable[..., Relay], qboxmail: Sandbox, tmp_path: Path) -> Callable[..., Relay]:
    """A relay with a token for its page, that knows its sender domains."""

    def started(*, token: bool = True) -> Relay:
        for name, text in (("status-token", TOKEN), ("management-token", "sandbox-management-token")):
            (tmp_path / name).write_text(text)
            (tmp_path / name).chmod(0o600)
        domains = f'[sender_domains]\nbase_url = "{qboxmail.url}"\ntoken_file = "{tmp_path}/management-token"\n'
        return start_relay(
            status=f'token_file = "{tmp_path}/status-token"' if token else "",
            extra=f'subjects = "full"\n{domains}',  # the first line is of [log]
        )

    return started


def send(relay: Relay, subject: str) -> str:
    """Hand a mail in whose every text is markup; its transaction id."""
    with smtplib.SMTP(HOST, relay.smtp_port) as client:
        client.ehlo("<b>helo</b>")
        client.mail("ann@example.com")
        client.rcpt("bob@example.net")
        code, text = client.data(MAIL.format(subject=subject, evil=EVIL.replace('"', "'")).encode())
    assert code == 250, text
    return text.decode().split()[-1]


def url(relay: Relay, path: str) -> str:
    return f"http://{HOST}:{relay.http_port}{path}"


def log_in(window: Looker, relay: Relay, *, then: str = "/messages") -> None:
    window.page.goto(url(relay, f"/login?next={then}"))
    window.page.get_by_label("Token").fill(TOKEN)
    window.page.get_by_role("main").get_by_role("button", name="Log in").click()
    window.page.wait_for_url(url(relay, then))


def failed_mail(relay: Relay, qboxmail: Sandbox, subject: str = EVIL) -> str:
    """The submission id of a mail that the API refused, with words that are markup."""
    qboxmail.faults({"action": "status", "status": 400})
    id_ = send(relay, subject)
    wait_until(lambda: relay.metric('qboxrelay_spool_messages{account="default",state="failed"}'), what="it fails")
    qboxmail.faults()
    return f"{id_}-1"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_every_page_in_every_light_and_width(
    start: Callable[..., Relay], qboxmail: Sandbox, look: Callable[..., Looker], scheme: str, size: dict[str, int]
) -> None:
    """Each is there, no wider than its window, says nothing to the console, and obeys its own Content-Security-Policy."""
    relay = start()
    failed = failed_mail(relay, qboxmail)
    window = look(viewport=size, color_scheme=scheme)
    seen = set()
    log_in(window, relay)
    for path in (
        "/",
        "/messages?state=all",
        f"/messages/{failed}",
        "/accounts",
        "/domains",
        "/domains/example.com",
        "/login",
    ):
        response = window.page.goto(url(relay, path))
        assert response is not None
        assert response.status == 200, path
        assert window.page.get_by_role("heading", level=1).count() == 1, path
        assert window.sideways() <= 0, path
        assert "secret words" not in window.page.content()
        seen.add(window.page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(seen) == 1
    assert (sum(map(int, seen.pop().removeprefix("rgb(").removesuffix(")").split(","))) < 200) == (scheme == "dark")


def test_search_finds_a_mail_by_any_of_its_ids(
    start: Callable[..., Relay], qboxmail: Sandbox, look: Callable[..., Looker]
) -> None:
    """And by its recipient; the way goes on to its story."""
    relay = start()
    sent, other = send(relay, "one"), send(relay, "two")
    wait_until(lambda: len(qboxmail.messages()) == 2, what="both are sent")
    wait_until(lambda: not relay.waiting(), what="both are settled")
    found = next(one for one in qboxmail.messages() if one["message"]["subject"] == "one")
    page = look().page
    for text in (sent, f"{sent}-1", found["message_id"]):
        page.goto(url(relay, "/messages"))
        page.get_by_label("Search").fill(text)
        page.get_by_role("button", name="Search").click()
        page.get_by_role("link", name=f"{sent}-1").wait_for()
        assert page.get_by_role("link", name=f"{other}-1").count() == 0, text
    page.goto(url(relay, "/messages?q=bob@example.net"))
    assert page.get_by_role("link", name=f"{other}-1").count() == 1
    page.get_by_role("link", name=f"{sent}-1").click()
    page.get_by_role("heading", name=f"{sent}-1").wait_for()
    assert found["request_id"] in page.content()
    assert page.get_by_text("Stored, for the account default").count() == 1
    page.goto(url(relay, "/messages?state=sent"))
    assert page.get_by_role("row").count() == 3


def test_a_failed_mail_is_retried_from_the_page(
    start: Callable[..., Relay], qboxmail: Sandbox, look: Callable[..., Looker]
) -> None:
    """After logging in with the token: it is sent, once, and the log says who did it."""
    relay = start()
    failed = failed_mail(relay, qboxmail, "retry me")
    window = look()
    window.page.goto(url(relay, f"/messages/{failed}"))
    assert window.page.get_by_role("button", name="Retry now").count() == 0
    log_in(window, relay, then=f"/messages/{failed}")
    window.page.get_by_role("button", name="Retry now").click()
    window.page.get_by_role("heading", name="1 of 1 to be tried again now").wait_for()
    wait_until(lambda: [one["message"]["subject"] for one in qboxmail.messages()] == ["retry me"], what="it is sent")
    (acted,) = wait_until(lambda: relay.events("operator.acted"), what="the log tells of it")
    assert (acted["what"], acted["id"], acted["by"]) == ("retry", failed, f"page:{HOST}")
    window.page.get_by_role("button", name="Log out").click()
    window.page.goto(url(relay, "/messages?state=all"))
    assert window.page.get_by_role("checkbox").count() == 0


def test_several_are_deleted_after_a_question(
    start: Callable[..., Relay], qboxmail: Sandbox, look: Callable[..., Looker]
) -> None:
    """With the account paused from the page, so that nothing leaves meanwhile."""
    relay = start()
    window = look()
    log_in(window, relay, then="/accounts")
    window.page.get_by_label("Why").fill("maintenance")
    window.page.get_by_role("button", name="Pause default").click()
    window.page.get_by_text("maintenance").first.wait_for()
    ids = [f"{send(relay, str(number))}-1" for number in range(3)]
    window.page.goto(url(relay, "/messages"))
    for id_ in ids[:2]:
        window.page.get_by_label(f"Choose {id_}").check()
    window.page.get_by_role("button", name="Delete…").click()
    window.page.get_by_role("heading", name="Delete 2 messages for good?").wait_for()
    window.page.get_by_role("button", name="Delete for good").click()
    window.page.get_by_role("heading", name="2 of 2 deleted").wait_for()
    window.page.get_by_role("link", name="Go on").click()
    window.page.get_by_role("link", name=ids[2]).wait_for()
    assert window.page.get_by_role("row").count() == 2
    window.page.goto(url(relay, "/accounts"))
    window.page.get_by_role("button", name="Resume default").click()
    wait_until(lambda: [one["message"]["subject"] for one in qboxmail.messages()] == ["2"], what="the third is sent")


def test_hostile_mail_is_shown_as_text(
    start: Callable[..., Relay], qboxmail: Sandbox, look: Callable[..., Looker]
) -> None:
    """Markup in subject, names, HELO and Message-ID runs nothing: no dialog, no request, not one element of it."""
    relay = start()
    failed = failed_mail(relay, qboxmail)
    window = look()
    for path in ("/", f"/messages?q={EVIL}", f"/messages/{failed}", f"/messages/{EVIL.replace('/', '')}"):
        with window.page.expect_response(lambda response: response.request.is_navigation_request()):
            window.page.goto(url(relay, path))
        assert window.page.evaluate("document.querySelectorAll('script').length") == 1, path
        assert window.page.evaluate("document.querySelectorAll('img:not(.brand img)').length") == 0, path
    window.page.goto(url(relay, f"/messages/{failed}"))
    assert window.page.get_by_text(EVIL).count() == 1
    # What the browser says of the address that leads nowhere is no complaint about the page.
    window.complaints[:] = [said for said in window.complaints if "404" not in said]


def test_reading_needs_no_script(start: Callable[..., Relay], qboxmail: Sandbox, look: Callable[..., Looker]) -> None:
    """Figures, search, stories and even acts work without JavaScript; the overview looks again by itself."""
    relay = start()
    failed = failed_mail(relay, qboxmail, "plain")
    window = look(java_script_enabled=False)
    window.page.goto(url(relay, "/"))
    assert window.page.locator("noscript meta[http-equiv=refresh]").count() == 1
    window.page.get_by_role("link", name=failed).click()
    window.page.get_by_role("heading", name=failed).wait_for()
    assert window.page.locator("#live").is_hidden()
    log_in(window, relay, then=f"/messages/{failed}")
    window.page.get_by_role("button", name="Retry now").click()
    wait_until(lambda: len(qboxmail.messages()) == 1, what="it is sent")


def test_figures_are_brought_up_to_date(start: Callable[..., Relay], look: Callable[..., Looker]) -> None:
    """By the script, in place: the page that is open shows what has come in since. It can be switched off."""
    relay = start()
    page = look().page
    page.clock.install()
    page.goto(url(relay, "/messages?state=all"))
    id_ = send(relay, "later")  # after the page was made
    page.clock.run_for(10_000)
    page.get_by_role("link", name=f"{id_}-1").wait_for()
    page.get_by_role("button", name="Updates every 10 s").click()
    assert page.get_by_role("button", name="Updates are off").get_attribute("aria-pressed") == "false"


def test_the_keyboard_is_enough(start: Callable[..., Relay], look: Callable[..., Looker]) -> None:
    """The first stop skips the menu, every stop can be seen, the search is sent with Enter."""
    relay = start()
    page = look().page
    page.goto(url(relay, "/messages"))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.name") == "q"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.type("nobody@example.net")
    page.keyboard.press("Enter")
    page.get_by_text("Nothing found").wait_for()


def test_another_sites_form_does_nothing(
    start: Callable[..., Relay], qboxmail: Sandbox, look: Callable[..., Looker], tmp_path: Path
) -> None:
    """A page elsewhere that posts to the relay, in the browser of somebody who is logged in."""
    relay = start()
    failed = failed_mail(relay, qboxmail, "stay")
    window = look()
    log_in(window, relay)
    csrf = window.page.locator("input[name=csrf]").first.get_attribute("value")
    form = f'<form method="post" action="{url(relay, "/act")}">'
    fields = {"csrf": csrf, "act": "retry", "id": failed}
    inputs = "".join(f'<input name="{name}" value="{value}">' for name, value in fields.items())
    window.page.route(
        "http://evil.example/",
        lambda route: route.fulfill(body=f"{form}{inputs}<button>x</button></form>", content_type="text/html"),
    )
    window.page.goto("http://evil.example/")
    with window.page.expect_navigation():
        window.page.get_by_role("button").click()
    window.page.get_by_role("heading", name="Nothing was done").wait_for()
    assert relay.metric('qboxrelay_spool_messages{account="default",state="failed"}') == 1
    assert relay.events("operator.acted") == []
    window.complaints.clear()


def test_without_a_token_the_page_says_how_to_act(start: Callable[..., Relay], look: Callable[..., Looker]) -> None:
    relay = start(token=False)
    page = look().page
    page.goto(url(relay, "/messages"))
    assert "token_file" in page.get_by_role("main").inner_text()
    assert page.get_by_role("link", name="Log in").count() == 0
