"""SASL exchanges without a socket: each mechanism, and whatever a client may send instead."""

import asyncio
import base64
import binascii
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qboxrelay.model.reply import Reply
from qboxrelay.policy.login.claim import Claim, CramMd5Claim, PasswordClaim
from qboxrelay.smtp import replies
from qboxrelay.smtp.auth import Exchange, ExchangeError, Prompt, new_challenge
from qboxrelay.smtp.login import read_claim

CHALLENGE = b"<1896.697170952@postoffice.example.net>"
MECHANISMS = ("PLAIN", "LOGIN", "CRAM-MD5")


def b64(text: bytes) -> str:
    return base64.b64encode(text).decode()


def exchange(mechanism: str) -> Exchange:
    return Exchange(mechanism, lambda: CHALLENGE)


def refused(call: object, *arguments: object) -> str:
    with pytest.raises(ExchangeError) as caught:
        call(*arguments)  # type: ignore[operator]
    return str(caught.value.reply)


def test_plain_with_initial_response() -> None:
    """RFC 4616 §4."""
    claim = exchange("PLAIN").begin(b64(b"\0tim\0tanstaaftanstaaf"))

    assert claim == PasswordClaim(mechanism="PLAIN", user=b"tim", password=b"tanstaaftanstaaf")


def test_plain_after_a_prompt() -> None:
    """RFC 4954 §4: `334 ` with nothing behind it."""
    plain = exchange("PLAIN")

    assert plain.begin(None) == Prompt("")
    assert plain.answer(b64(b"tim\0tim\0secret").encode()) == PasswordClaim(
        mechanism="PLAIN", user=b"tim", password=b"secret"
    )


def test_plain_keeps_the_bytes_of_the_password() -> None:
    """Whatever charset the client speaks."""
    claim = exchange("PLAIN").begin(b64("\0zoë\0".encode() + b"gr\xfcn"))

    assert isinstance(claim, PasswordClaim)
    assert (claim.user, claim.password) == ("zoë".encode(), b"gr\xfcn")


def test_plain_on_behalf_of_another() -> None:
    """RFC 4616 §2: the authorization identity must be empty or the user's own."""
    assert refused(exchange("PLAIN").begin, b64(b"boss\0tim\0secret")).startswith("535 5.7.8")


@pytest.mark.parametrize("response", [b"", b"tim", b"tim\0secret", b"\0tim\0sec\0ret", b"\0\0\0"])
def test_plain_that_is_none(response: bytes) -> None:
    """Two NUL, no more and no fewer."""
    assert refused(exchange("PLAIN").begin, b64(response) or "=").startswith("501 5.5.2")


def test_login() -> None:
    """Go's client takes no other prompts than these."""
    login = exchange("LOGIN")

    assert login.begin(None) == Prompt("VXNlcm5hbWU6")
    assert login.answer(b"dGlt") == Prompt("UGFzc3dvcmQ6")
    assert login.answer(b"c2VjcmV0") == PasswordClaim(mechanism="LOGIN", user=b"tim", password=b"secret")


def test_login_with_initial_response() -> None:
    """It is the user's name."""
    login = exchange("LOGIN")

    assert login.begin("dGlt") == Prompt("UGFzc3dvcmQ6")
    assert login.answer(b"c2VjcmV0") == PasswordClaim(mechanism="LOGIN", user=b"tim", password=b"secret")


def test_login_with_empty_answers() -> None:
    """An empty line is an empty response: whether that is a name is for others to say."""
    login = exchange("LOGIN")
    login.begin("=")

    assert login.answer(b"") == PasswordClaim(mechanism="LOGIN", user=b"", password=b"")


def test_cram_md5() -> None:
    """RFC 2195 §2, the example."""
    cram = exchange("CRAM-MD5")

    assert cram.begin(None) == Prompt(b64(CHALLENGE))
    assert cram.answer(b"dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw") == CramMd5Claim(
        user=b"tim", challenge=CHALLENGE, digest=b"b913a602c7eda7a495b4e6e7334d3890"
    )


def test_cram_md5_name_with_blanks() -> None:
    """The digest is behind the last blank."""
    cram = exchange("CRAM-MD5")
    cram.begin(None)

    claim = cram.answer(b64(b"front desk " + b"A" * 32).encode())

    assert isinstance(claim, CramMd5Claim)
    assert claim.user == b"front desk"


def test_cram_md5_takes_no_initial_response() -> None:
    """RFC 4954 §4: the server speaks first."""
    assert refused(exchange("CRAM-MD5").begin, b64(b"tim")).startswith("501")


@pytest.mark.parametrize("response", [b"", b"tim", b"tim 0123", b"tim " + b"g" * 32, b"0" * 32])
def test_cram_md5_that_is_none(response: bytes) -> None:
    """A name, a blank, and 32 hexadecimal digits."""
    cram = exchange("CRAM-MD5")
    cram.begin(None)

    assert refused(cram.answer, b64(response).encode()).startswith("501 5.5.2")


