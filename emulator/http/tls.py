"""TLS for clients that speak nothing else: an authority made at start, a certificate of loopback, ALPN."""

from __future__ import annotations

import ssl
from pathlib import Path

from host.atomic import write_bytes
from host.errors import Exit, PeakdayError

NAMES = ("localhost", "127.0.0.1", "::1")
PROTOCOLS = ("h2", "http/1.1")


class TlsError(PeakdayError):
    """No certificate can be made here."""

    exit_code = Exit.ENVIRONMENT


def loopback_context(ca_file: Path) -> ssl.SSLContext:
    """A server's context with a certificate of this machine; the authority that signed it is written to `ca_file`.

    The authority's key stays in this process's memory and ends with it: nothing else can be signed by it.

    Raises:
        TlsError: trustme, which makes certificates, is not installed.
    """
    try:
        import trustme
    except ImportError:
        raise TlsError("TLS needs a package that makes certificates: pip install 'peakday[tls]'") from None
    authority = trustme.CA(organization_name="peakday emulator")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(list(PROTOCOLS))
    authority.issue_cert(*NAMES).configure_cert(context)
    write_bytes(ca_file, authority.cert_pem.bytes())
    return context
