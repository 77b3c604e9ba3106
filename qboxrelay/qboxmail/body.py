"""Bodies of answers that a gateway compressed, although it was asked not to.

In: bytes and their Content-Encoding. Out: the bytes as they were meant, up to a limit. Never: more than the limit, whatever went in.
"""

import zlib

_ANY_WINDOW = 47
"""zlib: gzip or zlib header, whichever comes."""


def decoded(body: bytes, encoding: str, limit: int) -> bytes:
    """The body as it is where it is not compressed, or cannot be unpacked."""
    if encoding.lower() not in {"gzip", "x-gzip", "deflate"}:
        return body
    try:
        return zlib.decompressobj(_ANY_WINDOW).decompress(body, limit)
    except zlib.error:
        return body
