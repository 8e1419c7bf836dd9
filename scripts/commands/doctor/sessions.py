"""Sessions: the host accepts only clients with a session, by the page's own cookie."""

from scripts.commands.doctor.engine import Refusal, knock
from scripts.commands.doctor.finding import Failure, Skip
from scripts.commands.doctor.site import Site

# Codes of refusals that have nothing to do with who the visitor is.
_TROUBLE = ("full", "visitor", "failed")


async def accepted(site: Site) -> str:
    """A page's session cookie opens the socket, as browsers send it."""
    refusal = await knock(site, cookie=site.token)
    if refusal is None:
        return "The page's cookie reaches the host, which accepts its session."
    if not refusal.code:
        raise Failure(
            f'The host accepts nobody in the namespace {site.namespace}: "{refusal.message}"',
            why="Pages work, but nobody can connect to this namespace.",
            do="If you have no namespace with this name, name one of yours: --namespace /PATH. "
            "See namespaces in socket_host/events.",
        )
    if refusal.code not in ("session", *_TROUBLE):
        raise Failure(
            f'The namespace {site.namespace} refuses this visitor: "{refusal.message}"',
            why="Nothing more can be checked there.",
            do="If it is not for everybody, pass the session of somebody it admits, --session "
            "COOKIE, or name another namespace, --namespace /PATH.",
        )
    if refusal.code in _TROUBLE:
        raise Failure(
            f'The host accepts nobody: "{refusal.message}"',
            why="Pages work, but nobody can connect.",
            do="See the host's log; if it is full, see MAX_CONNECTIONS and the number of hosts.",
        )
    if await knock(site, auth=site.token) is None:
        raise Failure(
            "The page's cookie does not reach the host: the same session is accepted in the "
            "connection's auth.",
            why="Browsers have only the cookie: they are all refused, and reload again and again.",
            do="The behaviours /socket.io and /socket.io/* in infra/template.yaml must forward "
            "cookies to the host: their OriginRequestPolicyId is AllViewer.",
        )
    raise Failure(
        f'The host does not accept the page\'s session: "{refusal.message}"',
        why="Every visitor is refused, and their pages reload again and again.",
        do="The function and the host have different SESSION_SECRETs, and must have the same one "
        "in infra/template.yaml; or their clocks differ.",
    )


async def refused(site: Site) -> str:
    """A client without a session, or with a forged one, is refused with a reason."""
    if (anyway := await knock(site, cookie=site.token)) and not anyway.code:
        raise Skip(f'Everybody is refused: "{anyway.message}"')
    forged = _forged(site.token)
    attempts = {
        "without a session": await knock(site),
        "with a forged cookie": await knock(site, cookie=forged),
        "with a forged session in its auth": await knock(site, auth=forged),
    }
    for how, refusal in attempts.items():
        _check_refused(how, refusal)
    refusal = attempts["without a session"]
    return f'Clients without a session are refused: "{refusal.message if refusal else ""}"'


def _forged(token: str) -> str:
    """Return a session that was signed with another secret."""
    payload, _, signature = token.rpartition(".")
    return f"{payload or 'W10'}.{signature[::-1] or 'none'}"


def _check_refused(how: str, refusal: Refusal | None) -> None:
    if refusal is None:
        raise Failure(
            f"A client {how} was accepted.",
            why="Anybody can impersonate any visitor.",
            do="See admit in socket_host/namespace.py: was it overridden in "
            "socket_host/events? And is SESSION_SECRET a secret?",
        )
    if not refusal.message or refusal.code != "session":
        raise Failure(
            f"A client {how} was refused, but not because of the session: "
            f"{refusal.message!r}, code {refusal.code!r}.",
            why="The page does not know that it should reload to get a session.",
            do="See admit in socket_host/namespace.py.",
        )
