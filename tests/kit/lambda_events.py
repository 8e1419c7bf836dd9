"""Lambda events for a request, as each of AWS's services in front of a function sends them.

Shapes: API Gateway developer guide ("Working with AWS Lambda proxy integrations for HTTP APIs",
"Lambda proxy integrations" for REST), load balancer user guide ("Lambda functions as targets"),
Lambda developer guide ("Invoking function URLs").
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, unquote

from functions.app import loop
from tests.small_app.site import handler

Event = dict[str, Any]

API = "abc123.execute-api.eu-west-1.amazonaws.com"  # the host that events are for


def http_api(path: str, query: str = "", *, method: str = "GET", **headers: str) -> Event:
    """HTTP API, payload 2.0: the path is decoded, the query unchanged."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    cookies = names.pop("cookie", "").split("; ")
    event: Event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": unquote(path),
        "rawQueryString": query,
        "headers": {"host": API, **names},
        "requestContext": {
            "domainName": API,
            "http": {
                "method": method,
                "path": unquote(path),
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.7",
                "userAgent": "test",
            },
            "stage": "$default",
        },
        "isBase64Encoded": False,
    }
    if cookies != [""]:
        event["cookies"] = cookies
    return event


def function_url(path: str, query: str = "", *, method: str = "GET", **headers: str) -> Event:
    """A function URL sends HTTP API events with its own host; the path stays encoded."""
    event = http_api(path, query, method=method, **headers)
    event["rawPath"] = event["requestContext"]["http"]["path"] = path
    host = "abc123.lambda-url.eu-west-1.on.aws"
    event["headers"]["host"] = event["requestContext"]["domainName"] = host
    return event


def http_api_1(path: str, query: str = "", *, method: str = "GET", **headers: str) -> Event:
    """HTTP API, payload 1.0: a REST API's form, but the path comes decoded."""
    event = rest_api(path, query, method=method, **headers)
    return event | {"version": "1.0", "path": unquote(path)}


def rest_api(path: str, query: str = "", *, method: str = "GET", **headers: str) -> Event:
    """REST API, payload 1.0: queries are parsed and decoded, the path is as it was sent."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    queries = parse_qs(query, keep_blank_values=True)
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": {"Host": API, **names},
        "multiValueHeaders": {name: [value] for name, value in names.items()},
        "queryStringParameters": {name: values[-1] for name, values in queries.items()} or None,
        "multiValueQueryStringParameters": queries or None,
        "requestContext": {"identity": {"sourceIp": "192.0.2.7"}, "stage": "prod"},
        "body": None,
        "isBase64Encoded": False,
    }


def load_balancer(path: str, query: str = "", *, method: str = "GET", **headers: str) -> Event:
    """A load balancer parses queries but leaves them and the path encoded."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    return {
        "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:example"}},
        "httpMethod": method,
        "path": path,
        "queryStringParameters": {name: value for name, _, value in pairs},
        "headers": {
            "host": "pages.example.com",
            "x-forwarded-for": "192.0.2.7",
            "x-forwarded-proto": "https",
            **names,
        },
        "body": "",
        "isBase64Encoded": False,
    }


def multi_value_load_balancer(
    path: str, query: str = "", *, method: str = "GET", **headers: str
) -> Event:
    """A load balancer whose target group has multi-value headers: lists of them and of queries."""
    event = load_balancer(path, query, method=method, **headers)
    queries: dict[str, list[str]] = {}
    for pair in filter(None, query.split("&")):
        name, _, value = pair.partition("=")
        queries.setdefault(name, []).append(value)
    single = event.pop("headers")
    del event["queryStringParameters"]
    return event | {
        "multiValueHeaders": {name: [value] for name, value in single.items()},
        "multiValueQueryStringParameters": queries,
    }


@contextmanager
def function_loop() -> Iterator[None]:
    """Set the event loop that the function was imported with, as in Lambda's own thread."""
    try:
        former = asyncio.get_event_loop()
    except RuntimeError:  # an async test may have left none
        former = None
    asyncio.set_event_loop(loop)
    try:
        yield
    finally:
        asyncio.set_event_loop(former)


def invoke(
    event: Event, context: Any = None, by: Callable[[Event, Any], Any] = handler
) -> dict[str, Any]:
    """Call a handler, by default the small app's, as Lambda does."""
    with function_loop():
        answer: dict[str, Any] = by(event, context)
    return answer


def headers_of(answer: dict[str, Any]) -> dict[str, list[str]]:
    """Return an answer's headers by name in lower case, wherever its format has them."""
    found: dict[str, list[str]] = {}
    for name, value in (answer.get("headers") or {}).items():
        found.setdefault(name.lower(), []).append(value)
    for name, values in (answer.get("multiValueHeaders") or {}).items():
        found.setdefault(name.lower(), []).extend(values)
    if cookies := answer.get("cookies"):
        found["set-cookie"] = cookies
    return found


FRONT_DOORS = [
    http_api,
    http_api_1,
    rest_api,
    load_balancer,
    multi_value_load_balancer,
    function_url,
]
