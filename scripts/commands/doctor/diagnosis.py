"""Why the socket path answers differently from a socket host."""

from scripts.commands.doctor.answer import Answer
from scripts.commands.doctor.finding import Failure

# The two spellings of the socket path, and the template's behaviour for each.
BEHAVIOURS = {"/socket.io/": "/socket.io/*", "/socket.io": "/socket.io"}

ALL_METHODS = "[GET, HEAD, OPTIONS, PUT, PATCH, POST, DELETE]"

_WHO_FORBIDS = (
    "a firewall's rule (AWS WAF: the web ACL's sampled requests), a restriction on countries or "
    "addresses, or a proxy in your own network"
)

_NOBODY = "Nobody can connect to anything live."


def turned_away(answer: Answer) -> Failure | None:
    """Return what is wrong if something in front of the site responded instead, else None."""
    return _turned_away(answer.status, answer.said, firewall=answer.is_firewall)


def _turned_away(status: int, said: str, *, firewall: bool) -> Failure | None:
    if status == 401:
        return Failure(
            f"{said}: a password or a login is required.",
            why="Visitors without one see nothing of the site, and neither do these checks.",
            do="Pass the cookie that a login sets with --session, or a page without a login with "
            "--page; or remove the password during the check.",
        )
    if status == 429:
        return Failure(
            f"{said}: too many requests came from here.",
            why="If this happens to visitors too, the limit is too low.",
            do="Wait some minutes and run this again. The limit is a firewall's (the rate rule of "
            "a web ACL), Lambda's (concurrent invocations), or the host's (MAX_PER_ADDRESS; if "
            "PROXIES is wrong, all visitors seem to have one address).",
        )
    if firewall:
        return Failure(
            f"{said}: a firewall blocks this request.",
            why="It may block visitors too.",
            do="See the web ACL's sampled requests in AWS WAF for the rule that matched, and "
            "exclude the path from it; or run this from a network that the rules allow.",
        )
    return None


def led_away(answer: Answer) -> Failure | None:
    """Return what is wrong if a response leads to a login, to https or to another site."""
    location = answer.location
    if answer.asks_for_login:
        return Failure(
            f"{answer.said}: it redirects to a login, {location!r}.",
            why="Visitors who are not signed in see nothing else, and neither do these checks.",
            do="Pass the cookie that the login sets with --session, or a page without a login with "
            "--page. The socket path needs no login in front of it: the host requires a session.",
        )
    where = answer.destination
    if where.scheme == "https" and where.host == answer.host and not answer.secure:
        return Failure(
            f"{answer.said}: the site uses https only.",
            why="This checks the redirect, not the site.",
            do=f"Examine https://{answer.host} instead of this address.",
        )
    if (host := where.host) and host != answer.host:
        return Failure(
            f"{answer.said}: it redirects to another site, {location!r}.",
            why="This checks the redirect, not the site.",
            do=f"If the site is at {host}, examine that address instead of this one.",
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
        f"{answer.said}, which is not a socket host's response.",
        why=_NOBODY,
        do=f"See where the behaviour {behaviour} in infra/template.yaml leads: its TargetOriginId "
        "must be socket-host.",
    )


def page_forbidden(answer: Answer) -> Failure:
    """Return what is wrong if a page got a 403 from an unknown source."""
    return Failure(
        f"{answer.said}: the site, or something in front of it, forbids it.",
        why="Visitors see an error instead of the site.",
        do="If the site requires a session, pass one with --session, or a page that needs none "
        f"with --page. Otherwise look for {_WHO_FORBIDS}.",
    )


def _forbidden(said: str) -> Failure:
    return Failure(
        f"{said}: something in front of the host forbids it.",
        why=_NOBODY,
        do=f"Look for {_WHO_FORBIDS}.",
    )


def _host_down(answer: Answer) -> Failure:
    return Failure(
        f"{answer.said}: the edge got no answer from the socket host.",
        why=_NOBODY,
        do="Find out why the host does not run: see the terminal of scripts/dev or, if deployed, "
        "the service's events and log in ECS, and its health in the load balancer's target group.",
    )


def _no_host_free(answer: Answer) -> Failure:
    return Failure(
        f"{answer.said}: no socket host accepts new connections.",
        why=_NOBODY,
        do="Each host may be full (MAX_CONNECTIONS), draining, or unhealthy for the load balancer: "
        "see the hosts' log and the target group.",
    )


def _query_lost(answer: Answer, behaviour: str) -> Failure:
    return Failure(
        f"{answer.said}: the host does not get the request's query.",
        why=f"{_NOBODY} Cookies, and so sessions, may be lost too.",
        do=f"The behaviour {behaviour} in infra/template.yaml must forward queries, cookies and "
        "all headers to the host: its OriginRequestPolicyId is AllViewer "
        "(216adef6-5c7f-47e4-b989-5492eafa07d3).",
    )


def _at_the_function(answer: Answer, behaviour: str) -> Failure:
    return Failure(
        f"{answer.said}: the function answered instead of the socket host.",
        why=f"{_NOBODY} A function ends after each request and cannot hold a socket.",
        do=f"infra/template.yaml lacks the behaviour {behaviour}, or has another one before it "
        "that matches too: CacheBehaviors needs it with TargetOriginId: socket-host.",
    )


def websocket_refused(status: int) -> Failure:
    """Return what is wrong if polling works and a websocket is refused with a status."""
    how = f"{status} instead of 101"
    said = f"A websocket at /socket.io/ was answered {how}"
    if failure := _turned_away(status, said, firewall=False):
        return failure
    return _forbidden(said) if status == 403 else not_a_websocket(how)


def not_a_websocket(how: str) -> Failure:
    """Return what is wrong if polling works and a websocket is refused."""
    return Failure(
        f"A websocket at /socket.io/ was answered {how}.",
        why="All clients use long polling: it is slower, with several times as many requests.",
        do="The upgrade needs the Sec-WebSocket headers: the behaviour /socket.io/* in "
        "infra/template.yaml must have the OriginRequestPolicyId AllViewer. A proxy between you "
        "and the site may refuse websockets too: try another network.",
    )
