"""The fuzzer's check holds for the golden mails and for damaged copies of them."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.mapping import check_mapping

_MAILS = sorted((Path(__file__).parent.parent / "mail").glob("*/message.eml"))


@pytest.mark.skipif(not _MAILS, reason="the golden mails are not part of this tree")
@settings(max_examples=max(200, settings().max_examples), suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_damaged_mails_keep_the_promises(data: st.DataObject) -> None:
    """Octets cut out, doubled, exchanged between two mails: still a message or a refusal."""
    raw = data.draw(st.sampled_from(_MAILS)).read_bytes()
    other = data.draw(st.sampled_from(_MAILS)).read_bytes()
    start, stop = sorted((data.draw(st.integers(0, len(raw))), data.draw(st.integers(0, len(raw)))))
    insert = data.draw(
        st.sampled_from([b"", raw[start:stop] * 2, other, b"\x00", b"\r", b"\n\n", b"=", b"--", b"=?utf-8?q?", b"\xff"])
    )

    check_mapping(raw[:start] + insert + raw[stop:])
