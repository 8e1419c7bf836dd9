"""Pages, and the session that they issue."""

import time
from email.utils import parsedate_to_datetime
from http.cookies import Morsel

from yarl import URL

from functions.contract.session import COOKIE
from scripts.commands.doctor.answer import Answer
from scripts.commands.doctor.diagnosis import led_away, page_forbidden, turned_away
from scripts.commands.doctor.finding import Failure, Skip
from scripts.commands.doctor.site import Address, Site, nowhere

_LOG = (
    "See the function's log: the terminal of scripts/dev, or the log group of Pages in CloudWatch."
)


async def page(site: Site) -> str:
    """The front page answers 200 with HTML."""
    answer = site.front
    if failure := turned_away(answer) or led_away(answer):
        raise failure
    if answer.status == 403:
        raise page_forbidden(answer)
    if answer.status >= 500:
        raise Failure(f"{answer.said}.", why="Visitors see an error instead of the site.", do=_LOG)
    if _leads_to_itself(site, answer):
        raise Failure(
            f"GET {answer.path} answered {answer.status} and redirects to itself, in a loop.",
            why="Browsers give up with an error, so nobody sees this page.",
            do="Look for what sends this redirect: the page, the edge, or a proxy in front that "
            "expects another host name or https.",
        )
    if location := answer.location:
        raise Failure(
            f"GET {answer.path} answered {answer.status} and redirects to {location!r}.",
            why="This is the first page that visitors see.",
            do="If the site's first page is there, examine that page: --page PATH.",
        )
    if answer.status != 200 or not answer.is_page:
        kind = answer.headers.get("Content-Type", "without a type")
        raise Failure(
            f"GET {answer.path} answered {answer.status}, {kind}, instead of 200 and a page.",
            why="This is the first page that visitors see.",
            do=f"See the route {answer.path} in functions/pages/__init__.py, and check that the "
            "default behaviour in infra/template.yaml leads to the function.",
        )
    return f"{answer.path} is a page of {len(answer.body):,} bytes."


def _leads_to_itself(site: Site, answer: Answer) -> bool:
    asked = URL(site.address.origin + answer.target, encoded=True)
    where = answer.destination
    return bool(str(where)) and asked.join(where).with_fragment(None) == asked


async def not_found(site: Site) -> str:
    """A page that does not exist gets a 404 with a page of the site's own."""
    answer = await site.visit(nowhere())
    if answer.asks_for_login:
        raise Skip("Pages that do not exist ask for a login too. Pass a session with --session.")
    if answer.status != 404:
        raise Failure(
            f"{answer.said}; no such page exists.",
            why="Search engines and clients take an error for a page, or a missing page for a "
            "broken site.",
            do="See functions/pages/__init__.py for a route that matches everything, and "
            "infra/template.yaml for CustomErrorResponses.",
        )
    if not answer.is_page:
        raise Failure(
            f"{answer.path} answered 404 without a page.",
            why="A visitor who mistypes an address gets no link back to the site.",
            do="See error_response in functions/web/errors.py.",
        )
    return "A page that does not exist gets a 404 with a page of the site."


async def session_cookie(site: Site) -> str:
    """The session's cookie is HttpOnly, SameSite=Lax, for every path, and Secure over https."""
    cookie = site.front.session
    if cookie is None and site.has_session:
        raise Skip("--session was given, so the page issues no session.")
    if cookie is None:
        raise Failure(
            f"{site.page} sets no cookie {COOKIE}.",
            why="The socket host accepts only that cookie, so nobody can connect.",
            do="functions/web/visitor.py issues it. If it does, something in between drops it or "
            "responds from a cache: see the default behaviour in infra/template.yaml.",
        )
    if lacks := _lacking(cookie, site.address.secure):
        raise Failure(
            f"The cookie {cookie.key} is not {' and not '.join(lacks)}.",
            why="A session can be stolen or misused if scripts can read it, other sites can send "
            "it, or it travels over plain http; with a narrower Path it does not reach the socket.",
            do="See write_cookie in functions/contract/cookie.py; for Secure the function needs "
            "STAGE=production.",
        )
    if why := _dropped(cookie, site.address):
        raise Failure(
            f"The cookie {cookie.key} {why}, so browsers do not keep it.",
            why="The socket host accepts only that cookie, so nobody can connect.",
            do=_REWRITTEN,
        )
    if (domain := _domain(cookie)) and domain != site.address.host:
        raise Failure(
            f"The cookie {cookie.key} has the Domain {domain}, not this host alone.",
            why="Every other site below that domain gets this site's sessions. Where anybody may "
            "have a site, as below github.io, browsers drop the cookie, and nobody can connect.",
            do=_REWRITTEN,
        )
    if cookie["secure"] and not site.address.secure:
        raise Failure(
            f"The cookie {cookie.key} is Secure, but this address is plain http.",
            why="Browsers do not send it back over http, so nobody can connect.",
            do="Use the https address, or set STAGE=development for the function.",
        )
    secure = ", Secure" if cookie["secure"] else ""
    return f"The session's cookie is HttpOnly, SameSite=Lax{secure}."


