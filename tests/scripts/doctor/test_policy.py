"""A Content-Security-Policy is interpreted as in Chromium."""

import pytest
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from scripts.commands.doctor.answer import Answer
from scripts.commands.doctor.policy import Policy

SITE = "https://site.example"


def allowed(policy: str, *, site: str = SITE) -> set[str]:
    """The schemes with which a page may connect to its own socket."""
    page = URL(site)
    schemes = (page.scheme, {"https": "wss", "http": "ws"}[page.scheme])
    urls = [page.with_scheme(scheme) / "socket.io/" for scheme in schemes]
    return {url.scheme for url in urls if Policy.parse(policy).allows("connect-src", url, page)}


@pytest.mark.parametrize(
    ("policy", "schemes"),
    [
        ("", {"https", "wss"}),
        ("connect-src 'self'", {"https", "wss"}),
        ("default-src 'self'", {"https", "wss"}),
        ("script-src 'none'", {"https", "wss"}),
        ("connect-src *", {"https", "wss"}),
        ("default-src 'none'", set()),
        ("default-src 'self'; connect-src 'none'", set()),
        ("connect-src 'self'; connect-src 'none'", {"https", "wss"}),
        ("CONNECT-SRC 'SELF'", {"https", "wss"}),
        ("connect-src", set()),
        ("connect-src https://site.example", {"https"}),
        ("connect-src https:", {"https"}),
        ("connect-src http:", {"https"}),
        ("connect-src wss:", {"wss"}),
        ("connect-src ws:", {"wss"}),
        ("connect-src wss://site.example", {"wss"}),
        ("connect-src site.example", {"https"}),
        ("connect-src *.example:443", {"https"}),
        ("connect-src https://site.example wss://site.example", {"https", "wss"}),
        ("connect-src https://api.example wss://api.example", set()),
        ("connect-src https://*.example wss://*.example", {"https", "wss"}),
        ("connect-src https://*.site.example", set()),
        ("connect-src https://site.example:443", {"https"}),
        ("connect-src https://site.example:8443", set()),
        ("connect-src https://site.example:*", {"https"}),
        ("connect-src https://site.example/api/", set()),
        ("connect-src https://site.example/socket.io/ wss://site.example/", {"https", "wss"}),
    ],
)
def test_socket(policy: str, schemes: set[str]) -> None:
    """Which connections to the socket a policy allows."""
    assert allowed(policy) == schemes


@pytest.mark.parametrize(
    ("policy", "schemes"),
    [
        ("connect-src 'self'", {"http", "ws"}),
        ("connect-src http://localhost:3000", {"http"}),
        ("connect-src http://localhost", set()),
        ("connect-src ws://localhost:3000", {"ws"}),
        ("connect-src localhost:3000", {"http"}),
        ("connect-src *:3000", {"http"}),
        ("connect-src ws://localhost:*", {"ws"}),
        ("connect-src ws://127.0.0.1:3000", set()),
    ],
)
def test_socket_by_http(policy: str, schemes: set[str]) -> None:
    """The same for a site on one machine."""
    assert allowed(policy, site="http://localhost:3000") == schemes


def test_all_of_them() -> None:
    """A page has the policies of all headers, of their parts, and of its meta elements."""
    headers = CIMultiDict(
        [
            ("Content-Security-Policy", "img-src a, font-src b"),
            ("content-security-policy", "style-src c;;"),
            ("Content-Security-Policy-Report-Only", "connect-src 'none'"),
            ("Content-Type", "text/html"),
        ]
    )
    page = (
        "<meta charset=utf-8><META content='media-src &#39;self&#39;' "
        'HTTP-EQUIV="Content-Security-Policy">'
    )
    answer = Answer("GET", "/", 200, CIMultiDictProxy(headers), {}, page.encode())
    assert [dict(policy.directives) for policy in Policy.all_of(answer)] == [
        {"img-src": ("a",)},
        {"font-src": ("b",)},
        {"style-src": ("c",)},
        {"media-src": ("'self'",)},
    ]