def test_challenge_differs_each_time() -> None:
    """A response that was overheard is worth nothing (RFC 2195 §2), and the form is that of a message id."""
    now = datetime(2026, 11, 21, tzinfo=UTC)
    first = new_challenge(now, "relay.example", lambda size: b"\x01" * size)

    assert first == b"<01010101010101010101010101010101.1795219200@relay.example>"
    assert new_challenge(now, "relay.example", lambda size: b"\x02" * size) != first


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_star_cancels(mechanism: str) -> None:
    """RFC 4954 §4."""
    started = exchange(mechanism)
    started.begin(None)

    assert refused(started.answer, b"*").startswith("501 5.7.0")


def test_unknown_mechanism() -> None:
    """504, RFC 4954 §4."""
    assert refused(exchange, "GSSAPI").startswith("504 5.5.4")


@pytest.mark.parametrize("text", ["dGlt", "dGltIA==", "dGltIA=", "dGltIA", "dGltIGk=", "dGltIGk"])
def test_padding_may_be_missing(text: str) -> None:
    """All, or some of it: what is meant is clear."""
    login = exchange("LOGIN")
    login.begin(text)
    claim = login.answer(b"")

    assert isinstance(claim, PasswordClaim)
    assert claim.user in {b"tim", b"tim ", b"tim i"}


@pytest.mark.parametrize(
    "text", ["d", "dGltI", "dGlt=", "dGltIA===", "dG=lt", "=dGlt", "==", "d Gl", "dGl\x00", "-_-_", "dGlt\udcff", "ü"]
)
def test_what_is_not_base64(text: str) -> None:
    """Only the alphabet of RFC 4648 §4."""
    assert refused(exchange("LOGIN").begin, text).startswith("501 5.5.2")


def step_or_reply(call: Callable[[], Prompt | Claim]) -> Prompt | Claim | Reply:
    try:
        return call()
    except ExchangeError as error:
        return error.reply


@given(st.sampled_from(MECHANISMS), st.lists(st.binary(max_size=200), min_size=1, max_size=4))
def test_any_lines(mechanism: str, lines: list[bytes]) -> None:
    """Whatever comes, there is a prompt, a claim, or a reply that echoes nothing of it."""
    started = exchange(mechanism)
    step: Prompt | Claim | Reply = started.begin(None)
    for line in lines:
        if isinstance(step, Prompt):
            step = step_or_reply(partial(started.answer, line))

    assert not isinstance(step, Reply) or step in vars(replies).values()


@given(st.text(alphabet="ABab01+/=", max_size=40))
def test_any_base64(text: str) -> None:
    """Taken as base64 is what has the right length once its padding is there, and nothing else; and it means what it always does."""
    login = exchange("LOGIN")
    step = step_or_reply(partial(login.begin, text))

    assert isinstance(step, Prompt) is padded(text)
    if not padded(text):
        assert step == replies.AUTH_BASE64
        return
    claim = login.answer(b"")
    assert isinstance(claim, PasswordClaim)
    assert claim.user == (b"" if text == "=" else binascii.a2b_base64(text.rstrip("=") + "=="))


def padded(text: str) -> bool:
    bare = text.rstrip("=")
    return text == "=" or ("=" not in bare and len(bare) % 4 != 1 and len(text) - len(bare) <= -len(bare) % 4)


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_plain_says_what_was_sent(user: bytes, password: bytes) -> None:
    """For all names and passwords without NUL."""
    if b"\0" in user + password:
        return
    claim = exchange("PLAIN").begin(b64(b"\0" + user + b"\0" + password))

    assert claim == PasswordClaim(mechanism="PLAIN", user=user, password=password)


def test_a_claim_does_not_print_its_password() -> None:
    """Nor its digest: a log of it would be worth something."""
    shown = repr(PasswordClaim(mechanism="PLAIN", user=b"tim", password=b"secret"))
    shown += repr(CramMd5Claim(user=b"tim", challenge=b"x", digest=b"b913a602"))

    assert "secret" not in shown
    assert "b913a602" not in shown


@pytest.mark.parametrize(
    ("argument", "code"),
    [(None, "501 5.5.4"), ("", "501 5.5.4"), ("PLAIN a b", "501 5.5.4"), ("CRAM-MD5", "504 5.5.4"), ("X", "504 5.5.4")],
)
def test_command_that_begins_nothing(argument: str | None, code: str) -> None:
    """What is not offered is as good as unknown."""

    async def ask(_prompt: Prompt) -> bytes:
        raise AssertionError("nothing was to be asked")

    with pytest.raises(ExchangeError) as caught:
        asyncio.run(read_claim(argument, mechanisms=("PLAIN", "LOGIN"), challenge=lambda: b"", ask=ask))
    assert str(caught.value.reply).startswith(code)
