"""Which ids travel beside a figure, so that a point of a graph leads to a mail.

In: the API's request_id and our transaction id. Out: the labels of an OpenMetrics exemplar, or None. Never: more than the 128 characters that
OpenMetrics allows for names and values together, or a character that is not printable.
"""

_MAX_REQUEST_ID = 64


def exemplar(request_id: str | None, transaction_id: str | None) -> dict[str, str] | None:
    """`request_id` is the API's, and so of any form; `transaction_id` is ours, of 26 characters."""
    labels = {}
    if request_id:
        labels["request_id"] = printable(request_id)
    if transaction_id:
        labels["transaction_id"] = transaction_id
    return labels or None


def printable(request_id: str) -> str:
    """An id as the API gave it, cut, and with `?` for what is no printable ASCII."""
    cut = request_id[:_MAX_REQUEST_ID]
    return cut if cut.isascii() and cut.isprintable() else "".join(c if " " <= c <= "~" else "?" for c in cut)
