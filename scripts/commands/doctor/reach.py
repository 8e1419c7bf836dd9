"""The first question: does anything answer at the address?"""

import errno
import re

from aiohttp import (
    ClientConnectorCertificateError,
    ClientConnectorDNSError,
    ClientError,
    ClientResponseError,
    ClientSSLError,
)

from scripts.commands.doctor.site import Site


class UnreachableError(Exception):
    """There is nothing to examine; the text says why and what to try."""


async def reach(site: Site) -> None:
    """Visit the page for the first time and set `site.front`. Raises UnreachableError."""
    try:
        site.front = await site.visit_once(site.page)
    except TimeoutError:
        why = f"there was no answer within {site.patience:g} s. Is there a firewall in between?"
    except (ClientError, OSError) as error:
        why = _why(error, site)
    else:
        _check_https(site)
        return
    raise UnreachableError(f"{site.address.origin} could not be reached: {why}") from None


def _check_https(site: Site) -> None:
    """Raise UnreachableError if the address only redirects to https."""
    where = site.front.destination
    if where.scheme == "https" and not site.address.secure and where.host == site.address.host:
        raise UnreachableError(
            f"{site.address.origin} redirects to https: examine {where.origin()} instead."
        )


def _why(error: Exception, site: Site) -> str:
    match error:
        case ClientConnectorDNSError():
            return (
                f"the name {site.address.host} cannot be resolved. Check its spelling; "
                "a new name takes some minutes."
            )
        case ClientConnectorCertificateError():
            return f"its certificate is not trusted: {_reason(error.certificate_error)}."
        case ClientSSLError():
            return (
                f"it does not speak TLS as expected: {_reason(error)}. "
                "Does the address start with http://?"
            )
        case ClientResponseError():
            return "the server there does not speak HTTP. Does the address start with https://?"
        case OSError(errno=errno.ECONNREFUSED):
            return "the connection was refused. Is the site running?"
        case OSError() if error.errno:
            return f"{_reason(error)}."
    return "the connection was closed without an answer. Does the address start with https://?"


def _reason(error: Exception) -> str:
    reason = getattr(error, "verify_message", "") or getattr(error, "strerror", "") or str(error)
    return re.sub(r"\[SSL: \w+\] | ?\(_ssl\.c:\d+\)", "", str(reason)).strip().rstrip(".")
