"""CloudFront's managed policies: which parts of a request they forward to an origin.

Ids and contents are from the CloudFront developer guide, "Use managed cache policies" and "Use
managed origin request policies". Policies for other AWS products are left out.
"""

from dataclasses import dataclass

Headers = list[tuple[str, str]]

# CloudFront always forwards these, because it forwards the body that they describe.
_BODY_HEADERS = frozenset({"content-encoding", "content-language", "content-type"})

# These concern one connection only. CloudFront does not forward Expect either.
_HOP_BY_HOP = frozenset(
    {"connection", "expect", "keep-alive", "proxy-authenticate", "proxy-authorization"}
    | {"proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)


@dataclass(frozen=True)
class Policy:
    """What one policy, or several combined, forward; header names are in lower case."""

    headers: frozenset[str] = frozenset()
    all_headers: bool = False  # except Host, which is in `headers` if it is forwarded
    cookies: bool = False
    query: bool = False

    def __or__(self, other: "Policy") -> "Policy":
        return Policy(
            self.headers | other.headers,
            self.all_headers or other.all_headers,
            self.cookies or other.cookies,
            self.query or other.query,
        )

    def forwarded(self, headers: Headers) -> Headers:
        """Return the viewer's headers that reach the origin."""
        kept = [header for header in end_to_end(headers) if self._keeps(header[0].lower())]
        if not self.all_headers and "user-agent" not in self.headers:
            kept.append(("User-Agent", "Amazon CloudFront"))
        return kept

    def _keeps(self, name: str) -> bool:
        if name in ("content-length", "x-forwarded-for"):
            return False  # the edge sets its own
        if name == "cookie":
            return self.cookies
        if name == "host":
            return name in self.headers
        return self.all_headers or name in self.headers or name in _BODY_HEADERS


def end_to_end(headers: Headers) -> Headers:
    """Return the headers without those that concern a single connection."""
    named = {
        token.strip().lower()
        for name, value in headers
        if name.lower() == "connection"
        for token in value.split(",")
    }
    return [header for header in headers if header[0].lower() not in _HOP_BY_HOP | named]


_OVERRIDES = frozenset({"x-http-method", "x-http-method-override", "x-method-override"})

CACHE_POLICIES = {
    # CachingDisabled
    "4135ea2d-6df8-44a3-9df3-4b5a84be39ad": Policy(),
    # CachingOptimized
    "658327ea-f89d-4fab-a63d-7e88639e58f6": Policy(frozenset({"accept-encoding"})),
    # CachingOptimizedForUncompressedObjects
    "b2884449-e4de-46a7-ac36-70bc7f1ddd6d": Policy(),
    # UseOriginCacheControlHeaders
    "83da9c7e-98b4-4e11-a168-04f0df8e2c65": Policy(
        frozenset({"accept-encoding", "host", "origin"}) | _OVERRIDES, cookies=True
    ),
    # UseOriginCacheControlHeaders-QueryStrings
    "4cc15a8a-d715-48a4-82b8-cc0b614638fe": Policy(
        frozenset({"accept-encoding", "host", "origin"}) | _OVERRIDES, cookies=True, query=True
    ),
}

ORIGIN_REQUEST_POLICIES = {
    # AllViewer
    "216adef6-5c7f-47e4-b989-5492eafa07d3": Policy(
        frozenset({"host"}), all_headers=True, cookies=True, query=True
    ),
    # AllViewerExceptHostHeader
    "b689b0a8-53d0-40ab-baf2-68738e2966ac": Policy(all_headers=True, cookies=True, query=True),
    # CORS-CustomOrigin
    "59781a5b-3903-41f3-afcb-af62929ccde1": Policy(frozenset({"origin"})),
    # CORS-S3Origin
    "88a5eaf4-2fd4-4709-b370-b4c650ea3fcf": Policy(
        frozenset({"origin", "access-control-request-headers", "access-control-request-method"})
    ),
    # HostHeaderOnly
    "bf0718e1-ba1e-49d1-88b1-f726733018ae": Policy(frozenset({"host"})),
    # UserAgentRefererHeaders
    "acba4595-bd28-49b8-b9fe-13317c0390fa": Policy(frozenset({"user-agent", "referer"})),
}
