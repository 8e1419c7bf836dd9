"""Both halves behind AWS's services: CloudFront, and an API or a load balancer over http.

The headers are those that reach an origin: CloudFront's own, those of the viewer's that its
policies forward (AllViewer to hosts, AllViewerExceptHostHeader to the function), and the next
service's own.
"""

import re
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from functions.contract.session import COOKIE
from tests.kit.clients import WAYS, clients
from tests.kit.hosts import ORIGIN, on_each_transport, serving, token, url
from tests.kit.lambda_events import http_api, invoke
from tests.small_app.events.plaza import Plaza

SITE = URL(ORIGIN)
VIEWER, EDGE = "192.0.2.4", "198.51.100.7"  # addresses of the viewer, and of CloudFront's server

FROM_CLOUDFRONT = {
    "Via": "2.0 d111.cloudfront.net (CloudFront)",
    "X-Amz-Cf-Id": "an-id-of-the-request",
}

# As the load balancer forwards it: it reports http, whatever the viewer uses.
AT_THE_HOST = FROM_CLOUDFRONT | {
    "Host": str(SITE.host),
    "Origin": ORIGIN,
    "X-Forwarded-For": f"{VIEWER}, {EDGE}",
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Port": "80",
    "X-Amzn-Trace-Id": "Root=1-67891233-abcdef012345678912345678",
    "Cookie": f"AWSALB=a-host; {COOKIE}={token('Ann')}; other=1",
}


class Asking(Plaza):
    """A namespace with an event that returns what the host knows about the client."""

    async def on_where(self, sid: str) -> dict[str, Any]:
        assert self.server
        environ = self.server.get_environ(sid, self.namespace)
        return {"for": environ["HTTP_X_FORWARDED_FOR"], "peer": environ["REMOTE_ADDR"]}


@on_each_transport
@pytest.mark.parametrize("way", WAYS)
async def test_host_behind_the_load_balancer(way: str, transport: str, tmp_path: Path) -> None:
    """The site's pages connect over http from the load balancer, with a cookie beside its own.

    Events see the viewer's address as added by the edge, and the load balancer as the peer.
    """
    async with (
        serving(tmp_path, Asking, transport=transport) as host,
        clients("javascript", way) as people,
    ):
        client = await people.connect(url(host), None, extraHeaders=AT_THE_HOST)
        assert await client.call("where") == {"for": f"{VIEWER}, {EDGE}", "peer": "127.0.0.1"}
        assert "error" not in await client.call("enter", {"room": "plaza"})


def at_the_function(path: str, query: str = "", *, method: str = "GET", **headers: str) -> Any:
    """The API's event: with its own Host, https, and CloudFront as the client."""
    event = http_api(
        path,
        query,
        method=method,
        x_forwarded_for=f"{VIEWER}, {EDGE}",
        x_forwarded_proto="https",
        x_forwarded_port="443",
        cloudfront_viewer_address=f"{VIEWER}:46532",
        **{name.lower().replace("-", "_"): value for name, value in FROM_CLOUDFRONT.items()},
        **headers,
    )
    event["requestContext"]["http"]["sourceIp"] = EDGE
    return event


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("proto", ["http", "https"])
def test_redirects_behind_the_edge(method: str, proto: str) -> None:
    """A redirect contains neither the API's host nor a scheme, whatever the viewer's scheme."""
    event = at_the_function("/about/", "a=%2F&b", method=method)
    event["headers"]["x-forwarded-proto"] = proto
    answer = invoke(event)
    assert (answer["statusCode"], answer["headers"]["location"]) == (308, "/about?a=%2F&b")


def test_pages_behind_the_edge() -> None:
    """A page contains no host name of the API, and its cookie is limited to its own host."""
    answer = invoke(at_the_function("/"))
    assert answer["statusCode"] == 200
    host = at_the_function("/")["headers"]["host"]
    everything = answer["body"] + str(answer["headers"]) + str(answer["cookies"])
    assert host not in everything
    assert not re.search(r'(?:href|src|action)="(?:https?:)?//', answer["body"])
    (cookie,) = answer["cookies"]
    assert "domain" not in cookie.lower()


def test_session_behind_the_edge() -> None:
    """The session cookie comes back through the edge among other cookies, and stays valid."""
    (cookie,) = invoke(at_the_function("/"))["cookies"]
    session = cookie.partition(";")[0]
    again = invoke(at_the_function("/", cookie=f"AWSALB=a-host; {session}; other=1"))
    assert not again.get("cookies")
