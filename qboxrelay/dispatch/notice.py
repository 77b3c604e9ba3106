"""A notice as a submission: a mail of the relay's own, in the fields of the Send API.

In: what is to be told, to whom, an id. Out: `Submission`, from the null sender as every notice is (RFC 3464 §2, RFC 3834 §3.3). Never: a
notice that could be taken for a mail that somebody wrote.

The fields of RFC 3464 travel as an attachment of plain text: the API has no field for multipart/report, and message/delivery-status must
not be encoded (RFC 3464 §2.1), which is what the API would do with an attachment.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson

from qboxrelay.dispatch import notice_text
from qboxrelay.dispatch.notice_text import Report
from qboxrelay.model.ids import submission_id
from qboxrelay.model.submission import Submission
from qboxrelay.settings.schema import NoticeSettings

CLIENT_KEY = "notices"
"""Notices wait in a line of their own, so that many of them delay no application."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Who writes notices."""

    settings: NoticeSettings
    hostname: str
    account: str
    max_age: timedelta

    def about_one(self, report: Report, address: str, transaction_id: str, now: datetime) -> Submission:
        """A notice about one mail, in its thread."""
        headers: dict[str, str] = {}
        if _is_message_id(report.first.message_id_header):
            headers = {"In-Reply-To": report.first.message_id_header, "References": report.first.message_id_header}
        entry = {
            "subject": notice_text.subject(report),
            "text_body": notice_text.for_people(report, self.hostname, self.max_age),
            "attachments": [_attachment(notice_text.status_fields(report, self.hostname, self.max_age))],
        }
        return self._submission(entry, headers, address, transaction_id, now)

    def about_many(self, reports: Sequence[Report], address: str, transaction_id: str, now: datetime) -> Submission:
        """A digest."""
        entry = {
            "subject": f"{len(reports)} mails undelivered or delayed",
            "text_body": notice_text.digest(reports, self.hostname),
        }
        return self._submission(entry, {}, address, transaction_id, now)

    def _submission(
        self, entry: dict[str, Any], headers: dict[str, str], address: str, transaction_id: str, now: datetime
    ) -> Submission:
        id_ = submission_id(transaction_id, 1)
        from_ = {"address": self.settings.from_address, "name": self.settings.from_name}
        payload = {
            "from": from_ if from_["name"] else {"address": from_["address"]},
            "to": [{"address": address}],
            "headers": {"X-Qboxrelay-Id": id_, "Auto-Submitted": "auto-replied", **headers},
            **entry,
        }
        return Submission(
            id=id_,
            transaction_id=transaction_id,
            account=self.account,
            client_key=CLIENT_KEY,
            payload=orjson.dumps(payload),
            received_at=now,
            envelope_sender="",
            recipients=(address,),
            is_notice=True,
            from_address=self.settings.from_address,
            subject=str(entry["subject"]),
        )


def _attachment(fields: str) -> dict[str, str]:
    charset = "us-ascii" if fields.isascii() else "utf-8"
    return {
        "filename": "delivery-status.txt",
        "content_type": f"text/plain; charset={charset}",
        "disposition": "attachment",
        "content": base64.b64encode(fields.encode()).decode("ascii"),
    }


def _is_message_id(text: str) -> bool:
    return text.startswith("<") and text.endswith(">") and text.isprintable() and len(text) <= 900
