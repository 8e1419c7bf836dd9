"""Redirects: every page has one address, and no redirect leads away from the site."""

import re
from collections.abc import Sequence

from aiohttp import ClientError

import functions.pages
from functions.web.redirects import checked_prefixes, one_address
from scripts.commands.doctor.answer import REDIRECTS, Answer
from scripts.commands.doctor.finding import Failure, Skip
from scripts.commands.doctor.site import Site, nowhere

QUERY = "a=%2F&b=+&&c=%C3%A9&a=2"  # parsing and rewriting would change it

_LINK = re.compile(r"""<a\s[^>]*?href="(/[^/"?#][^"?#]*)""")
_MOST_LINKS = 4
_MOST_STEPS = 5

_FOREIGN = "evil.example"
# Without its last slash, each is another site in the Location header for some browser.
_TRAPS = (
    "//{}/",
    "///{}//",
    "/\\{}/",
    "/%5C{}/",
    "/%2F/{}/",
    "/..//{}/",
    "/%09/{}/",
    "/%0D%0ALocation:%20https://{}/",
)


def addresses(site: Site) -> list[str]:
    """Return some paths of the site: those the front page links to, and one that does not exist."""
    links = dict.fromkeys(link.rstrip("/") for link in _LINK.findall(site.front.text))
    found = [*[link for link in links if link][:_MOST_LINKS], nowhere()]
    keep = checked_prefixes(getattr(functions.pages, "keep_slash", ()))
    # Below such a prefix, file names are never redirected.
    return [one_address(page, keep) for page in found if _is_corrected(page, keep)]


def _is_corrected(page: str, keep: Sequence[str]) -> bool:
    return one_address(page, keep) == one_address(f"{page}/", keep)


def _misspelled(page: str) -> str:
    """Return a page's address with a trailing slash if it has none, else without it."""
    return page.rstrip("/") if page.endswith("/") else f"{page}/"


async def trailing_slash(site: Site) -> str:
    """A path with a trailing slash gets one 308 to the path without it, with the same query.

    Below a prefix of `keep_slash` in functions/pages it is the other way round.
    """
    pages = addresses(site)
    for page in pages:
        answer = await site.visit(f"{_misspelled(page)}?{QUERY}")
        _check_redirect(answer, f"{page}?{QUERY}")
    return f"{_misspelled(pages[0])} is a 308 to {pages[0]}, with the same query."


def _check_redirect(answer: Answer, expected: str) -> None:
    location = answer.headers.get("Location", "")
    _skip_login(answer)
    see = "See functions/web/redirects.py"
    if answer.status not in REDIRECTS:
        raise Failure(
            f"{answer.path} answered {answer.status} instead of 308.",
            why="A page has two addresses, and relative links are broken on one of them.",
            do=f"{see}, and check that functions/app.py wraps the routes in it.",
        )
    if answer.status != 308:
        raise Failure(
            f"{answer.path} answered {answer.status}, not 308.",
            why="With 301, 302 and 303 browsers turn a POST into a GET; 307 is never cached.",
            do=f"{see}, which sets the status.",
        )
    if not _stays(location):
        raise Failure(
            f"{answer.path} redirects to {location!r}, which is more than a path.",
            why="The function knows only its own host name, so visitors would leave the edge.",
            do=f"{see}, and local_redirects.py beside it.",
        )
    if location != expected:
        raise Failure(
            f"{answer.target} redirects to {location}, not to {expected}.",
            why="Visitors who follow a link lose its query, or get another page.",
            do=f"{see}, and check that the default behaviour forwards the query: its "
            "OriginRequestPolicyId must be AllViewerExceptHostHeader.",
        )


def _skip_login(answer: Answer) -> None:
    if answer.asks_for_login:
        raise Skip(f"{answer.path} asks for a login. Pass a session with --session.")


async def at_most_one(site: Site) -> str:
    """No page's address is redirected more than once, and no redirect loops."""
    asked = [
        site.page,
        *(_bare(page) + slashes for page in addresses(site) for slashes in ("", "/", "//")),
    ]
    for target in asked:
        await _follow(site, target)
    return f"None of {len(asked)} spellings of addresses is redirected more than once."


