"""Transaction ids: the time they carry, and that nobody else has the same."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from qboxrelay.model.ids import is_submission_id, new_id, submission_id

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@given(st.integers(0, 200_000_000_000_000))
def test_an_id_begins_with_its_time(milliseconds: int) -> None:
    """Milliseconds in ten letters of base 32, as a ULID has them; what is before 1970 counts as its beginning."""
    at = EPOCH + timedelta(milliseconds=milliseconds)
    id_ = new_id(at)
    number = 0
    for letter in id_[:10]:
        number = number * 32 + ALPHABET.index(letter)

    # A datetime's reading as a float may fall short of its millisecond by a hair.
    assert number in {milliseconds - 1, milliseconds}
    assert is_submission_id(submission_id(id_, 1))
    assert new_id(EPOCH - timedelta(days=1)).startswith("0" * 10)


def test_ids_of_one_moment_differ() -> None:
    """More than are got from the system at once; each place takes every letter."""
    rest = [new_id(EPOCH)[10:] for _ in range(2000)]

    assert len(set(rest)) == len(rest)
    assert all(set(letters) == set(ALPHABET) for letters in zip(*rest, strict=True))


FORK = """
import os
from datetime import UTC, datetime
from qboxrelay.model.ids import new_id
new_id(datetime.now(UTC))
child = os.fork()
if child:
    os.waitpid(child, 0)
print(*[new_id(datetime.now(UTC))[10:] for _ in range(300)], flush=True)
"""


def test_a_fork_goes_its_own_way() -> None:
    """Parent and child never give the same id."""
    ids = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, check=True).stdout.split()

    assert len(set(ids)) == len(ids) == 600
