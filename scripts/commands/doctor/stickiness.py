"""Stickiness: all requests of long polling, and the upgrade from it, must reach the same host."""

from scripts.commands.doctor.diagnosis import not_the_host
from scripts.commands.doctor.engine import PONG, UNKNOWN_SESSION, polling
from scripts.commands.doctor.finding import Failure
from scripts.commands.doctor.site import Site

# One after the other: concurrent ones may keep step with a load balancer that alternates, and each
# reach its own host every time. With two hosts at random, one run in 2**15 notices nothing.
SESSIONS, REQUESTS = 3, 5


async def sticky(site: Site) -> str:
    """All requests of one polling session reach the host that has the session."""
    astray = sum([await _astray(site) for _ in range(SESSIONS)])
    if astray:
        raise Failure(
            f"{astray} of {SESSIONS * REQUESTS} requests reached a host that does not have their "
            "session: there are several hosts, and a client's requests reach different ones.",
            why="Long polling and the upgrade to a websocket need the same host for all requests "
            "of a client; otherwise clients lose their connection again and again, or never get "
            "one.",
            do="Turn on stickiness by cookie in the load balancer's target group in "
            "infra/template.yaml (stickiness.enabled: true), and let the behaviours /socket.io and "
            "/socket.io/* forward cookies: their OriginRequestPolicyId is AllViewer.",
        )
    return f"All {SESSIONS * REQUESTS} requests of {SESSIONS} sessions reached their host."


async def _astray(site: Site) -> int:
    async with polling(site, "/socket.io/") as session:
        answers = [await session.post(PONG) for _ in range(REQUESTS)]
    if other := next((a for a in answers if a.status not in (200, UNKNOWN_SESSION)), None):
        raise not_the_host(other)
    return sum(answer.status == UNKNOWN_SESSION for answer in answers)
