"""Whether a mail is quick to read, told from a glance at its bytes.

In: the bytes. Out: yes or no. Never: a look at what they mean; a wrong no costs a hand-over to a thread, a wrong yes a few milliseconds.

What takes long per octet is addresses and fields, all in the header, and parts, each of which begins with a line of two hyphens.
"""

_MAX_HEADER_BYTES = 8 * 1024
_MAX_PART_LINES = 100


def is_light(raw: bytes) -> bool:
    """Whether a mail of up to 64 KB is mapped in less than about twenty milliseconds, however it was made up."""
    end = raw.find(b"\n\r\n", 0, _MAX_HEADER_BYTES)
    if end < 0:
        end = raw.find(b"\n\n", 0, _MAX_HEADER_BYTES)
    # To count the lines is most of the work, and needless where the mail is one part.
    return end >= 0 and (_is_one_part(raw, end) or _part_lines(raw) <= _MAX_PART_LINES)


def _part_lines(raw: bytes) -> int:
    """With those that begin behind a bare CR: it becomes a line end when the mail is read."""
    return raw.count(b"\n--") + raw.count(b"\r--")


def _is_one_part(raw: bytes, end: int) -> bool:
    """Whether the header, which ends there at the latest, is sure to name no multipart: RFC 2045 §5.2 takes a mail without type for text.

    Blank lines may stand before the first field, and then the header ends later.
    """
    header = raw[:end].lower()
    at = header.find(b"content-type")
    is_text = at < 0 or (header.startswith(b"content-type: text/", at) and header.find(b"content-type", at + 1) < 0)
    return is_text and header[:1].isalpha()
