"""Static files: their names have a hash of their content, so caches may keep them forever."""

import re
from typing import NoReturn

from functions.contract.session import COOKIE
from scripts.commands.doctor.answer import Answer
from scripts.commands.doctor.finding import Failure, Skip
from scripts.commands.doctor.site import Site

MOST = 12  # files to check

_REFERENCE = re.compile(r"""["'(](/static/[^"'\s)<>?#]+)""")
_HASHED = re.compile(r"\.[0-9a-f]{8,64}\.\w+")
_TYPES = {".js": "javascript", ".mjs": "javascript", ".css": "text/css"}

_A_MONTH = 30 * 24 * 60 * 60  # seconds; more is better, much less is not worth a hash


def hashed(site: Site) -> list[str]:
    """Return the static files on the front page whose names have a hash."""
    names = dict.fromkeys(_REFERENCE.findall(site.front.text))
    return [name for name in names if _HASHED.search(name)][:MOST]


def referred(site: Site) -> list[str]:
    """Return the same; raise Skip if there are none."""
    return hashed(site) or _none()


def _none() -> NoReturn:
    raise Skip("The front page refers to no static file with a hash in its name.")


async def kept(site: Site) -> str:
    """Every file on the page exists, has the right type, and is immutable for browsers."""
    files = [await site.ask(path) for path in referred(site)]
    for file in files:
        _check_there(file)
        _check_kept(file)
    return f"All {len(files)} files on the page exist and are immutable."


def _check_there(file: Answer) -> None:
    if file.status != 200:
        raise Failure(
            f"{file.said}; the page refers to it.",
            why="The page lacks a script or a style: it does not work, or looks broken.",
            do="Deploy again, so that the page and the files have the same version; the behaviour "
            "/static/* in infra/template.yaml must lead to the function.",
        )
    kind = file.headers.get("Content-Type", "")
    expected = next((t for end, t in _TYPES.items() if file.path.endswith(end)), "")
    if expected not in kind:
        raise Failure(
            f"{file.path} has the type {kind or '(none)'}.",
            why="Browsers ignore modules and styles with a wrong type.",
            do="See _TYPES in functions/web/assets.py.",
        )


def _check_kept(file: Answer) -> None:
    said = file.headers.get("Cache-Control", "")
    age = re.search(r"max-age=(\d+)", said)
    if "immutable" not in said or not age or int(age[1]) < _A_MONTH:
        raise Failure(
            f"{file.path} has Cache-Control: {said or '(nothing)'}, not immutable for a year.",
            why="Its name changes with its content, yet browsers request it at every visit: pages "
            "are slower, and the function runs for nothing.",
            do="See _FOR_EVER in functions/web/assets.py, and the behaviour /static/* in "
            "infra/template.yaml for a policy that rewrites headers.",
        )


async def without_cookies(site: Site) -> str:
    """A static file sets no cookie, whatever cookie the request has."""
    path = referred(site)[0]
    for cookie in ("", f"{COOKIE}=changed", f"{site.cookie_name}={site.token}; other=1"):
        file = await site.ask(path, headers={"Cookie": cookie} if cookie else {})
        if "Set-Cookie" in file.headers:
            raise Failure(
                f"{path} sets a cookie.",
                why="A cache sends it to everybody, so visitors get each other's session.",
                do="Static files must not be wrapped in Visitors: see create_app in "
                "functions/app.py.",
            )
    return "Static files set no cookies."
