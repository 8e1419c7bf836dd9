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
    "functions/web/headers.py sets it on whatever the function answers: see that create_app in "
    "functions/app.py has it outermost, and that no ResponseHeadersPolicyId in "
    "infra/template.yaml takes it away."
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
    return "Pages run the site's own scripts only, reach their socket, and nobody may frame them."


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
            why="Browsers refuse before anything is sent: pages look right, nothing is live.",
            do="connect-src needs 'self', in each policy of the page, the second header and a "
            "meta element too: browsers obey all. (https: does not cover wss:.) See "
            "functions/web/headers.py, and ResponseHeadersPolicyId in infra/template.yaml.",
        )


_WEBSOCKETS = {"http": "ws", "https": "wss"}


def _check_sandbox(answer: Answer, policy: Policy) -> None:
    lacks = {"allow-scripts", "allow-same-origin"} - {*policy.directives.get("sandbox", ())}
    if "sandbox" in policy.directives and lacks:
        raise Failure(
            f"{answer.path} is in a sandbox without {' and '.join(sorted(lacks))}.",
            why="Browsers run no script there, or none that comes with the session.",
            do="Take sandbox out of the Content-Security-Policy, or add what it lacks.",
        )


def _policies(answer: Answer) -> list[Policy]:
    policies = Policy.all_of(answer)
    if not policies:
        raise Failure(
            f"{answer.path} has no Content-Security-Policy.",
            why="A script that somebody manages to put into a page runs, and acts as its visitor.",
            do=_DO,
        )
    return policies


def _check_tight(answer: Answer, policies: Sequence[Policy]) -> None:
    loose = set.intersection(*(_LOOSE & set(p.sources("script-src") or ["*"]) for p in policies))
    if loose:
        raise Failure(
            f"{answer.path} lets scripts run from {', '.join(sorted(loose))}.",
            why="A script that somebody manages to put into a page acts as its visitor.",
            do=_DO,
        )
    framed = not any("frame-ancestors" in policy.directives for policy in policies)
    if framed and "X-Frame-Options" not in answer.headers:
        raise Failure(
            f"{answer.path} may be framed by any site.",
            why="Another site can lay the page under its own and have visitors click in it.",
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
                why="Browsers do not run it; without the import map no module finds another.",
                do="The policy and the page are of different versions, or another policy was put "
                "over it: see import_map_hash in functions/web/assets.py. A script of yours has to "
                "be a file in functions/pages/static.",
            )


def _check_scripts(site: Site, answer: Answer, policy: Policy) -> None:
    """Check only the page's own files: others may be blocked on purpose."""
    page = URL(site.address.origin)
    if policy.trusts("script-src-elem", ("'nonce-", "'strict-dynamic'", "'sha")) and not (
        policy.trusts("script-src-elem", ("'self'",))
    ):
        return  # what else they allow is not visible from here
    for source in _SCRIPT.findall(answer.text):
        url = page.join(URL(source))
        if url.host == page.host and not policy.allows("script-src-elem", url, page):
            raise Failure(
                f"{answer.path} has the script {source}, which its own policy forbids.",
                why="Browsers do not run it: nothing on the page is live.",
                do="script-src needs 'self' in each policy that the page has.",
            )


async def nosniff(site: Site) -> str:
    """Browsers do not guess the types of pages and files (X-Content-Type-Options)."""
    files = [await site.ask(path) for path in static_files.hashed(site)]
    for answer in (site.front, *files):
        if answer.headers.get("X-Content-Type-Options", "").lower() != "nosniff":
            raise Failure(
                f"{answer.path} does not say X-Content-Type-Options: nosniff.",
                why="Browsers guess, and may run what a visitor wrote as a script.",
                do=_DO,
            )
    return "Pages and files say nosniff."


async def hsts(site: Site) -> str:
    """Browsers are told to use https from now on (Strict-Transport-Security)."""
    if not site.address.secure:
        raise Skip("Browsers heed Strict-Transport-Security over https only.")
    age = re.search(r"max-age=(\d+)", site.front.headers.get("Strict-Transport-Security", ""))
    if not age or int(age[1]) == 0:
        raise Failure(
            "/ has no Strict-Transport-Security.",
            why="Each visit that begins with http:// can be caught on the way and kept there.",
            do=_DO,
        )
    return f"Browsers come by https for {int(age[1]) // 86400} days from each visit."
