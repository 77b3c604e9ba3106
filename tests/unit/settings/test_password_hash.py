"""Password hashes as text."""

import argon2
import pytest

from qboxrelay.policy.login.hashing import hash_password
from qboxrelay.settings.password_hash import MAX_LANES, MAX_MEMORY_KIB, MAX_PASSES, Cost, cost, parse_password_hash
from qboxrelay.settings.types import Secret

SALT, DIGEST = "c29tZXNhbHRzb21lc2FsdA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"


def phc(variant: str = "argon2id", m: int = 65_536, t: int = 3, p: int = 4) -> str:
    return f"${variant}$v=19$m={m},t={t},p={p}${SALT}${DIGEST}"


@pytest.mark.parametrize("variant", ["argon2id", "argon2i", "argon2d"])
def test_hashes_of_other_tools_are_read(variant: str) -> None:
    """All that argon2 writes; it does not print."""
    parsed = parse_password_hash(phc(variant))

    assert parsed == Secret(phc(variant))
    assert SALT not in repr(parsed)
    assert parsed is not None
    assert cost(parsed) == Cost(65_536, 3, 4)


@pytest.mark.parametrize("parameters", [(19_456, 2, 1), (47_104, 1, 1), (8, 1, 1), (64, 4, 8)])
def test_what_argon2_writes_is_read(parameters: tuple[int, int, int]) -> None:
    """Whatever the cost, up to the limits."""
    memory, passes, lanes = parameters
    text = argon2.PasswordHasher(time_cost=passes, memory_cost=memory, parallelism=lanes).hash("hunter2")

    parsed = parse_password_hash(text)

    assert parsed is not None
    assert cost(parsed) == Cost(*parameters)


@pytest.mark.parametrize("absent", [None, ""])
def test_none(absent: str | None) -> None:
    """TOML has no null."""
    assert parse_password_hash(absent) is None


@pytest.mark.parametrize(
    "text",
    [
        "hunter2", "$2b$12$KIXQJ8Zk1Y0a7e6cQq6H8uY7J3e1b0o3Zz8l0c1u5x5c6l0Vw3b5K", "$6$salt$hash", phc("scrypt"),
        phc() + "\n", " " + phc(), phc()[:-5] + "$", phc().replace("v=19", "v=16"), phc().replace(SALT, "c2FsdA"),
        phc()[:-1] + "B", phc().replace(SALT, SALT + "abc"), phc(m=15, p=2), phc().replace("m=", "m=0"), 17,
    ],
)  # fmt: skip
def test_what_is_no_hash(text: object) -> None:
    """It says what to do, and nothing of the text: it may be the password."""
    with pytest.raises(ValueError, match=r"hash-password|less memory") as caught:
        parse_password_hash(text)
    assert str(text) not in str(caught.value)


@pytest.mark.parametrize("text", [phc(m=MAX_MEMORY_KIB + 1), phc(t=MAX_PASSES + 1), phc(p=MAX_LANES + 1)])
def test_what_is_too_dear(text: str) -> None:
    """Memory and threads stay bounded by what is stated."""
    with pytest.raises(ValueError, match="takes more than the relay gives a login"):
        parse_password_hash(text)


@pytest.mark.parametrize(
    ("parameters", "weak"),
    [((19_456, 2), False), ((7_168, 5), False), ((47_104, 1), False), ((7_168, 4), True), ((4_096, 16), True), ((8, 1), True)],
)  # fmt: skip
def test_weak(parameters: tuple[int, int], weak: bool) -> None:
    """Below the least of OWASP's choices."""
    assert Cost(*parameters, 1).is_weak is weak


def test_our_own_are_none_of_it() -> None:
    """What `hash-password` prints passes."""
    parsed = parse_password_hash(hash_password(b"hunter2"))

    assert parsed is not None
    assert not cost(parsed).is_weak
