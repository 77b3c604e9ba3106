"""The suppression list (API pages getApiDeliverySuppressionLists and its siblings).

In: addresses with a reason. Out: resources, and whether an address is suppressed. Never: an address that nobody put there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

REASONS = ("complaint", "bounce")


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppression:
    id: int
    email: str
    reason: str
    created_at: str

    def resource(self) -> dict[str, Any]:
        """The documented fields. That `category` repeats the reason is ASSUMED."""
        return {
            "active": True,
            "id": self.id,
            "email": self.email,
            "customer_id": 1,
            "reason": self.reason,
            "category": self.reason,
            "message": "",
            "message_translated": "",
            "accounts": [],
            "created_at": self.created_at,
        }


class SuppressionList:
    """That case does not matter is ASSUMED."""

    def __init__(self) -> None:
        self._known: dict[str, Suppression] = {}
        self._number = 0

    def __bool__(self) -> bool:
        return bool(self._known)

    def add(self, email: str, reason: str, created_at: str) -> None:
        self._number += 1
        self._known[email.lower()] = Suppression(id=self._number, email=email, reason=reason, created_at=created_at)

    def holds(self, email: str) -> bool:
        return email.lower() in self._known

    def find(self, email: str) -> Suppression | None:
        return self._known.get(email.lower())

    def matching(self, query: Mapping[str, str]) -> list[Suppression]:
        """Those that fit the documented filters `query`, `reason` and `status`; all of ours are enabled."""
        text, reason = query.get("query", "").lower(), query.get("reason")
        if query.get("status") == "disabled":
            return []
        return [one for key, one in self._known.items() if text in key and reason in {None, "", one.reason}]
