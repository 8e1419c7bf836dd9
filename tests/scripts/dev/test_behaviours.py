"""Behaviours and policies: where a path leads, and which parts of a request are forwarded."""

import pytest

from scripts.commands.dev.behaviours import Behaviour, choose
from scripts.commands.dev.policies import CACHE_POLICIES, ORIGIN_REQUEST_POLICIES, Policy
from scripts.commands.dev.template import Template, load
from scripts.commands.dev.template_error import TemplateError
from tests.scripts.dev.edges import TEMPLATE, changed

DISABLED = CACHE_POLICIES["4135ea2d-6df8-44a3-9df3-4b5a84be39ad"]
OPTIMIZED = CACHE_POLICIES["658327ea-f89d-4fab-a63d-7e88639e58f6"]
ALL_VIEWER = ORIGIN_REQUEST_POLICIES["216adef6-5c7f-47e4-b989-5492eafa07d3"]
EXCEPT_HOST = ORIGIN_REQUEST_POLICIES["b689b0a8-53d0-40ab-baf2-68738e2966ac"]


def behaviour(pattern: str, origin: str = "function") -> Behaviour:
    return Behaviour(pattern, origin, frozenset({"GET"}), Policy())


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("/socket.io", "/socket.io", True),
        ("/socket.io", "/socket.io/", False),
        ("/socket.io", "/socketxio", False),
        ("/socket.io/*", "/socket.io/", True),
        ("/socket.io/*", "/socket.io/a/b", True),
        ("/socket.io/*", "/socket.iox/", False),
        ("/socket.io/*", "/SOCKET.IO/", False),
        ("/socket.io/*", "/a/socket.io/", False),
        ("/a?c", "/abc", True),
        ("/a?c", "/ac", False),
        ("/a?c", "/a/c", True),
        ("*.jpg", "/a/b.jpg", True),
        ("images/*", "/images/a", True),
        ("*", "/", True),
        ("/[a]", "/a", False),
        ("/a/*", "/a/\n", True),
    ],
)
def test_patterns(pattern: str, path: str, matches: bool) -> None:
    """A pattern matches the whole path, case-sensitively; `*` is any text, `?` one character."""
    assert behaviour(pattern).matches(path) == matches


def test_first_match() -> None:
    """If several behaviours match, the first one in the template is used."""
    listed = [behaviour("/a/*", "first"), behaviour("/a/b", "second"), behaviour("*", "last")]
    assert choose(listed, "/a/b").origin == "first"
    assert choose(listed, "/b").origin == "last"


@pytest.mark.parametrize(
    "path", ["/socket.io/", "//socket.io/", "/%73ocket%2Eio/", "/x/../socket.io/", "/./socket.io/"]
)
def test_paths_are_compared_normalized(path: str) -> None:
    """CloudFront matches the normalized path, not its spelling."""
    assert choose(changed().behaviours, path).pattern == "/socket.io/*"


@pytest.mark.parametrize("path", ["/socket.io%2F", "/%2Fsocket.io/", "/socket.io/../", "/x", "/"])
def test_other_paths_stay_other(path: str) -> None:
    """Normalizing decodes no separators, so no other path becomes the socket path."""
    assert choose(changed().behaviours, path).pattern == "*"


VIEWER = [
    ("Host", "viewer.test"),
    ("Cookie", "a=1"),
    ("User-Agent", "Browser"),
    ("Accept-Encoding", "br"),
    ("X-Own", "1"),
    ("Content-Type", "text/plain"),
    ("Content-Length", "1"),
    ("Connection", "keep-alive, X-Hop"),
    ("X-Hop", "1"),
    ("Transfer-Encoding", "chunked"),
    ("Upgrade", "h2c"),
]


