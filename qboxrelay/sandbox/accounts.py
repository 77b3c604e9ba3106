"""Delivery accounts and Delivery domains, and the ones the sandbox starts with.

In: a token, a sender domain. Out: the account it opens, whether it may send. Never: names that could be somebody's.
"""

import ipaddress
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

TRANSACTIONAL_ID = 1
NEWSLETTER_ID = 2


class Account(BaseModel):
    """One Delivery account. `remaining_messages` is its quota; None is no limit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: int
    username: str
    send_token: str
    type: Literal["transactional", "newsletter"] = "transactional"
    enabled: bool = True
    remaining_messages: int | None = Field(default=None, ge=0)
    messages_sent: int = 0
    allow_nets: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()
    """Where requests may come from; empty is anywhere."""
    ignore_suppression_list: bool = False

    def admits(self, client: str) -> bool:
        return not self.allow_nets or any(ipaddress.ip_address(client) in net for net in self.allow_nets)


class Domain(BaseModel):
    """One Delivery domain. That `display_status` uses the words of the documented filter is ASSUMED."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    code: str
    display_status: Literal["enabled", "not_verified", "misconfigured", "disabled", "blocked"] = "enabled"
    approval_status: str = "approved"
    accounts: tuple[int, ...] = (TRANSACTIONAL_ID,)
    """Ids of the accounts that it is assigned to."""

    def may_send(self, account_id: int) -> bool:
        """A misconfigured domain is active (API page getApiDeliveryDomains)."""
        return self.display_status in {"enabled", "misconfigured"} and account_id in self.accounts


def default_accounts(send_token: str, quota: int | None) -> tuple[Account, ...]:
    """A transactional account with the given token, and a newsletter account with a token of its own."""
    return (
        Account(id=TRANSACTIONAL_ID, username="sandbox", send_token=send_token, remaining_messages=quota),
        Account(id=NEWSLETTER_ID, username="sandbox-news", send_token=f"{send_token}-newsletter", type="newsletter"),
    )


def default_domains() -> tuple[Domain, ...]:
    """Two domains that may send from the transactional account, one of the newsletter account, one in each other state."""
    return (
        Domain(name="example.com", code="DD00000001"),
        Domain(name="example.org", code="DD00000002"),
        Domain(name="not-verified.example", code="DD00000003", display_status="not_verified"),
        Domain(name="misconfigured.example", code="DD00000004", display_status="misconfigured"),
        Domain(name="disabled.example", code="DD00000005", display_status="disabled"),
        Domain(name="blocked.example", code="DD00000006", display_status="blocked"),
        Domain(
            name="need-approval.example",
            code="DD00000007",
            display_status="not_verified",
            approval_status="need_approval",
        ),
        Domain(name="unassigned.example", code="DD00000008", accounts=()),
        Domain(name="news.example", code="DD00000009", accounts=(NEWSLETTER_ID,)),
    )
