"""The users and their secrets, with something in the place of those who do not exist.

In: names as clients send them. Out: the user or None, and always a hash and a secret to compute with. Never: less work for a name that
nobody has.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qboxrelay.model.ids import RandomBytes
from qboxrelay.policy.login.hashing import hash_password
from qboxrelay.settings.schema import UserSettings
from qboxrelay.settings.types import Secret
from qboxrelay.settings.user_secrets import UserSecrets


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What a name stands for. `password_hash` and `cram_md5` are decoys, which nothing matches, where `has_…` is False."""

    settings: UserSettings | None
    password_hash: Secret
    cram_md5: bytes
    has_password: bool
    has_cram_md5: bool


class Credentials:
    """All users of the configuration."""

    def __init__(
        self, users: Sequence[UserSettings], secrets: Mapping[str, UserSecrets], random_bytes: RandomBytes
    ) -> None:
        self._users = {user.name: user for user in users}
        self._secrets = secrets
        self._key = random_bytes(32)
        hashes = [one.password_hash for one in secrets.values() if one.password_hash is not None]
        self._decoys = [_decoy(one, random_bytes) for one in hashes or [Secret(hash_password(random_bytes(16)))]]

    def candidate(self, name: bytes) -> Candidate:
        """The user of that name, else somebody who could be one."""
        text = name.decode("utf-8", "surrogateescape")
        secrets = self._secrets.get(text, _NOTHING)
        decoy_hash, decoy_secret = self._pretended(name)
        return Candidate(
            settings=self._users.get(text),
            password_hash=secrets.password_hash or decoy_hash,
            cram_md5=secrets.cram_md5.reveal().encode() if secrets.cram_md5 is not None else decoy_secret,
            has_password=secrets.password_hash is not None,
            has_cram_md5=secrets.cram_md5 is not None,
        )

    def _pretended(self, name: bytes) -> tuple[Secret, bytes]:
        """The same for a name each time, and chosen as the users' own costs are spread, so that time tells nobody who is a user."""
        draw = hashlib.blake2b(name, key=self._key, digest_size=16).digest()
        return self._decoys[int.from_bytes(draw, "big") % len(self._decoys)], draw


_NOTHING = UserSecrets()


def _decoy(password_hash: Secret, random_bytes: RandomBytes) -> Secret:
    """A hash of nothing, that costs the same."""
    *head, salt, digest = password_hash.reveal().split("$")
    return Secret("$".join([*head, _random_base64(salt, random_bytes), _random_base64(digest, random_bytes)]))


def _random_base64(like: str, random_bytes: RandomBytes) -> str:
    return base64.b64encode(random_bytes(len(like) * 3 // 4)).decode().rstrip("=")
