"""What an attachment is called.

In: a part's header. Out: a name that is no path and never empty. Never: a control character, a name longer than file systems take.
"""

import re

from qboxrelay.mime.entity import Entity

_DRIVE = re.compile(r"[A-Za-z]:")
_MAX_NAME_BYTES = 240
_EXTENSIONS = {
    "application/gzip": "gz", "application/ics": "ics", "application/json": "json", "application/ms-tnef": "dat",
    "application/msword": "doc", "application/octet-stream": "bin", "application/pdf": "pdf", "application/pgp-encrypted": "pgp",
    "application/pgp-keys": "asc", "application/pgp-signature": "asc", "application/pkcs7-mime": "p7m",
    "application/pkcs7-signature": "p7s", "application/postscript": "ps", "application/rtf": "rtf", "application/vnd.ms-excel": "xls",
    "application/vnd.ms-powerpoint": "ppt", "application/vnd.ms-tnef": "dat",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx", "application/x-gzip": "gz",
    "application/x-pkcs7-mime": "p7m", "application/x-pkcs7-signature": "p7s", "application/x-tar": "tar",
    "application/x-zip-compressed": "zip", "application/xml": "xml", "application/zip": "zip", "audio/mpeg": "mp3",
    "audio/wav": "wav", "audio/x-wav": "wav", "image/bmp": "bmp", "image/gif": "gif", "image/heic": "heic", "image/jpeg": "jpg",
    "image/jpg": "jpg", "image/png": "png", "image/svg+xml": "svg", "image/tiff": "tif", "image/webp": "webp",
    "message/global": "eml", "message/rfc822": "eml", "text/calendar": "ics", "text/csv": "csv", "text/html": "html",
    "text/markdown": "md", "text/rtf": "rtf", "text/vcard": "vcf", "text/x-vcard": "vcf", "text/xml": "xml",
    "video/mp4": "mp4", "video/mpeg": "mpg", "video/quicktime": "mov",
}  # fmt: skip
"""A table of our own: the system's MIME map differs from machine to machine, and the same mail must give the same JSON."""


def written_name(entity: Entity) -> str:
    """The name that the part's header gives, path parts removed; empty when there is none."""
    name = entity.disposition.get("filename") or entity.type.get("name")
    return without_path(name) if name else ""


def made_up_name(position: int, content_type: str) -> str:
    """`attachment-N.ext` for the N-th attachment."""
    extension = _EXTENSIONS.get(content_type) or ("txt" if content_type.startswith(("text/", "message/")) else "bin")
    return f"attachment-{position}.{extension}"


def without_path(name: str) -> str:
    """The last part of a path of any system; empty when nothing is left of it."""
    # A tab stands where a long line was folded.
    whole = name.replace("\t", " ").strip().rstrip("/\\")
    bare = whole[max(whole.rfind("/"), whole.rfind("\\")) + 1 :]
    bare = (bare[2:] if _DRIVE.match(bare) else bare).strip(" \t\"'<>")
    if not bare.strip("."):
        return ""
    return bare if len(bare.encode("utf-8", "replace")) <= _MAX_NAME_BYTES else _shortened(bare)


def _shortened(name: str) -> str:
    stem, dot, extension = name.rpartition(".")
    if not dot or len(extension) > 20:
        stem, extension = name, ""
    room = _MAX_NAME_BYTES - len((dot + extension).encode())
    return stem.encode()[:room].decode("utf-8", "ignore") + (dot + extension if extension else "")
