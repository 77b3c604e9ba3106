"""The JSON of a submission: what stands in it, what does not, and what is refused."""

import base64
import dataclasses
from typing import Any

import orjson
import pytest

from qboxrelay.intake import payload
from qboxrelay.intake.compose import Composed, compose
from qboxrelay.intake.recipients import Audience
from qboxrelay.mime.parse import parse
from qboxrelay.model.address import Address, Mailbox
from qboxrelay.model.message import Message
from qboxrelay.model.reply import Refusal
from qboxrelay.settings.schema.mapping import MappingSettings

_ANN = Address("ann", "x.example")
_BOB = Address("bob", "x.example")
_EVE = Address("eve", "x.example")
_SENDER = Address("bounce", "s.example")
_PLAIN = b"From: Shop <shop@s.example>\nTo: Ann <ann@x.example>\nSubject: s\n\nhello\n"


def _compose(
    raw: bytes, *recipients: Address, sender: Address | None = None, most: int = 100_000, **settings: Any
) -> Composed:
    return compose(
        parse(raw),
        transaction_id="T",
        sender=sender,
        recipients=recipients or (_ANN,),
        settings=MappingSettings(**settings),
        max_submission_bytes=most,
    )


def _entry(raw: bytes, *recipients: Address, **how: Any) -> dict[str, Any]:
    composed = _compose(raw, *recipients, **how)
    assert len(composed.drafts) == 1
    entry: dict[str, Any] = orjson.loads(composed.drafts[0].payload)
    return entry


def test_a_plain_mail_has_just_the_fields_it_needs() -> None:
    """Unused fields are omitted, names only where there are any."""
    assert _entry(_PLAIN) == {
        "from": {"address": "shop@s.example", "name": "Shop"},
        "to": [{"address": "ann@x.example", "name": "Ann"}],
        "headers": {"X-Qboxrelay-Id": "T-1"},
        "subject": "s",
        "text_body": "hello\n",
    }


@pytest.mark.parametrize("headers", [(), (("X-A", "1"), ("x-a", "2"), ("X-B", "é"))])
@pytest.mark.parametrize("text", [None, "hello\n", "x" * 70_000])
def test_written_in_one_go_it_is_what_the_halves_are(headers: tuple[tuple[str, str], ...], text: str | None) -> None:
    """The usual way and that of many recipients write the same octets, and refuse the same."""
    message = Message(
        headers=headers, text_body=text, html_body="<p>", reply_to=(Mailbox(_EVE),), subject="s", message_id="m"
    )
    audience = Audience(to=(Mailbox(_ANN, "Ann"),), cc=(Mailbox(_BOB),), bcc=(Mailbox(_EVE),))
    author, settings = Mailbox(_SENDER, "Bounce"), MappingSettings()

    own = payload.own_half(author, audience, "T-1")
    both = own + payload.shared_half(message, settings, most=100_000)

    assert payload.whole(author, audience, "T-1", message, settings, most=len(both)) == both
    with pytest.raises(Refusal):
        payload.whole(author, audience, "T-1", message, settings, most=len(both) - 1)
    with pytest.raises(Refusal):
        payload.shared_half(message, settings, most=len(both) - len(own) - 1)


def test_a_full_mail_has_all_fields() -> None:
    """Every field of the Send API that a mail can fill."""
    raw = (
        b"From: shop@s.example\nTo: ann@x.example\nCc: Bob <bob@x.example>\nReply-To: r@s.example, Q <q@s.example>\nX-A: 1\nX-B: 2\nx-a: 3\n"
        b"Date: today\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n\n<img src=cid:c@x>\n"
        b"--b\nContent-Type: image/png\nContent-ID: <c@x>\nContent-Transfer-Encoding: base64\n\niVBO\nRw0KGgo=\n"
        b"--b\nContent-Type: text/plain\nContent-Disposition: attachment; filename=t.txt\n\nline\n--b--\n"
    )

    assert _entry(raw, _ANN, _BOB, _EVE, pass_date=True) == {
        "from": {"address": "shop@s.example"},
        "to": [{"address": "ann@x.example"}],
        "cc": [{"address": "bob@x.example", "name": "Bob"}],
        "bcc": [{"address": "eve@x.example"}],
        "reply_to": [{"address": "r@s.example"}, {"address": "q@s.example", "name": "Q"}],
        "subject": "(no subject)",
        "html_body": "<img src=cid:c@x>",
        "headers": {"X-Qboxrelay-Id": "T-1", "X-A": ["1", "3"], "X-B": "2", "Date": "today"},
        "attachments": [
            {
                "filename": "attachment-1.png",
                "content_type": "image/png",
                "disposition": "inline",
                "content_id": "c@x",
                "content": "iVBORw0KGgo=",
            },
            {
                "filename": "t.txt",
                "content_type": "text/plain",
                "disposition": "attachment",
                "content": base64.b64encode(b"line").decode(),
            },
        ],
    }


def test_fields_that_the_settings_drop_are_dropped_and_counted() -> None:
    """drop_headers, in any case of letters."""
    composed = _compose(b"X-Secret: 1\nX-Kept: 2\n" + _PLAIN, drop_headers=("x-secret",))

    assert orjson.loads(composed.drafts[0].payload)["headers"] == {"X-Qboxrelay-Id": "T-1", "X-Kept": "2"}
    assert [(loss.what, loss.rule) for loss in composed.losses] == [("the X-Secret field", "drop_headers")]


