"""Who receives and who sees whom, for any header and any envelope."""

from collections import Counter
from email.headerregistry import Address as Written
from typing import Any

import orjson
from hypothesis import example, given
from hypothesis import strategies as st

from qboxrelay.intake.compose import compose
from qboxrelay.mime.parse import parse
from qboxrelay.model.address import Address
from qboxrelay.settings.schema.mapping import MappingSettings

_LOCALS = ["a", "A", "b.c", '"b.c"', '"b c"', '"q\\"x"', "ü", "FAX=+49", "o'neil"]
_DOMAINS = ["x.example", "X.Example", "bücher.example", "xn--bcher-kva.example", "BÜCHER.example", "[192.0.2.1]"]
_ADDRESSES = st.builds(Address, st.sampled_from(_LOCALS), st.sampled_from(_DOMAINS))
_NAMES = st.sampled_from(["", "Ann", "Doe, Ann", "Zoë", 'Q "x"', "a@b.c"])
_WRITTEN = st.tuples(_NAMES, _ADDRESSES)
_LISTS = st.lists(_WRITTEN, max_size=5)
_JUNK = st.sampled_from(
    [
        "",
        "undisclosed-recipients:;",
        "group: a@x.example;",
        "broken <",
        ",,",
        "no address",
        '"',
        "(c) b.c@x.example (d)",
    ]
)
_ENVELOPES = st.lists(_ADDRESSES, min_size=1, max_size=7)
_MOST = st.integers(1, 8)


def _field(entries: list[tuple[str, Address]], junk: str) -> str:
    written = [
        str(Written(display_name=name)).replace(" <>", "").replace("<>", "") + f" <{address}>"
        for name, address in entries
    ]
    return ", ".join([*written, *([junk] if junk else [])])


def _submissions(to: str, cc: str, envelope: list[Address], most: int) -> list[dict[str, Any]]:
    raw = f"From: s@s.example\r\nTo: {to}\r\nCc: {cc}\r\nBcc: only-in-bcc@x.example\r\nSubject: s\r\n\r\nbody\r\n".encode()
    composed = compose(
        parse(raw),
        transaction_id="T",
        sender=None,
        recipients=envelope,
        settings=MappingSettings(max_recipients_per_submission=most),
        max_submission_bytes=1_000_000,
    )
    entries = [orjson.loads(draft.payload) for draft in composed.drafts]
    assert [[str(address) for address in draft.recipients] for draft in composed.drafts] == [
        _mailed(entry) for entry in entries
    ]
    return entries


def _mailed(entry: dict[str, Any]) -> list[str]:
    return [mailbox["address"] for key in ("to", "cc", "bcc") for mailbox in entry.get(key, [])]


@given(_LISTS, _LISTS, _JUNK, _JUNK, _ENVELOPES, _MOST)
def test_each_recipient_of_the_envelope_is_mailed_exactly_once_and_nobody_else(
    to: list[tuple[str, Address]],
    cc: list[tuple[str, Address]],
    junk: str,
    more: str,
    envelope: list[Address],
    most: int,
) -> None:
    """The union of to, cc and bcc over the submissions is the envelope, duplicates counted once."""
    entries = _submissions(_field(to, junk), _field(cc, more), envelope, most)

    first = {address.exact_key: str(address) for address in reversed(envelope)}
    assert Counter(address for entry in entries for address in _mailed(entry)) == Counter(first.values())
    assert all(len(_mailed(entry)) <= most for entry in entries)


@given(_LISTS, _LISTS, _JUNK, _ENVELOPES, _MOST)
def test_no_blind_recipient_is_visible_to_another(
    to: list[tuple[str, Address]], cc: list[tuple[str, Address]], junk: str, envelope: list[Address], most: int
) -> None:
    """Whoever stands in no header is in bcc, or alone in a submission of its own."""
    entries = _submissions(_field(to, junk), _field(cc, ""), envelope, most)

    header = {
        mailbox.address.folded_key for mailbox in (*parse(_header(to, cc, junk)).to, *parse(_header(to, cc, junk)).cc)
    }
    for entry in entries:
        shown = [mailbox["address"] for key in ("to", "cc") for mailbox in entry.get(key, [])]
        assert shown
        for address in shown:
            assert _folded(address) in header or _mailed(entry) == [address]


@given(_LISTS, _LISTS, _ENVELOPES)
def test_who_stands_in_to_is_in_to_and_who_stands_in_cc_is_in_cc_with_the_name(
    to: list[tuple[str, Address]], cc: list[tuple[str, Address]], envelope: list[Address]
) -> None:
    """Placed as the header places them, named as the header names them first."""
    entries = _submissions(_field(to, ""), _field(cc, ""), envelope, 100)

    for key, entries_of, others in (("to", to, []), ("cc", cc, to)):
        exact: dict[tuple[str, str], str] = {}
        for name, address in entries_of:
            exact.setdefault(address.exact_key, name)
        earlier = {address.exact_key for _, address in others}
        for recipient in envelope:
            if recipient.exact_key in exact and recipient.exact_key not in earlier:
                named = [
                    box.get("name", "")
                    for entry in entries
                    for box in entry.get(key, [])
                    if _exact(box["address"]) == recipient.exact_key
                ]
                assert named == [exact[recipient.exact_key]]


@given(_LISTS, _ENVELOPES, _MOST)
@example([("", Address("a", "x.example"))], [Address("a", "x.example"), Address("o'neil", "x.example")], 1)
def test_the_same_mail_and_ids_give_the_same_bytes(
    to: list[tuple[str, Address]], envelope: list[Address], most: int
) -> None:
    """Byte-equal JSON on every run."""
    assert _submissions(_field(to, ""), "", envelope, most) == _submissions(_field(to, ""), "", envelope, most)


def _header(to: list[tuple[str, Address]], cc: list[tuple[str, Address]], junk: str) -> bytes:
    return f"To: {_field(to, junk)}\r\nCc: {_field(cc, '')}\r\n\r\n".encode()


def _exact(text: str) -> tuple[str, str]:
    local, _, domain = text.rpartition("@")
    return Address(local, domain).exact_key


def _folded(text: str) -> tuple[str, str]:
    local, _, domain = text.rpartition("@")
    return Address(local, domain).folded_key
