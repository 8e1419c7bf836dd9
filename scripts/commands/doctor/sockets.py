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
            why="A cache responds instead of the host, and clients disconnect each other.",
            do=f"The behaviour {BEHAVIOURS[path]} in infra/template.yaml needs the CachePolicyId "
            "CachingDisabled.",
        )
    return f"The socket host opens sessions at {path}."


async def post(site: Site) -> str:
    """A POST reaches the host, at both spellings of the path."""
    for path in BEHAVIOURS:
        async with engine.polling(site, path) as session:
            _check_post(await session.post(engine.PONG))
    return "POST requests reach the host."


def _check_post(answer: Answer) -> None:
    if answer.status in (405, 501) or (answer.status == 403 and "method" in answer.text.lower()):
        behaviour = BEHAVIOURS[answer.path]
        raise Failure(
            f"{answer.said}: it did not get past the edge.",
            why="Long polling sends by POST, and most clients start with it, so they cannot send "
            "anything.",
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
                f"A websocket request for {path} got no response.",
                why="Such connections accumulate until no new one is possible.",
                do="A proxy forwards upgrades to a server that does not respond: only /socket.io "
                "and /socket.io/* may lead to the socket host.",
            ) from None
        except ClientError:
            continue
        raise Failure(
            f"A websocket opened at {path}.",
            why="It reaches a server that is not meant to be public.",
            do="See which behaviour in infra/template.yaml matches it: only /socket.io and "
            "/socket.io/* may lead to the socket host.",
        )
    return "Websockets at other paths are refused at once."


async def health_hidden(site: Site) -> str:
    """The host's health is not public."""
    answer = await site.ask("/health")
    if answer.status in (200, 503) and not answer.is_page and '"connections"' in answer.text:
        raise Failure(
            f"{answer.said}.",
            why="Anybody can see how many clients are connected, and when a host stops.",
            do="No behaviour in infra/template.yaml should lead from /health to socket-host: the "
            "load balancer asks the host directly. If your own monitoring uses it, --skip health.",
        )
    return f"/health answers {answer.status}, without the host's state."