def test_without_visible_recipient_each_gets_a_mail_of_its_own() -> None:
    """Bcc only is no documented form, and no one learns of another; the content is one value."""
    composed = _compose(_PLAIN, _BOB, _EVE)
    entries = [orjson.loads(draft.payload) for draft in composed.drafts]

    assert [entry["to"] for entry in entries] == [[{"address": "bob@x.example"}], [{"address": "eve@x.example"}]]
    assert [entry["headers"]["X-Qboxrelay-Id"] for entry in entries] == ["T-1", "T-2"]
    assert [draft.id for draft in composed.drafts] == ["T-1", "T-2"]
    assert composed.drafts[0].rest is composed.drafts[1].rest
    assert composed.payload_bytes == sum(len(draft.payload) for draft in composed.drafts)
    assert {loss.rule for loss in composed.losses} == {"not_in_envelope", "recipients_split"}


def test_more_recipients_than_fit_one_submission_are_spread() -> None:
    """Each submission shows somebody, blind recipients fill what is left."""
    raw = b"From: f@s.example\nTo: ann@x.example, bob@x.example\n\nx"
    blind = [Address(f"b{number}", "x.example") for number in range(4)]
    composed = _compose(raw, _ANN, _BOB, *blind, max_recipients_per_submission=2)

    assert [[str(address) for address in draft.recipients] for draft in composed.drafts] == [
        ["ann@x.example", "b0@x.example"],
        ["bob@x.example", "b1@x.example"],
        ["b2@x.example"],
        ["b3@x.example"],
    ]


def test_the_sender_of_the_envelope_stands_in_for_a_missing_from() -> None:
    """Nobody at all is refused, with a text that says what to do."""
    raw = b"To: ann@x.example\n\nhello"

    assert _entry(raw, sender=_SENDER)["from"] == {"address": "bounce@s.example"}
    assert _compose(raw, sender=_SENDER).from_address == _SENDER
    with pytest.raises(Refusal, match=r"550 5\.6\.0 .*Set a From address"):
        _compose(raw)


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("ann@bücher.example", "ann@xn--bcher-kva.example"),
        ("ann@Bücher。example", "ann@xn--bcher-kva.example"),
        ("jürgen@bücher.example", "jürgen@bücher.example"),
        ("Ann@Example.COM", "Ann@Example.COM"),
    ],
)
def test_the_domain_of_the_author_is_written_as_dns_has_it(written: str, sent: str) -> None:
    """An address that ASCII can say is said in it; one that is international anyhow stays as it was written."""
    entry = _entry(f"From: Ann <{written}>\r\n\r\nbody".encode(), Address("bob", "example.net"))

    assert entry["from"] == {"address": sent, "name": "Ann"}


def test_the_author_can_be_replaced() -> None:
    """Rewriting works on the message, before composing."""
    message = dataclasses.replace(parse(_PLAIN), from_=Mailbox(_EVE, "Eve"))
    composed = compose(
        message,
        transaction_id="T",
        sender=None,
        recipients=[_ANN],
        settings=MappingSettings(),
        max_submission_bytes=10_000,
    )

    assert orjson.loads(composed.drafts[0].payload)["from"] == {"address": "eve@x.example", "name": "Eve"}
    assert composed.from_address == _EVE


def test_a_sender_that_is_not_the_author_is_counted() -> None:
    """The API has no field for Sender."""
    composed = _compose(b"Sender: other@s.example\n" + _PLAIN)

    assert [loss.rule for loss in composed.losses] == ["structural_header"]


def test_a_mail_without_recipients_is_refused() -> None:
    """Nothing to send."""
    with pytest.raises(Refusal, match=r"554 5\.5\.1"):
        compose(
            parse(_PLAIN),
            transaction_id="T",
            sender=None,
            recipients=[],
            settings=MappingSettings(),
            max_submission_bytes=10_000,
        )


def test_opaque_mail_is_attached_or_refused_as_the_settings_say() -> None:
    """S/MIME: `unrepresentable`."""
    raw = b"From: f@s.example\nContent-Type: application/pkcs7-mime\n\nMII"

    assert _entry(raw)["attachments"][0]["content_type"] == "message/rfc822"
    with pytest.raises(Refusal, match=r"554 5\.6\.0") as refused:
        _compose(raw, unrepresentable="reject")
    assert refused.value.rule == "unrepresentable"


def test_large_text_is_written_in_slices_that_do_not_show() -> None:
    """A body of megabytes is one JSON string, escapes and all."""
    text = ('é "quoted" \\\n' * 200_000)[:2_500_000]
    entry = _entry(b"From: f@s.example\nContent-Type: text/html; charset=utf-8\n\n" + text.encode(), most=10_000_000)

    assert entry["html_body"] == text
    assert entry["subject"] == "(no subject)"


_ATTACHED = b"From: f@s.example\nContent-Type: image/png\n\n" + b"x" * 3_000
_TWO = (_BOB, _EVE)


@pytest.mark.parametrize(
    ("raw", "recipients"),
    [(_PLAIN + b"x" * 4_000, (_ANN,)), (_ATTACHED, (_ANN,)), (_ATTACHED, _TWO), (_PLAIN + b"x" * 4_000, _TWO)],
)
def test_the_limit_on_a_submission_is_exact(raw: bytes, recipients: tuple[Address, ...]) -> None:
    """`552 5.3.4` for one byte too much, opening included; base64 and escapes count as they are."""
    largest = max(draft.payload_bytes for draft in _compose(raw, *recipients).drafts)

    assert _compose(raw, *recipients, most=largest).drafts
    with pytest.raises(Refusal, match=r"552 5\.3\.4 .*limit of"):
        _compose(raw, *recipients, most=largest - 1)
    with pytest.raises(Refusal, match=r"552 5\.3\.4"):
        _compose(raw, *recipients, most=1_000)
