"""What kept the Management API from a usable answer, in a closed set of words, and what to do about it.

In: a status or a failure of the network. Out: `ManagementFailure`. Never: a token or an answer's body.
"""

from qboxrelay.model.sender_domain import ManagementFailure

_KINDS = (
    "it wants a Management API token of a Qboxmail user; a Send API token of a Delivery account is another kind, "
    "and neither opens the other's API"
)
_ADVICE = {
    401: ("unauthorized", f"the Management API refuses the token: {_KINDS}"),
    403: (
        "forbidden",
        "the token's user may not see Delivery domains: give it the API permissions for Delivery in the Qboxmail panel",
    ),
    404: ("not_found", "there is no such path: check base_url of [sender_domains], it ends before /api"),
    429: ("rate", "the Management API asks for fewer requests: make refresh longer"),
}
"""Statuses and their meaning: API page errors-retries; 429 is not listed there for the Management API."""


def http_failure(status: int, message: str) -> ManagementFailure:
    """`message` is the API's own, already made one line."""
    reason, advice = _ADVICE.get(status) or _by_class(status)
    said = f" (HTTP {status}: {message})" if message else f" (HTTP {status})"
    return ManagementFailure(reason, advice + said)


def failure_of(error: Exception) -> ManagementFailure:
    """A failure of the network, without what was sent."""
    return ManagementFailure("connect", f"cannot reach the Management API: {type(error).__name__}: {error}"[:300])


def _by_class(status: int) -> tuple[str, str]:
    if 300 <= status < 400:
        return "redirected", "the Management API is somewhere else: check base_url of [sender_domains]"
    if status >= 500:
        return "server", "the Management API is not well"
    return "refused", "the Management API refuses the request"
