"""Names that nobody has look like names that somebody has."""

from collections import Counter

import argon2

from qboxrelay.policy.login.credentials import Credentials
from qboxrelay.settings.password_hash import Cost, cost, parse_password_hash
from qboxrelay.settings.types import Secret
from qboxrelay.settings.user_secrets import UserSecrets
from tests.support.logins import settings_of


class Bytes:
    """Random bytes that are the same in every run, and never the same twice."""

    def __init__(self) -> None:
        self._calls = 0

    def __call__(self, size: int) -> bytes:
        self._calls += 1
        return (self._calls.to_bytes(2, "big") * size)[:size]


def hashed(memory: int, passes: int) -> Secret:
    return Secret(argon2.PasswordHasher(time_cost=passes, memory_cost=memory, parallelism=1).hash("hunter2"))


def test_unknown_names_cost_what_known_ones_do() -> None:
    """Each name has its cost, the same each time, out of those that the users have and as often as they have them."""
    settings, _ = settings_of([{"name": name, "password": "x"} for name in ("a", "b", "c", "d")])
    dear, cheap = hashed(64, 2), hashed(8, 1)
    secrets = {name: UserSecrets(password_hash=dear if name == "a" else cheap) for name in "abcd"}
    users = Credentials(settings.users, secrets, Bytes())

    names = [b"stranger%d" % number for number in range(400)]
    costs = [cost(users.candidate(name).password_hash) for name in names]
    again = [cost(users.candidate(name).password_hash) for name in names]

    assert costs == again
    drawn = Counter(costs)
    assert set(drawn) == {Cost(64, 2, 1), Cost(8, 1, 1)}
    assert 50 < drawn[Cost(64, 2, 1)] < 150


def test_decoys_are_hashes_that_nothing_matches() -> None:
    """They are computed like any other."""
    settings, secrets = settings_of([{"name": "erp", "password": "hunter2"}])
    decoy = Credentials(settings.users, secrets, Bytes()).candidate(b"stranger").password_hash

    assert parse_password_hash(decoy) == decoy
    for guess in (b"hunter2", b"", b"stranger"):
        try:
            argon2.PasswordHasher().verify(decoy.reveal(), guess)
        except argon2.exceptions.VerifyMismatchError:
            continue
        raise AssertionError(guess)


def test_where_nobody_has_a_hash_a_default_stands_in() -> None:
    """Users with CRAM-MD5 alone: PLAIN costs as much as elsewhere."""
    settings, secrets = settings_of([{"name": "mfp", "cram_md5": "hunter2"}])
    candidate = Credentials(settings.users, secrets, Bytes()).candidate(b"mfp")

    assert candidate.settings is not None
    assert not candidate.has_password
    assert cost(candidate.password_hash) == Cost(19_456, 2, 1)
    assert candidate.cram_md5 == b"hunter2"


def test_names_are_exact() -> None:
    """Bytes that are no UTF-8, other letters, blanks: other names."""
    settings, secrets = settings_of([{"name": "zoë", "password": "x"}])
    users = Credentials(settings.users, secrets, Bytes())

    assert users.candidate("zoë".encode()).settings is not None
    for name in ("zoë".encode("latin-1"), "Zoë".encode(), "zoë ".encode(), b"", b"\xff"):
        assert users.candidate(name).settings is None
