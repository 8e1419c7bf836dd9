"""Why the socket path answers differently from a socket host."""

from scripts.commands.doctor.answer import Answer
from scripts.commands.doctor.finding import Failure

# The two spellings of the socket path, and the template's behaviour for each.
BEHAVIOURS = {"/socket.io/": "/socket.io/*", "/socket.io": "/socket.io"}

ALL_METHODS = "[GET, HEAD, OPTIONS, PUT, PATCH, POST, DELETE]"

_WHO_FORBIDS = (
    "a firewall's rule (AWS WAF: the web ACL's sampled requests), a restriction of countries or "
    "addresses, or a proxy in the network that this runs in"
)

_NOBODY = "Nobody can connect to anything live."


def turned_away(answer: Answer) -> Failure | None:
    """Return what is wrong if something in front of the site answered in its place, else None."""
    return _turned_away(answer.status, answer.said, firewall=answer.is_firewall)


def _turned_away(status: int, said: str, *, firewall: bool) -> Failure | None:
    if status == 401:
        return Failure(
            f"{said}: a password or a login is asked for.",
            why="Whoever has none sees nothing of the site, and neither does this examination.",
            do="Give the cookie that a login sets by --session, or a page that needs none by "
            "--page; or take the password away while the site is examined.",
        )
    if status == 429:
        return Failure(
            f"{said}: too many requests came from here.",
            why="If visitors meet this too, the limit is lower than what they need.",
            do="Wait some minutes and run this again. The limit is one of a firewall (the rate "
            "rule of a web ACL), of Lambda (concurrent runs), or of the host (MAX_PER_ADDRESS, and "
            "PROXIES, without which all visitors have one address).",
        )
    if firewall:
        return Failure(
            f"{said}: a firewall does not let this request through.",
            why="It may turn visitors away too.",
            do="See the sampled requests of the web ACL in AWS WAF for the rule that matched, and "
            "except the path from it; or run this from a network that the rules let in.",
        )
    return None


def led_away(answer: Answer) -> Failure | None:
    """Return what is wrong if a response leads to a login, to https or to another site."""
    location = answer.location
    if answer.asks_for_login:
        return Failure(
            f"{answer.said}: it leads to a login, {location!r}.",
            why="Whoever has not signed in sees nothing else, and neither does this examination.",
            do="Give the cookie that the login sets by --session, or a page that needs none by "
            "--page. The socket path needs no login in front: the host asks for the session.",
        )
    where = answer.destination
    if where.scheme == "https" and where.host == answer.host and not answer.secure:
        return Failure(
            f"{answer.said}: the site speaks https only.",
            why="What is examined here is the way there, not the site.",
            do=f"Examine https://{answer.host} in place of this address.",
        )
    if (host := where.host) and host != answer.host:
        return Failure(
            f"{answer.said}: it leads to another site, {location!r}.",
            why="What is examined here is the way there, not the site.",
            do=f"If the site is at {host}, examine that address in place of this one.",
        )
    return None


def not_the_host(answer: Answer) -> Failure:
    """Return what is wrong if a request to open a session got this response."""
    behaviour = BEHAVIOURS[answer.path]
    if failure := turned_away(answer) or led_away(answer):
        return failure
    match answer.status:
        case 403:
            return _forbidden(answer.said)
        case 502 | 504:
            return _host_down(answer)
        case 503:
            return _no_host_free(answer)
        case 400:
            return _query_lost(answer, behaviour)
        case 421 | 301 | 302 | 303 | 307 | 308:
            return _at_the_function(answer, behaviour)
    return Failure(
        f"{answer.said}, which is not how a socket host answers.",
        why=_NOBODY,
        do=f"See where the behaviour {behaviour} in infra/template.yaml leads: its TargetOriginId "
        "must be socket-host.",
    )


def page_forbidden(answer: Answer) -> Failure:
    """Return what is wrong if a page got a 403 from an unknown source."""
    return Failure(
        f"{answer.said}: the site, or somebody in front of it, forbids it.",
        why="Visitors see an error in place of the site.",
        do="If the site asks for a session, give one by --session, or a page that needs none by "
        f"--page. Else look for {_WHO_FORBIDS}.",
    )


def _forbidden(said: str) -> Failure:
    return Failure(
        f"{said}: somebody in front of the host forbids it.",
        why=_NOBODY,
        do=f"Look for {_WHO_FORBIDS}.",
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


def websocket_refused(status: int) -> Failure:
    """Return what is wrong if polling works and a websocket is refused with a status."""
    how = f"{status} in place of 101"
    said = f"A websocket at /socket.io/ was answered {how}"
    if failure := _turned_away(status, said, firewall=False):
        return failure
    return _forbidden(said) if status == 403 else not_a_websocket(how)


def not_a_websocket(how: str) -> Failure:
    """Return what is wrong if polling works and a websocket is refused."""
    return Failure(
        f"A websocket at /socket.io/ was answered {how}.",
        why="Every client stays with long polling: slower, and several times the requests.",
        do="The upgrade needs the Sec-WebSocket headers: the behaviour /socket.io/* in "
        "infra/template.yaml has the OriginRequestPolicyId AllViewer. A proxy between here and "
        "the site may refuse websockets too: try another network.",
    )
