"""Fuzzes the mapping: whatever the bytes, a message or a refusal, then JSON or a refusal.

Run: `python -m tests.fuzz.mapping [CORPUS_DIR] -max_total_time=120 -max_len=65536 -timeout=10`, with atheris installed. It keeps
what it finds in CORPUS_DIR, which need not exist. A crash or a time-out leaves a file named `crash-…` or `timeout-…`: it belongs among the golden mails.
"""

import base64
import gc
import sys
from pathlib import Path
from types import FunctionType

import orjson

from qboxrelay.intake.compose import compose
from qboxrelay.mime.parse import parse
from qboxrelay.model.address import Address
from qboxrelay.model.reply import Refusal
from qboxrelay.settings.schema.mapping import MappingSettings

_SETTINGS = MappingSettings(max_recipients_per_submission=3)
_SENDER = Address("sender", "example.com")
_GOLDEN = Path(__file__).parent.parent / "mail"


def check_mapping(raw: bytes) -> None:
    """One input: every promise that holds for any bytes."""
    try:
        message = parse(raw)
        named = [mailbox.address for mailbox in (*message.to[:3], *message.cc[:3])]
        recipients = [*named, Address("blind", "example.com")]
        composed = compose(
            message,
            transaction_id="T",
            sender=_SENDER,
            recipients=recipients,
            settings=_SETTINGS,
            max_submission_bytes=10_000_000,
        )
    except Refusal:
        return
    mailed = []
    for draft in composed.drafts:
        entry = orjson.loads(draft.payload)
        assert b"\\u0000" not in draft.payload
        assert entry["subject"]
        assert entry.get("text_body") or entry.get("html_body")
        assert "\n" not in entry["subject"]
        for attachment in entry.get("attachments", []):
            base64.b64decode(attachment["content"], validate=True)
            assert attachment["filename"]
            assert (attachment["disposition"] == "inline") == ("content_id" in attachment)
        mailed += [mailbox["address"] for key in ("to", "cc", "bcc") for mailbox in entry.get(key, [])]
    assert {address.exact_key for draft in composed.drafts for address in draft.recipients} == {
        recipient.exact_key for recipient in recipients
    }
    assert len(mailed) == len({recipient.exact_key for recipient in recipients})


def main() -> None:
    """Start the fuzzer with the golden mails as seeds."""
    import atheris

    for folder in sys.argv[1:]:
        if not folder.startswith("-"):
            Path(folder).mkdir(parents=True, exist_ok=True)
    seeds = [str(path) for path in sorted(_GOLDEN.glob("*/message.eml"))]
    for function in gc.get_objects():
        if isinstance(function, FunctionType) and str(function.__module__).startswith("qboxrelay."):
            atheris.instrument_func(function)
    atheris.Setup([*sys.argv, f"-seed_inputs={','.join(seeds)}"] if seeds else sys.argv, check_mapping)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
