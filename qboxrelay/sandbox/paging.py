"""Lists of the Management API (API page responses-pagination).

In: everything that fits a query. Out: one page of it. Never: a page number or size that the query did not ask for, but for the cap.
"""

from typing import Any

from starlette.datastructures import QueryParams

from qboxrelay.sandbox.switches import Switches


def page_of(found: list[dict[str, Any]], query: QueryParams, switches: Switches, *, per: int = 25) -> dict[str, Any]:
    """`resources` and `pagination`."""
    page = _number(query, "page", 1)
    per = min(_number(query, "per", per), switches.max_per)
    pagination = {
        "per": per,
        "page": page,
        "total_pages": max(1, -(-len(found) // per)),
        "query": query.get("query"),
        "filter": None,
        "status": query.get("status"),
        "sort_field": query.get("sort_field"),
        "sort": query.get("sort"),
        "total_records": len(found),
    }
    return {"resources": found[(page - 1) * per : page * per], "pagination": pagination}


def sorted_by(found: list[dict[str, Any]], query: QueryParams) -> list[dict[str, Any]]:
    """In the order of `sort_field` and `sort`; anything else leaves the order."""
    field, direction = query.get("sort_field"), query.get("sort")
    if not field or direction not in {"asc", "desc"}:
        return found
    return sorted(found, key=lambda resource: str(resource.get(field, "")), reverse=direction == "desc")


def _number(query: QueryParams, name: str, default: int) -> int:
    value = query.get(name, "")
    return max(1, int(value)) if value.isdecimal() and len(value) < 10 else default
