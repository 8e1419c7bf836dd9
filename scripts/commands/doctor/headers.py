"""Security headers: what a page tells browsers not to do."""

import base64
import hashlib
import re
from collections.abc import Iterable

from scripts.commands.doctor import static_files
from scripts.commands.doctor.finding import Failure, Skip
from scripts.commands.doctor.site import Answer, Site, nowhere

_DO = (
    "functions/web/headers.py sets it on whatever the function answers: see that create_app in "
    "functions/app.py has it outermost, and that no ResponseHeadersPolicyId in "
    "infra/template.yaml takes it away."
)

_INLINE = re.compile(r"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL)


async def content_security_policy(site: Site) -> str:
    """Pages run the site's own scripts and no others, and are framed by nobody."""
    for answer in (site.front, await site.ask(nowhere())):
        policy = _policy(answer)
        scripts = policy.get("script-src", policy.get("default-src", ["*"]))
        if loose := {"*", "http:", "https:", "data:", "'unsafe-inline'"} & set(scripts):
            raise Failure(
                f"{answer.path} lets scripts run from {', '.join(sorted(loose))}.",
                why="A script that somebody manages to put into a page acts as its visitor.",
                do=_DO,
            )
        if "frame-ancestors" not in policy and "X-Frame-Options" not in answer.headers:
            raise Failure(
                f"{answer.path} may be framed by any site.",
                why="Another site can lay the page under its own and have visitors click in it.",
                do=_DO,
            )
        _check_inline(answer, scripts)
    return "Pages run the site's own scripts only, and nobody may frame them."


def _policy(answer: Answer) -> dict[str, list[str]]:
    text = answer.headers.get("Content-Security-Policy")
    if text is None:
        raise Failure(
            f"{answer.path} has no Content-Security-Policy.",
            why="A script that somebody manages to put into a page runs, and acts as its visitor.",
            do=_DO,
        )
    directives = [directive.split() for directive in text.split(";")]
    return {words[0].lower(): words[1:] for words in directives if words}


def _check_inline(answer: Answer, scripts: Iterable[str]) -> None:
    for script in _INLINE.findall(answer.text):
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        if f"'sha256-{digest}'" not in scripts and "nonce-" not in " ".join(scripts):
            raise Failure(
                f"{answer.path} has an inline script that its own policy forbids.",
                why="Browsers do not run it; without the import map no module finds another.",
                do="The policy and the page are of different versions, or another policy was put "
                "over it: see import_map_hash in functions/web/assets.py.",
            )


async def nosniff(site: Site) -> str:
    """Pages and files are taken for what they say they are (X-Content-Type-Options)."""
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
    """Browsers are told to come by https from now on (Strict-Transport-Security)."""
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
