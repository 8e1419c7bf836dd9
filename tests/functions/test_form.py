"""Forms: all fields that a browser sends are read, and bodies of other types are refused."""

import json
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from functions.web.form import MAX_BYTES, MAX_FIELDS, read_form
from tests.functions.answering import site

FORM = "application/x-www-form-urlencoded"

UPLOAD = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb=1&c=2\r\n--x--\r\n'


async def page(request: Request) -> Response:
    fields = await read_form(request)
    return JSONResponse([dict(fields), {name: fields.getlist(name) for name in fields}])


def post(body: bytes, **headers: str) -> dict[str, Any]:
    """Post a body to the page, by default as a form."""
    ask = site(Route("/", page, methods=["POST"]))
    sent = {"content_type": FORM, "sec_fetch_site": "same-origin", "accept": "application/json"}
    return ask("/", method="POST", body=body, **sent | headers)


@pytest.mark.parametrize(
    ("body", "last", "every"),
    [
        (b"", {}, {}),
        (b"a=1&b=&c", {"a": "1", "b": "", "c": ""}, {"a": ["1"], "b": [""], "c": [""]}),
        (b"a=1&b=2&a=3", {"a": "3", "b": "2"}, {"a": ["1", "3"], "b": ["2"]}),
        (b"a=%C3%A9+%F0%9F%A6%8A%0D%0Ab", {"a": "é 🦊\nb"}, {"a": ["é 🦊\nb"]}),
        (b"a=%E9", {"a": "\ufffd"}, {"a": ["\ufffd"]}),
    ],
)
def test_fields(body: bytes, last: dict[str, str], every: dict[str, list[str]]) -> None:
    """A field that was sent several times has its last value, and all of them on request."""
    answer = post(body)
    assert (answer["statusCode"], json.loads(answer["body"])) == (200, [last, every])


@pytest.mark.parametrize("kind", [FORM, FORM.upper(), f"{FORM}; charset=UTF-8", ""])
def test_types_of_a_form(kind: str) -> None:
    """The type may have parameters, or be missing."""
    assert post(b"a=1", content_type=kind)["statusCode"] == 200


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data; boundary=x", UPLOAD),
        ("multipart/form-data; boundary=x", UPLOAD + b"\xff"),
        ("text/plain", b"a=1\r\n"),
        ("application/json", b'{"a": "b=1&c"}'),
    ],
)
def test_other_types(kind: str, body: bytes) -> None:
    """A body of another type is refused with an explanation, because its fields would be wrong."""
    answer = post(body, content_type=kind)
    assert answer["statusCode"] == 415
    assert FORM in answer["body"]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"&".join([b"a=1"] * MAX_FIELDS), 200, ""),
        (b"&".join([b"a=1"] * (MAX_FIELDS + 1)), 413, f"at most {MAX_FIELDS} fields"),
        (b"a=" + b"x" * (MAX_BYTES - 2), 200, ""),
        (b"a=" + b"x" * (MAX_BYTES - 1), 413, f"at most {MAX_BYTES:,} bytes"),
        (b"a=\xe9", 400, "not a valid form"),
    ],
    ids=range(5),
)
def test_limits(body: bytes, status: int, words: str) -> None:
    """A form has a limited number of fields and bytes, and the error names the limit."""
    answer = post(body)
    assert answer["statusCode"] == status
    assert words in answer["body"]
