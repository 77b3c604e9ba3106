"""What may stop a request that is well-formed: the account, the rate, the sender's domain, the quota.

In: an account, messages that passed the checks. Out: None, or the problem. Never: a change; only acceptance spends quota.
"""

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request

from qboxrelay.sandbox.accounts import Account
from qboxrelay.sandbox.addresses import domain_of, read_mailbox
from qboxrelay.sandbox.check import recipients_of
from qboxrelay.sandbox.errors import Problem
from qboxrelay.sandbox.state import State


def check_account(account: Account | None, request: Request) -> Problem | None:
    if account is None:
        return Problem("unauthorized", "Missing or invalid bearer token.")
    if request.client is not None and not account.admits(request.client.host):
        return Problem("ip_not_allowed", "This address may not use the token.")
    if not account.enabled:
        return Problem("account_disabled", "The Delivery account is not enabled.")
    return None


def check_limits(state: State, account: Account, messages: list[Any], wait: float) -> Problem | None:
    if wait:
        return Problem("rate_limited", f"Too many requests: {state.config.requests_per_second} per second.")
    problem = _check_senders(state, account, messages) or _check_suppression(state, account, messages)
    if problem is not None:
        return problem
    if account.remaining_messages is not None and len(messages) > account.remaining_messages:
        return Problem("quota_exceeded", "The account's quota does not hold this request.")
    return None


def _check_senders(state: State, account: Account, messages: list[Any]) -> Problem | None:
    if state.switches.sender_domain == "accept":
        return None
    usable = state.sender_domains(account.id)
    for position, message in enumerate(messages):
        if domain_of(read_mailbox(message["from"]) or "") not in usable:
            text = f"messages[{position}]: the domain of `from` is not an enabled domain of this account."
            return Problem("sender_domain", text)
    return None


def _check_suppression(state: State, account: Account, messages: list[Any]) -> Problem | None:
    if state.switches.suppressed == "accept":
        return None
    everyone = [address for message in messages for address in recipients_of(message)]
    if len(suppressed_of(state, account, everyone)) < len(everyone):
        return None
    return Problem("suppressed", "Every recipient is on the suppression list.")


def suppressed_of(state: State, account: Account, recipients: Sequence[str]) -> list[str]:
    """Those of the recipients that the account's mail will not reach."""
    if not state.suppressions or account.ignore_suppression_list:
        return []
    return [address for address in recipients if state.suppressions.holds(address)]
