"""Whether a text can be the address of a web service.

In: a text. Out: what is wrong with it, in words for people; empty when nothing is. Never: a question to the network.
"""

from urllib.parse import urlsplit


def web_address_fault(url: str) -> str:
    """Empty for an http or https URL with a host and without a user, a query or a fragment (RFC 3986)."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "is not a URL"
    if parts.scheme not in {"http", "https"} or not host:
        return "is not a URL of a web service"
    if parts.username is not None or parts.query or parts.fragment:
        return "must not hold a user, a query or a fragment"
    return ""