def _lacking(cookie: Morsel[str], secure: bool) -> list[str]:
    has = {
        "HttpOnly": bool(cookie["httponly"]),
        "SameSite=Lax": cookie["samesite"].lower() in ("lax", "strict"),
        "Path=/": cookie["path"] == "/",
        "Secure": bool(cookie["secure"]) or not secure,
    }
    return [name for name, there in has.items() if not there]


def _dropped(cookie: Morsel[str], address: Address) -> str:
    """Return why browsers drop a cookie; empty if they do not."""
    domain = _domain(cookie)
    if cookie.key.startswith("__Host-") and (domain or not cookie["secure"]):
        return "is named __Host-, but has a Domain or is not Secure"
    if cookie.key.startswith("__Secure-") and not cookie["secure"]:
        return "is named __Secure-, but is not Secure"
    within = address.host.endswith(f".{domain}") and not _is_number(address.host)
    if domain and domain != address.host and not within:
        return f"has the Domain {domain}, which does not include {address.host}"
    if cookie["max-age"].strip().startswith("-") or cookie["max-age"].strip() == "0":
        return "has already expired by its Max-Age"
    if not cookie["max-age"] and _is_over(cookie["expires"]):
        return "has already expired by its Expires"
    if len(cookie.key) + len(cookie.value) > _LONGEST_COOKIE:
        return f"is longer than {_LONGEST_COOKIE:,} bytes"
    return ""


def _is_number(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()


def _domain(cookie: Morsel[str]) -> str:
    domain: str = cookie["domain"]
    return domain.lower().removeprefix(".")


def _is_over(expires: str) -> bool:
    try:
        return parsedate_to_datetime(expires).timestamp() < time.time()
    except ValueError:
        return False


_LONGEST_COOKIE = 4_096  # bytes of name and value, RFC 6265

_REWRITTEN = (
    "See write_cookie in functions/contract/cookie.py, and what on the way rewrites Set-Cookie: a "
    "proxy, or a function at the edge."
)


async def session_kept(site: Site) -> str:
    """A visitor who comes back with the session cookie keeps the session."""
    if site.has_session:
        raise Skip("--session was given.")
    cookie = {"Cookie": f"{site.cookie_name}={site.token}"}
    answer = await site.ask(site.page, headers=cookie)
    if answer.session:
        raise Failure(
            f"{site.page} issued a new session to a visitor who already had one.",
            why="On every page a visitor becomes somebody else, with another name.",
            do="Cookies do not reach the function: the default behaviour in infra/template.yaml "
            "needs the OriginRequestPolicyId AllViewerExceptHostHeader. Or the function's "
            "instances have different SESSION_SECRETs.",
        )
    return "A visitor who comes back keeps the session."


async def pages_not_cached(site: Site) -> str:
    """Pages are private: no cache may store them, and two first visits get two sessions."""
    missing = await site.visit(nowhere())
    for answer in (site.front, *([] if missing.asks_for_login else [missing])):
        if "no-store" not in answer.headers.get("Cache-Control", ""):
            raise Failure(
                f"{answer.path} has Cache-Control: "
                f"{answer.headers.get('Cache-Control', '(nothing)')}, not no-store.",
                why="A page has its visitor's name and session, which others would get from a "
                "cache.",
                do="Respond with Site.page, which sets no-store: see functions/web/site.py.",
            )
    cookie, other = site.front.session, (await site.visit(site.page)).session
    if cookie and other and cookie.value == other.value:
        raise Failure(
            "Two visitors on their first visit got the same session.",
            why="A cache responds instead of the function, so all visitors share one identity.",
            do="The default behaviour in infra/template.yaml needs the CachePolicyId "
            "CachingDisabled.",
        )
    return "Pages have no-store, and two first visits get two sessions."