async def _follow(site: Site, target: str) -> None:
    steps = [target]
    while len(steps) <= _MOST_STEPS and len(set(steps)) == len(steps):
        answer = await site.visit(steps[-1])
        location = answer.headers.get("Location", "")
        if answer.status not in REDIRECTS or not _stays(location):
            break
        steps.append(location)
    way = " to ".join(steps)
    if len(set(steps)) < len(steps):
        raise Failure(
            f"There is a redirect loop: {way}.",
            why="Browsers show an error, so nobody sees this page.",
            do="One rule adds the slash that another removes. functions/web/redirects.py removes "
            "it, except for prefixes in keep_slash of functions/pages/__init__.py: look for the "
            "other rule there or at the edge.",
        )
    # A page may itself redirect elsewhere; what counts is how often its own address is corrected.
    if sum(_bare(step) == _bare(target) for step in steps) > 2:
        raise Failure(
            f"{target} takes {len(steps) - 1} redirects: {way}.",
            why="Each redirect costs a round trip, on a slow connection half a second.",
            do="functions/web/redirects.py needs only one redirect: look for a second rule in "
            "functions/pages/__init__.py or at the edge.",
        )


def _bare(target: str) -> str:
    return target.partition("?")[0].rstrip("/")


async def post_kept(site: Site) -> str:
    """A POST to a page's other spelling is redirected as a POST."""
    answer = await site.visit(f"{_misspelled(addresses(site)[0])}?{QUERY}", "POST", body="a=1")
    _skip_login(answer)
    if answer.status in (403, 405):
        raise Failure(
            f"{answer.said}.",
            why="No form can be submitted.",
            do="List POST in AllowedMethods of the DefaultCacheBehavior in infra/template.yaml.",
        )
    if answer.status not in (307, 308):
        raise Failure(
            f"POST {answer.path} answered {answer.status}, not 308.",
            why="A form that is submitted to this address loses its fields.",
            do="See functions/web/redirects.py, which sets the status.",
        )
    return "A POST stays a POST: 308."


async def stay_here(site: Site) -> str:
    """No spelling of a path is redirected to another site."""
    for trap in _TRAPS:
        answer = await site.ask(trap.format(_FOREIGN))
        location = answer.headers.get("Location", "")
        if location and not _stays(location):
            raise Failure(
                f"{trap.format(_FOREIGN)} redirects to {location!r}.",
                why="A link that starts with your address leads to another site, as phishers want.",
                do="See without_trailing_slashes in functions/web/redirects.py: it must collapse "
                "leading slashes and backslashes.",
            )
    return f"None of {len(_TRAPS)} malicious paths redirects to another site."


def _stays(location: str) -> bool:
    """Whether browsers read this as a path on the same site."""
    # They drop tabs and line breaks, and read a backslash as a slash.
    read = re.sub(r"[\t\r\n]", "", location.strip("".join(map(chr, range(33))))).replace("\\", "/")
    return read.startswith("/") and not read.startswith("//")


async def http_to_https(site: Site) -> str:
    """Plain http is redirected to https, for pages and for sockets."""
    plain = site.address.plain
    if plain is None:
        raise Skip("Only an https address without a port has plain http beside it.")
    for path in ("/", "/socket.io/"):
        try:
            answer = await site.ask_once(path, origin=plain)
        except (ClientError, OSError):
            return "Nothing answers on plain http."
        location = answer.headers.get("Location", "")
        if answer.status not in REDIRECTS or not location.startswith(f"{site.address.origin}/"):
            raise Failure(
                f"{plain}{path} answered {answer.status} and did not redirect to https.",
                why="Others on the same network can read the traffic and steal the session.",
                do="ViewerProtocolPolicy: redirect-to-https on every behaviour in "
                "infra/template.yaml.",
            )
    return "Plain http redirects to https."
