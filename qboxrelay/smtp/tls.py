"""TLS of the doors: contexts from certificate files, new certificates without a restart.

In: files, a profile. Out: `ssl.SSLContext` that new handshakes use. Never: a broken pair of files in use; the last good one stays.
"""

import ssl
import warnings
from datetime import datetime
from pathlib import Path
from typing import Literal

import structlog

from qboxrelay.smtp.expiry import not_after

log = structlog.get_logger()

_LEGACY_CIPHERS = "ALL:!aNULL:!eNULL@SECLEVEL=0"
"""OpenSSL 3 refuses TLS 1.0 at any security level above 0, whatever the minimum version says."""


class CertificateError(OSError):
    """The certificate or its key cannot be used. The text names the file and says what to do."""


class Certificate:
    """One certificate with its key, and the contexts that show it."""

    def __init__(self, certificate: Path, key: Path | None) -> None:
        self._certificate = certificate
        self._key = key
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._seen = self._look()
        self._load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        self.ends_at = self._end()
        """Until when the one in use is valid; None where that cannot be read."""

    def context(self, compatibility: Literal["strict", "legacy"]) -> ssl.SSLContext:
        """The context of a profile; it lives as long as this object and shows the newest certificate."""
        if compatibility not in self._contexts:
            context = _strict() if compatibility == "strict" else _legacy()
            self._load(context)
            self._contexts[compatibility] = context
        return self._contexts[compatibility]

    def refresh(self) -> bool:
        """Load files that have changed; True when new handshakes show a new certificate. Blocks for the time of two small reads."""
        seen = self._look()
        if seen == self._seen:
            return False
        try:
            # A pair that does not fit would leave a live context without a key: try it on one that nobody uses.
            self._load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
            for context in self._contexts.values():
                self._load(context)
        except CertificateError as error:
            log.warning("tls.certificate_not_reloaded", error=str(error), hint="the last good certificate stays in use")
            return False
        self._seen = seen
        self.ends_at = self._end()
        log.info("tls.certificate_reloaded", file=str(self._certificate))
        return True

    def _load(self, context: ssl.SSLContext) -> None:
        try:
            context.load_cert_chain(self._certificate, self._key, password=_no_passphrase)
        except ssl.SSLError as error:
            reason = error.reason or "not PEM"
            raise CertificateError(
                f"the certificate {self._certificate} and its key cannot be used ({reason}): "
                "name a PEM file with the certificate and its chain, and the key that belongs to it"
            ) from None
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise CertificateError(f"the certificate {self._certificate} or its key cannot be read: {reason}") from None

    def _end(self) -> datetime | None:
        try:
            return not_after(self._certificate.read_text("ascii", "replace"))
        except OSError:
            return None

    def _look(self) -> tuple[int, ...]:
        files = [self._certificate, *([self._key] if self._key is not None else [])]
        try:
            return tuple(number for file in files for number in (file.stat().st_mtime_ns, file.stat().st_size))
        except OSError:
            return ()


def _strict() -> ssl.SSLContext:
    """TLS 1.2 and later, the ciphers that OpenSSL's maintainers hold to be good."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _legacy() -> ssl.SSLContext:
    """TLS 1.0 and old ciphers too: minimum version and security level must both come down."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers(_LEGACY_CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION
    # Old stacks neither offer secure renegotiation nor expect its signal; a server does not need it.
    context.options |= getattr(ssl, "OP_LEGACY_SERVER_CONNECT", 0)
    with warnings.catch_warnings():
        # Deprecated is what it is for.
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
    return context


def _no_passphrase() -> str:
    raise ValueError("the key has a passphrase, which nobody is there to type: store it without one")
