"""Whom the Send API's certificate may be signed by, and how the relay shows who it is.

In: files. Out: a TLS context. Never: TLS below 1.2, or a certificate that is not checked.
"""

import ssl
from pathlib import Path

import certifi


def client_context(
    *, ca_file: Path | None, certificate_file: Path | None, certificate_key_file: Path | None
) -> ssl.SSLContext:
    """Trust `ca_file` alone, or without it this machine's authorities and Mozilla's. Raises OSError (ssl.SSLError is one)."""
    context = ssl.create_default_context(cafile=ca_file or certifi.where())
    if ca_file is None:
        context.load_default_certs()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate_file is not None:
        context.load_cert_chain(certificate_file, certificate_key_file)
    return context
