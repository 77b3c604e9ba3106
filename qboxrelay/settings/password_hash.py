"""Password hashes as text: the PHC string format of argon2.

In: text from the configuration or a file. Out: a `Secret` that is such a string, and what computing it costs. Never: hashing, and no part
of a hash in an error.
"""

import base64
import re
from dataclasses import dataclass
from typing import Annotated

from qboxrelay.settings.typed import BeforeValidator
from qboxrelay.settings.types import Secret

MAX_MEMORY_KIB = 256 * 1024
"""What one hash may take. Two are computed at a time, so that logins never take more than twice this."""
MAX_PASSES = 16
MAX_LANES = 16

# https://github.com/P-H-C/phc-string-format, as argon2's reference implementation writes it: salt and hash in base64 without padding.
_PHC = re.compile(
    r"\$argon2(?:id|i|d)\$v=19\$m=(?P<m>[1-9][0-9]{0,9}),t=(?P<t>[1-9][0-9]{0,9}),p=(?P<p>[1-9][0-9]{0,9})"
    r"\$(?P<salt>[A-Za-z0-9+/]{11,86})\$(?P<hash>[A-Za-z0-9+/]{16,172})"
)
_WEAKEST_WORK_KIB = 35_840
_WEAKEST_MEMORY_KIB = 7_168
"""The least of OWASP's password storage cheat sheet: 7 MiB with 5 passes; its other choices take more memory and fewer passes."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What computing a hash takes: `memory_kib` of memory, `passes` over it, in so many `lanes`."""

    memory_kib: int
    passes: int
    lanes: int

    @property
    def is_weak(self) -> bool:
        """Whether whoever gets hold of the hash could guess faster than one should let them."""
        return self.memory_kib < _WEAKEST_MEMORY_KIB or self.memory_kib * self.passes < _WEAKEST_WORK_KIB


def parse_password_hash(value: object) -> Secret | None:
    """Read an argon2 hash. Raises ValueError, with what to do instead, for what is none or is too dear to compute."""
    if value is None or value == "":
        return None
    text = value.reveal() if isinstance(value, Secret) else value
    found = _PHC.fullmatch(text) if isinstance(text, str) else None
    if found is None or not (_is_base64(found["salt"]) and _is_base64(found["hash"])):
        raise ValueError("is not an argon2 hash; make one with `qboxrelay hash-password`, and copy the whole line")
    memory, passes, lanes = (int(found[name]) for name in "mtp")
    if memory > MAX_MEMORY_KIB or passes > MAX_PASSES or lanes > MAX_LANES:
        raise ValueError(
            f"takes more than the relay gives a login ({MAX_MEMORY_KIB // 1024} MiB, {MAX_PASSES} passes, {MAX_LANES} lanes)"
            "; make one with `qboxrelay hash-password`"
        )
    if memory < 8 * lanes:
        raise ValueError("is not an argon2 hash; it has less memory than argon2 asks for")
    return Secret(str(text))


def cost(password_hash: Secret) -> Cost:
    """The cost of a hash that `parse_password_hash` has let through."""
    found = _PHC.fullmatch(password_hash.reveal())
    assert found is not None
    return Cost(int(found["m"]), int(found["t"]), int(found["p"]))


def _is_base64(text: str) -> bool:
    """Whether argon2 would read it: without padding, and with nothing in the bits that are left over."""
    if len(text) % 4 == 1:
        return False
    return base64.b64encode(base64.b64decode(text + "=" * (-len(text) % 4))).decode().rstrip("=") == text


OptionalPasswordHash = Annotated[Secret | None, BeforeValidator(parse_password_hash)]
