"""The inbox page: readable, and harmless whatever a mail holds."""

import base64
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.contract.sandbox.harness import Client, message

ATTACK = "<script>alert(1)</script><img src=x onerror=alert(2)>"
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()


def _attachment(**changes: Any) -> dict[str, Any]:
    return {"filename": "logo.png", "content_type": "image/png", "content": PNG} | changes


def _page(qboxmail: Client, path: str = "", **changes: Any) -> httpx.Response:
    """Send one message, and get its page or what is below it."""
    qboxmail.send(message(**changes)).raise_for_status()
    return qboxmail.http.get(f"/messages/{quote(qboxmail.messages()[-1]['message_id'])}{path}")


def _policy(page: httpx.Response) -> dict[str, str]:
    parts = (part.strip().partition(" ") for part in page.headers["content-security-policy"].split(";"))
    return {name: value for name, _, value in parts}


def test_the_list_shows_the_newest_first_and_renews_itself(qboxmail: Client) -> None:
    """Without a script."""
    empty = qboxmail.http.get("/").text
    qboxmail.send(
        message(subject="older"), message(subject="newer", cc="c@example.net", bcc={"address": "d@example.net"})
    )
    page = qboxmail.http.get("/").text

    assert "Nothing has arrived yet" in empty
    assert '<meta http-equiv="refresh" content="3">' in page
    assert 'name="viewport"' in page
    assert page.index("newer") < page.index("older")
    assert "cc c@example.net, bcc d@example.net" in page
    assert "2 messages accepted in 1 request." in page


@pytest.mark.parametrize(
    "changes",
    [
        {"subject": ATTACK},
        {"text_body": ATTACK},
        {"to": [{"address": "bob@example.net", "name": ATTACK}]},
        {"headers": {"X-Attack": ATTACK, "X-Many": [ATTACK, 1, True]}},
        {"attachments": [_attachment(filename=ATTACK, content_type=ATTACK)]},
        {"attachments": [_attachment(content_id=ATTACK)]},
    ],
)
def test_nothing_of_a_mail_becomes_markup(qboxmail: Client, changes: dict[str, Any]) -> None:
    """Whatever field it stands in, on the list and on the mail's own page."""
    page = _page(qboxmail, **changes).text

    for text in (page, qboxmail.http.get("/").text):
        assert "<script" not in text
        assert "<img" not in text
    assert "&lt;script&gt;" in page


def test_pages_load_nothing_but_their_own_style(qboxmail: Client) -> None:
    """A strict policy, no sniffing, no referrer, no frame around it."""
    for page in (qboxmail.http.get("/"), _page(qboxmail), qboxmail.http.get("/messages/none")):
        policy = _policy(page)
        assert policy == {
            "default-src": "'none'",
            "style-src": "'self'",
            "frame-src": "'self'",
            "base-uri": "'none'",
            "form-action": "'none'",
            "frame-ancestors": "'none'",
        }
        assert page.headers["x-content-type-options"] == "nosniff"
        assert page.headers["referrer-policy"] == "no-referrer"
        assert "<style" not in page.text
        assert "http://" not in page.text
    style = qboxmail.http.get("/inbox.css")
    assert style.headers["content-type"].startswith("text/css")
    assert "prefers-color-scheme: dark" in style.text


def test_html_bodies_stand_in_a_sandboxed_frame(qboxmail: Client) -> None:
    """No script, no form, nothing from the network, no origin of ours: by the frame's attribute and by the body's own policy."""
    page = _page(qboxmail, html_body=f"<p>hello</p>{ATTACK}")
    body = qboxmail.http.get(f"/messages/{quote(qboxmail.messages()[-1]['message_id'])}/html")
    policy = _policy(body)

    assert "<iframe sandbox title=" in page.text
    assert "alert" not in page.text
    assert body.text == f"<p>hello</p>{ATTACK}"
    assert policy["sandbox"] == ""
    assert (policy["default-src"], policy["img-src"]) == ("'none'", "data:")
    assert "script-src" not in policy
    assert body.headers["x-content-type-options"] == "nosniff"


def test_images_of_a_mail_are_shown_within_it(qboxmail: Client) -> None:
    """`cid:` becomes a data URL, for images only."""
    attachments = [
        _attachment(content_id="logo@example.com"),
        _attachment(content_id="page", content_type="text/html"),
        _attachment(content_id="odd", content_type='image/png" onerror="alert(1)'),
    ]
    html = '<img src="cid:logo%40example.com"><img src="cid:page"><img src="cid:odd"><img src="cid:other">'
    shown = _page(qboxmail, "/html", html_body=html, attachments=attachments)

    assert shown.text == (
        f'<img src="data:image/png;base64,{PNG}"><img src="cid:page"><img src="cid:odd"><img src="cid:other">'
    )


def test_attachments_are_downloads(qboxmail: Client) -> None:
    """Byte for byte, under their name, never opened by their type."""
    name = 'a"b\r\n/ü.html'
    content = base64.b64encode(b"<script>alert(1)</script>\x00\xff").decode()
    got = _page(
        qboxmail, "/attachments/0", attachments=[_attachment(filename=name, content_type="text/html", content=content)]
    )

    assert got.content == b"<script>alert(1)</script>\x00\xff"
    assert got.headers["content-type"] == "application/octet-stream"
    assert got.headers["content-disposition"] == "attachment; filename*=UTF-8''a%22b%0D%0A%2F%C3%BC.html"
    assert got.headers["x-content-type-options"] == "nosniff"
    assert _policy(got)["sandbox"] == ""


@pytest.mark.parametrize("path", ["/html", "/attachments/0"])
def test_what_a_mail_does_not_have_is_not_found(qboxmail: Client, path: str) -> None:
    """404 for a part that is not there, and for a mail that is not."""
    assert _page(qboxmail, path).status_code == 404
    assert qboxmail.http.get(f"/messages/none{path}").status_code == 404


def test_every_field_is_on_the_page(qboxmail: Client) -> None:
    """People, ids, headers, attachments."""
    page = _page(
        qboxmail,
        cc="Cy <c@example.net>",
        bcc="d@example.net",
        reply_to="r@example.com",
        headers={"X-Campaign": "42", "X-Number": 7},
        attachments=[_attachment()],
    ).text
    (entry,) = qboxmail.messages()

    for text in (
        "Cy &lt;c@example.net&gt;",
        "d@example.net",
        "r@example.com",
        "X-Campaign",
        "42",
        "X-Number",
        "logo.png",
    ):
        assert text in page
    assert entry["request_id"] in page
    assert entry["message_id"] in page
