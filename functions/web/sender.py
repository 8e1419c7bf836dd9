"""The sender of a request: a page of this site, or of another one."""

from starlette.datastructures import Headers
from starlette.types import Scope

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})  # RFC 9110, section 9.2.1: they change nothing


def is_foreign(scope: Scope) -> bool:
    """Whether a page of another origin sent a request that may change something.

    Browsers report the sender in Sec-Fetch-Site, which no page can set. It must be the site itself
    or the user (an address typed in, say), and not another host of the same domain. Browsers from
    before 2023 send Origin instead, which must name the requested host: X-Forwarded-Host if a proxy
    sets it, else Host. (Another site's page can forge neither without a preflight, which is refused
    here.)
    """
    if scope["method"] in SAFE:
        return False
    headers = Headers(scope=scope)
    if sites := headers.getlist("sec-fetch-site"):
        return not {*sites} <= {"same-origin", "none"}
    own = headers.get("x-forwarded-host") or headers.get("host", "")
    return not {*headers.getlist("origin")} <= {f"https://{own}", f"http://{own}"}
