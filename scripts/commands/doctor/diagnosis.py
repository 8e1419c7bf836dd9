"""What it means that the socket path answers something else than the socket host would."""

from scripts.commands.doctor.finding import Failure
from scripts.commands.doctor.site import Answer

# The two spellings of the socket path, and the behaviour in the template that each belongs to.
BEHAVIOURS = {"/socket.io/": "/socket.io/*", "/socket.io": "/socket.io"}

ALL_METHODS = "[GET, HEAD, OPTIONS, PUT, PATCH, POST, DELETE]"

_NOBODY = "Pages work, but nobody can connect to anything live."


def not_the_host(answer: Answer) -> Failure:
    """Return what is wrong when a request that opens a session was answered like this."""
    behaviour = BEHAVIOURS[answer.path]
    match answer.status:
        case 502 | 504:
            return _host_down(answer)
        case 503:
            return _no_host_free(answer)
        case 400:
            return _query_lost(answer, behaviour)
        case 421 | 301 | 302 | 307 | 308:
            return _at_the_function(answer, behaviour)
    return Failure(
        f"{answer.said}, which is not how a socket host answers.",
        why=_NOBODY,
        do=f"See where the behaviour {behaviour} in infra/template.yaml leads: its TargetOriginId "
        "must be socket-host.",
    )


def _host_down(answer: Answer) -> Failure:
    return Failure(
        f"{answer.said}: the edge got no answer from the socket host.",
        why=_NOBODY,
        do="See why the host does not run: the terminal of scripts/dev; deployed, the service's "
        "events and log in ECS, and whether the load balancer's target group calls it healthy.",
    )


def _no_host_free(answer: Answer) -> Failure:
    return Failure(
        f"{answer.said}: no socket host takes new connections.",
        why=_NOBODY,
        do="Each may be full (MAX_CONNECTIONS), just going away, or called unhealthy by the load "
        "balancer: see the hosts' log and the target group.",
    )


def _query_lost(answer: Answer, behaviour: str) -> Failure:
    return Failure(
        f"{answer.said}: the host does not see the query that the request had.",
        why=f"{_NOBODY} What is lost with the query, as cookies, is lost for sessions too.",
        do=f"The behaviour {behaviour} in infra/template.yaml must forward queries, cookies and "
        "all headers to the host: its OriginRequestPolicyId is AllViewer "
        "(216adef6-5c7f-47e4-b989-5492eafa07d3).",
    )


def _at_the_function(answer: Answer, behaviour: str) -> Failure:
    return Failure(
        f"{answer.said}: the function answered in place of the socket host.",
        why=f"{_NOBODY} A function ends after each request and cannot hold a socket.",
        do=f"infra/template.yaml lacks the behaviour {behaviour}, or another one that matches "
        "comes first: CacheBehaviors needs it with TargetOriginId: socket-host.",
    )


def not_a_websocket(how: str) -> Failure:
    """Return what is wrong when polling opens a session and a websocket is refused."""
    return Failure(
        f"A websocket at /socket.io/ was answered {how}.",
        why="Every client stays with long polling: slower, and several times the requests.",
        do="The upgrade needs the Sec-WebSocket headers: the behaviour /socket.io/* in "
        "infra/template.yaml has the OriginRequestPolicyId AllViewer. A proxy between here and "
        "the site may refuse websockets too: try another network.",
    )
