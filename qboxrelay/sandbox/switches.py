"""What the public documentation leaves open, as switches.

In: new values as JSON, at run time. Out: `Switches`. Never: an undocumented behaviour of the emulator that is not named here.
"""

from collections.abc import Mapping
from typing import Any, Literal, Self

import orjson
from pydantic import BaseModel, ConfigDict, Field

from qboxrelay.sandbox.errors import Kind, default_status

Shape = Literal["codes", "names", "objects", "string"]


class ErrorShape(BaseModel):
    """How one kind of error looks; None leaves the default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: int | None = Field(default=None, ge=200, le=599)
    slug: str | None = None


class Switches(BaseModel):
    """Everything here is ASSUMED: the public documentation does not say it. Changed at run time with PUT /sandbox/switches.

    Where the documentation is silent about what a request may hold, the default refuses, so that a client which relies on it is noticed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    bcc_only: bool = False
    """A message without `to` and `cc` is accepted."""
    nulls: bool = False
    """Optional fields may be null."""
    empty_lists: bool = False
    """Address lists may be empty arrays."""
    unknown_fields: bool = False
    """Fields that the reference does not list are ignored; documented for /v1/send/bulk only."""
    empty_subject: bool = True
    """An empty subject is accepted."""
    empty_body: bool = True
    """An empty body is accepted."""
    nul_characters: bool = False
    """NUL is accepted in subject and bodies."""
    non_ascii_addresses: bool = True
    """Addresses may hold characters beyond ASCII."""
    header_syntax: bool = True
    """Header names that are no RFC 5322 field names, and line ends in values, are refused."""
    reserved_headers: tuple[str, ...] = ()
    """Header names that are refused."""
    max_recipients: int | None = None
    """Most recipients of one message."""
    sender_domain: Literal["refuse", "accept"] = "refuse"
    """What becomes of a message whose From domain is not an enabled domain of the token's account. The checklist asks for one."""
    suppressed: Literal["accept", "refuse"] = "accept"
    """What becomes of a request whose recipients are all suppressed."""

    entries: Literal["message", "recipient", "none"] = "message"
    """A 202 has one entry for each message, for each recipient, or none."""
    entry_order: Literal["request", "reversed"] = "request"
    """The order of the entries."""
    entry_to: bool = True
    """Entries name a recipient in `to`: in the type of the published example only."""
    message_ids: bool = True
    """Entries carry a `message_id`."""
    keep_message_id: bool = False
    """The `message_id` is the Message-ID header that was handed in, without brackets."""
    queued_counts: Literal["messages", "recipients"] = "messages"
    """What `queued_messages` counts."""
    suppression_summary: Literal["request", "entry", "none"] = "request"
    """Where the `suppression_summary` stands."""
    error_request_id: bool = True
    """Error bodies carry a `request_id`."""
    errors: Mapping[Kind, ErrorShape] = {}
    """Status and slug for each kind of error; a kind that is missing has its default."""

    rate_limit: bool = True
    """Requests above the documented rate get 429."""
    rate_burst: int = Field(default=10, ge=1)
    """Requests that an idle token may send at once before the rate holds it."""
    rate_retry_after: Literal["seconds", "date", "none"] = "seconds"
    """The form of Retry-After in the 429 for the rate; the documentation allows it to be missing."""

    account_domains: Shape = "objects"
    """The shape of an account's `domains`."""
    domain_accounts: Shape = "objects"
    """The shape of a domain's `accounts`; codes are ids."""
    with_domains_required: bool = False
    """Accounts carry `domains` only when the query has `with_domains`."""
    everything_is_text: bool = False
    """All values of the Management API are strings, as in the reference's samples."""
    dns_records: Literal["objects", "strings", "text"] = "objects"
    """The shape of `cname_verification_records`."""
    max_per: int = Field(default=100, ge=1)
    """Cap on `per`."""

    def changed(self, values: Mapping[str, Any]) -> Self:
        """The same with other values. Raises ValueError for a name that is not a switch or a value that does not fit."""
        return type(self).model_validate_json(orjson.dumps({**self.model_dump(mode="json"), **values}))

    def error(self, kind: Kind) -> tuple[int, str]:
        """Status and slug of an error."""
        shape = self.errors.get(kind) or ErrorShape()
        return shape.status or default_status(kind), shape.slug or kind