@pytest.mark.parametrize(
    ("policy", "forwarded"),
    [
        (DISABLED, {"content-type"}),
        (OPTIMIZED, {"content-type", "accept-encoding"}),
        (
            DISABLED | ALL_VIEWER,
            {"host", "cookie", "user-agent", "accept-encoding", "x-own", "content-type"},
        ),
        (
            DISABLED | EXCEPT_HOST,
            {"cookie", "user-agent", "accept-encoding", "x-own", "content-type"},
        ),
    ],
)
def test_forwarded_headers(policy: Policy, forwarded: set[str]) -> None:
    """An origin gets the headers that the policies forward, and no hop-by-hop headers."""
    headers = policy.forwarded(VIEWER)
    assert {name.lower() for name, _ in headers} - {"user-agent"} == forwarded - {"user-agent"}
    agent = "Browser" if "user-agent" in forwarded else "Amazon CloudFront"
    assert ("User-Agent", agent) in headers


def test_policies_add_up() -> None:
    """What either of a behaviour's two policies forwards reaches the origin."""
    assert (OPTIMIZED | ALL_VIEWER).query
    assert (OPTIMIZED | ALL_VIEWER).cookies
    assert not OPTIMIZED.query
    assert not (DISABLED | OPTIMIZED).cookies


ORIGIN = "          - Id: socket-host\n"
HOST_POLICY = "216adef6-5c7f-47e4-b989-5492eafa07d3"


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("TargetOriginId: socket-host", "TargetOriginId: sockets", "none of the distribution's"),
        (
            HOST_POLICY,
            "00000000-0000-0000-0000-000000000000",
            "which the local edge cannot enforce",
        ),
        ("PathPattern: /socket.io/*", "Pattern: /socket.io/*", "needs a PathPattern"),
        ("AllowedMethods: [GET, HEAD]", "AllowedMethods: GET", "must be a list of methods"),
        ("OriginReadTimeout: 60", "OriginReadTimeout: soon", "must be a number here, not 'soon'"),
        ("Handler: functions.app.handler", "Handler: handler", "must have the form module.name"),
        ("AWS::CloudFront::Distribution", "AWS::CloudFront::Function", "there are 0"),
        ("DefaultCacheBehavior:", "OtherCacheBehavior:", "has no DefaultCacheBehavior"),
        ("Resources:", "Resources: [", r"this is not YAML in line \d+: "),
        ("Resources:", "Things:", "the template has no Resources"),
    ],
)
def test_unusable_template(old: str, new: str, sentence: str) -> None:
    """A template that cannot be enforced is refused with a message that says why."""
    with pytest.raises(TemplateError, match=sentence):
        changed((old, new))


def test_origin_of_the_cloud() -> None:
    """A behaviour with an origin that exists only in the cloud is refused by name."""
    bucket = (ORIGIN, f"          - Id: bucket\n{ORIGIN}")
    static = "PathPattern: /static/*\n            TargetOriginId: "
    with pytest.raises(TemplateError, match=r"leads to 'bucket', which does not exist on one"):
        changed(bucket, (f"{static}function", f"{static}bucket"))


def test_short_tags() -> None:
    """CloudFormation's short tags get their long form; other YAML is unchanged."""
    assert load("a: !Ref B\nb: !GetAtt C.D.E\nc: !Sub [x, {y: 1}]\nd: !If [e, {f: g}, 1]") == {
        "a": {"Ref": "B"},
        "b": {"Fn::GetAtt": ["C", "D.E"]},
        "c": {"Fn::Sub": ["x", {"y": 1}]},
        "d": {"Fn::If": ["e", {"f": "g"}, 1]},
    }


def test_unlisted_methods() -> None:
    """If a template lists no methods, only GET and HEAD are allowed, as in CloudFront."""
    methods = "AllowedMethods: [GET, HEAD, OPTIONS, PUT, PATCH, POST, DELETE]"
    assert methods in TEMPLATE
    behaviours = Template.parse(TEMPLATE.replace(methods, "SmoothStreaming: false")).behaviours
    assert {behaviour.methods for behaviour in behaviours} == {frozenset({"GET", "HEAD"})}
