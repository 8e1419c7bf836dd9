"""The socket path: does the host answer there, and does everything reach it?"""

from aiohttp import ClientError

from scripts.commands.doctor import engine
from scripts.commands.doctor.answer import Answer
from scripts.commands.doctor.diagnosis import ALL_METHODS, BEHAVIOURS, not_the_host
from scripts.commands.doctor.finding import Failure
from scripts.commands.doctor.site import Site, nowhere


async def with_slash(site: Site) -> str:
    """The socket host opens a session at /socket.io/, a new one each time."""
    return await _opens(site, "/socket.io/")


async def without_slash(site: Site) -> str:
    """The socket host opens a session at /socket.io too: some clients omit the slash."""
    return await _opens(site, "/socket.io")


async def _opens(site: Site, path: str) -> str:
    async with engine.polling(site, path) as first, engine.polling(site, path) as second:
        same = first.sid == second.sid
    if same:
        raise Failure(
            f"{path} gave two clients the same session.",
            why="A cache answers in place of the host: clients throw each other out.",
            do=f"The behaviour {BEHAVIOURS[path]} in infra/template.yaml needs the CachePolicyId "
            "CachingDisabled.",
        )
    return f"The socket host opens sessions at {path}."


async def post(site: Site) -> str:
    """A POST reaches the host, at both spellings of the path."""
    for path in BEHAVIOURS:
        async with engine.polling(site, path) as session:
            _check_post(await session.post(engine.PONG))
    return "A POST reaches the host."


def _check_post(answer: Answer) -> None:
    if answer.status in (405, 501) or (answer.status == 403 and "method" in answer.text.lower()):
        behaviour = BEHAVIOURS[answer.path]
        raise Failure(
            f"{answer.said}: it did not get past the edge.",
            why="Long polling sends by POST, and every client begins with long polling: none can "
            "say anything.",
            do=f"List POST in AllowedMethods of the behaviour {behaviour} in infra/template.yaml: "
            f"{ALL_METHODS}.",
        )
    # If another host has the session, stickiness is wrong, but the POST got through.
    if answer.status not in (200, engine.UNKNOWN_SESSION):
        raise not_the_host(answer)


async def websocket(site: Site) -> str:
    """A websocket opens at /socket.io/."""
    async with engine.websocket(site):
        return "The socket host opens a session on a websocket."


async def websocket_elsewhere(site: Site) -> str:
    """A websocket at any other path is refused at once."""
    for path in ("/", "/socket.iox/", nowhere()):
        try:
            async with site.websocket(path):
                pass
        except TimeoutError:
            raise Failure(
                f"A websocket asked for at {path} got no answer.",
                why="Such connections pile up until nobody else gets one.",
                do="A proxy passes upgrades to something that cannot answer them: only "
                "/socket.io and /socket.io/* may lead to the socket host.",
            ) from None
        except ClientError:
            continue
        raise Failure(
            f"A websocket opened at {path}.",
            why="It leads to something that was not meant to be on the internet.",
            do="See which behaviour in infra/template.yaml matches it: only /socket.io and "
            "/socket.io/* may lead to the socket host.",
        )
    return "A websocket anywhere else is refused at once."


async def health_hidden(site: Site) -> str:
    """The host's health is not public."""
    answer = await site.ask("/health")
    if answer.status in (200, 503) and not answer.is_page and '"connections"' in answer.text:
        raise Failure(
            f"{answer.said}.",
            why="Everybody can read how many are connected, and when a host goes away.",
            do="No behaviour in infra/template.yaml should lead /health to socket-host: the load "
            "balancer asks the host directly. If a monitor of yours asks here, --skip health.",
        )
    return f"/health answers {answer.status}, and says nothing of the host."
