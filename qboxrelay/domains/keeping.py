"""A listing as bytes, for the store, and back.

In: `Listing`. Out: JSON. Never: anything of the Management API's resources beyond what a listing has; an account's resource holds a password.
"""

from datetime import datetime
from typing import Any

import orjson

from qboxrelay.model.sender_domain import DeliveryAccount, DeliveryDomain, DomainState, Listing

NAME = "sender_domains"
"""What it is called in the store."""

_VERSION = 1


def to_bytes(listing: Listing) -> bytes:
    return orjson.dumps(
        {
            "version": _VERSION,
            "fetched_at": listing.fetched_at,
            "domains": [_plain(domain) for domain in listing.domains.values()],
            "accounts": list(listing.accounts),
        }
    )


def from_bytes(value: bytes) -> Listing | None:
    """None for what another version wrote, or what is damaged: the Management API will be asked again."""
    try:
        kept = orjson.loads(value)
        if kept["version"] != _VERSION:
            return None
        domains = [_domain(item) for item in kept["domains"]]
        return Listing(
            fetched_at=datetime.fromisoformat(kept["fetched_at"]),
            domains={domain.name: domain for domain in domains},
            accounts=tuple(DeliveryAccount(**item) for item in kept["accounts"]),
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError):
        return None


def _plain(domain: DeliveryDomain) -> dict[str, Any]:
    return {
        "name": domain.name,
        "state": domain.state,
        "code": domain.code,
        "accounts": sorted(domain.accounts),
        "accounts_complete": domain.accounts_complete,
        "words": dict(domain.words),
        "records": domain.records,
        "dkim_selectors": domain.dkim_selectors,
        "spf": domain.spf,
        "dmarc": domain.dmarc,
    }


def _domain(item: dict[str, Any]) -> DeliveryDomain:
    return DeliveryDomain(
        **{
            **item,
            "state": DomainState(item["state"]),
            "accounts": frozenset(item["accounts"]),
            "records": tuple((name, target) for name, target in item["records"]),
            "dkim_selectors": tuple(item["dkim_selectors"]),
        }
    )
