"""Security headers: what a page forbids browsers to do."""

import base64
import hashlib
import re
from collections.abc import Sequence

from yarl import URL

from scripts.commands.doctor import static_files
from scripts.commands.doctor.answer import Answer
from scripts.commands.doctor.finding import Failure, Skip
from scripts.commands.doctor.policy import Policy
from scripts.commands.doctor.site import Site, nowhere

_DO = (
    "functions/web/headers.py sets it on every response: check that it is the outermost middleware "
    "in create_app in functions/app.py, and that no ResponseHeadersPolicyId in infra/template.yaml "
    "removes it."
)

_INLINE = re.compile(r"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL)
_SCRIPT = re.compile(r"""<script\s[^>]*?src=["']([^"']+)["']""")


async def content_security_policy(site: Site) -> str:
    """Pages can run only the site's own scripts, can reach the socket, and cannot be framed."""
    missing = await site.visit(nowhere())
    for answer in (site.front, *([] if missing.asks_for_login else [missing])):
        policies = _policies(answer)
        _check_tight(answer, policies)
        for policy in policies:
            _check_inline(answer, policy)
            _check_scripts(site, answer, policy)
            _check_sandbox(answer, policy)
            _check_socket(site, answer, policy)
    return "Pages run only the site's own scripts, can reach the socket, and cannot be framed."


def _check_socket(site: Site, answer: Answer, policy: Policy) -> None:
    page = URL(site.address.origin)
    ways = {
        "long polling": page / "socket.io/",
        "a websocket": page.with_scheme(_WEBSOCKETS[page.scheme]) / "socket.io/",
    }
    closed = [name for name, url in ways.items() if not policy.allows("connect-src", url, page)]
    if closed:
        raise Failure(
            f"{answer.path} may not connect to {page.host} by {' and '.join(closed)}: "
            f"connect-src {' '.join(policy.sources('connect-src') or ())}.",
            why="Browsers block the connection: pages look right, but nothing is live.",
            do="connect-src needs 'self' in every policy of the page, including those in a second "
            "header or a meta element. (https: does not cover wss:.) See "
            "functions/web/headers.py, and ResponseHeadersPolicyId in infra/template.yaml.",
        )


_WEBSOCKETS = {"http": "ws", "https": "wss"}


def _check_sandbox(answer: Answer, policy: Policy) -> None:
    lacks = {"allow-scripts", "allow-same-origin"} - {*policy.directives.get("sandbox", ())}
    if "sandbox" in policy.directives and lacks:
        raise Failure(
            f"{answer.path} has a sandbox without {' and '.join(sorted(lacks))}.",
            why="Browsers run no scripts on it, or send no session with their requests.",
            do="Remove sandbox from the Content-Security-Policy, or add what it lacks.",
        )


def _policies(answer: Answer) -> list[Policy]:
    policies = Policy.all_of(answer)
    if not policies:
        raise Failure(
            f"{answer.path} has no Content-Security-Policy.",
            why="A script that an attacker injects into a page would run, with the visitor's "
            "rights.",
            do=_DO,
        )
    return policies


def _check_tight(answer: Answer, policies: Sequence[Policy]) -> None:
    loose = set.intersection(*(_LOOSE & set(p.sources("script-src") or ["*"]) for p in policies))
    if loose:
        raise Failure(
            f"{answer.path} lets scripts run from {', '.join(sorted(loose))}.",
            why="A script that an attacker injects into a page may run, with the visitor's rights.",
            do=_DO,
        )
    framed = not any("frame-ancestors" in policy.directives for policy in policies)
    if framed and "X-Frame-Options" not in answer.headers:
        raise Failure(
            f"{answer.path} may be framed by any site.",
            why="Another site can show the page inside its own, and trick visitors into clicking.",
            do=_DO,
        )


_LOOSE = {"*", "http:", "https:", "data:", "'unsafe-inline'"}


def _check_inline(answer: Answer, policy: Policy) -> None:
    if policy.sources("script-src-elem") is None:
        return
    for script in _INLINE.findall(answer.text):
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        if not policy.trusts("script-src-elem", (f"'sha256-{digest}'", "'nonce-")):
            raise Failure(
                f"{answer.path} has an inline script that its own policy forbids.",
                why="Browsers do not run it; without the import map, modules do not find each "
                "other.",
                do="The policy and the page have different versions, or another policy was added: "
                "see import_map_hash in functions/web/assets.py. Put your own scripts in files in "
                "functions/pages/static.",
            )


def _check_scripts(site: Site, answer: Answer, policy: Policy) -> None:
    """Check only the page's own files: others may be blocked on purpose."""
    page = URL(site.address.origin)
    if policy.trusts("script-src-elem", ("'nonce-", "'strict-dynamic'", "'sha")) and not (
        policy.trusts("script-src-elem", ("'self'",))
    ):
        return  # a nonce or a hash allows scripts that cannot be checked from outside
    for source in _SCRIPT.findall(answer.text):
        url = page.join(URL(source))
        if url.host == page.host and not policy.allows("script-src-elem", url, page):
            raise Failure(
                f"{answer.path} has the script {source}, which its own policy forbids.",
                why="Browsers do not run it, so nothing on the page is live.",
                do="script-src needs 'self' in every policy of the page.",
            )


async def nosniff(site: Site) -> str:
    """Browsers do not guess the types of pages and files (X-Content-Type-Options)."""
    files = [await site.ask(path) for path in static_files.hashed(site)]
    for answer in (site.front, *files):
        if answer.headers.get("X-Content-Type-Options", "").lower() != "nosniff":
            raise Failure(
                f"{answer.path} does not have X-Content-Type-Options: nosniff.",
                why="Browsers guess its type, and may run a visitor's text as a script.",
                do=_DO,
            )
    return "Pages and files have nosniff."


async def hsts(site: Site) -> str:
    """Browsers are told to use https from now on (Strict-Transport-Security)."""
    if not site.address.secure:
        raise Skip("Browsers ignore Strict-Transport-Security over plain http.")
    age = re.search(r"max-age=(\d+)", site.front.headers.get("Strict-Transport-Security", ""))
    if not age or int(age[1]) == 0:
        raise Failure(
            "/ has no Strict-Transport-Security.",
            why="A visit that starts with http:// can be intercepted before it reaches https.",
            do=_DO,
        )
    return f"Browsers use https for {int(age[1]) // 86400} days after each visit."
