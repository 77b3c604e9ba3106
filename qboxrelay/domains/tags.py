"""Tag lists of DKIM and DMARC records (RFC 6376 §3.2, RFC 7489 §6.4).

In: text. Out: values by tag. Never: an error.
"""


def parse_tags(text: str) -> dict[str, str]:
    """The tags in order, names in lower case; of a tag that stands twice, the first."""
    tags: dict[str, str] = {}
    for part in text.split(";"):
        name, equals, value = part.partition("=")
        if equals:
            tags.setdefault(name.strip().lower(), value.strip())
    return tags
