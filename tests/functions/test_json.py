"""JSON requests are read into models, and problems are returned as problem+json."""

import json
from dataclasses import dataclass, field, make_dataclass
from typing import Any, Literal

import pytest
from pydantic import BaseModel, RootModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from functions.contract.payload import MOST_PROBLEMS, PayloadError, check_type, parse
from functions.web.json_body import MAX_BYTES, read_json
from tests.functions.answering import Ask, site


@dataclass
class Line:
    """One line of an order."""

    item: str
    count: int = 1

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError("count must be 1 or more")


@dataclass
class Order:
    """An order, with a field of each kind."""

    lines: list[Line]
    price: float
    gift: bool = False
    note: str | None = None
    speed: Literal["slow", "fast"] = "slow"
    tags: dict[str, str] = field(default_factory=dict)
    extra: Any = None


GOOD = {"lines": [{"item": "tea"}], "price": 2}


def test_parse() -> None:
    """Data that fits a model becomes an instance of it; unknown fields are ignored."""
    assert parse(Order, GOOD | {"more": 1}) == Order([Line("tea")], 2.0)
    full = {
        "lines": [{"item": "tea", "count": 2}, {"item": ""}],
        "price": 2.5,
        "gift": True,
        "note": "hi",
        "speed": "fast",
        "tags": {"a": "b"},
        "extra": [1, {"a": None}],
    }
    lines = [Line("tea", 2), Line("")]
    assert parse(Order, full) == Order(lines, 2.5, True, "hi", "fast", {"a": "b"}, [1, {"a": None}])


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"lines": None}, ("lines", "must be a list")),
        ({"lines": {}}, ("lines", "must be a list")),
        ({"lines": [7]}, ("lines.0", "must be an object")),
        ({"lines": [{"item": "a"}, {}]}, ("lines.1.item", "is missing")),
        ({"lines": [{"item": 7}]}, ("lines.0.item", "must be a string")),
        ({"lines": [{"item": "a", "count": True}]}, ("lines.0.count", "must be a whole number")),
        ({"lines": [{"item": "a", "count": 1.5}]}, ("lines.0.count", "must be a whole number")),
        ({"lines": [{"item": "a", "count": 0}]}, ("lines.0", "count must be 1 or more")),
        ({"price": "2"}, ("price", "must be a number")),
        ({"price": None}, ("price", "must be a number")),
        ({"price": False}, ("price", "must be a number")),
        ({"price": 10**400}, ("price", "is too large")),
        ({"gift": 1}, ("gift", "must be true or false")),
        ({"note": 1}, ("note", "must be a string or null")),
        ({"speed": "no"}, ("speed", "must be 'slow' or 'fast'")),
        ({"tags": []}, ("tags", "must be an object")),
        ({"tags": {"a": 1}}, ("tags.a", "must be a string")),
    ],
)
def test_wrong_form(change: dict[str, Any], problem: tuple[str, str]) -> None:
    """A problem names its field."""
    with pytest.raises(PayloadError) as raised:
        parse(Order, GOOD | change)
    assert raised.value.problems == [problem]
    assert str(raised.value) == f"{problem[0]} {problem[1]}."


@pytest.mark.parametrize("data", [None, [], "text", 7, True])
def test_not_an_object(data: object) -> None:
    """Data that is not an object fits no model."""
    with pytest.raises(PayloadError, match=r"^It must be an object\.$"):
        parse(Order, data)


def test_all_problems_are_reported() -> None:
    """All problems are reported at once."""
    with pytest.raises(PayloadError) as raised:
        parse(Order, {"lines": [{}], "price": "x", "gift": "x"})
    assert [found.field for found in raised.value.problems] == ["lines.0.item", "price", "gift"]


def test_model_with_another_type() -> None:
    """A model that cannot be read from JSON raises TypeError."""

    @dataclass
    class Wrong:
        at: set[str]

    with pytest.raises(TypeError, match="not supported as the type of a payload"):
        parse(Wrong, {"at": "x"})


@pytest.mark.parametrize("kind", [bytes, bytes | None, list[bytes], dict[str, bytes]])
def test_bytes_are_not_in_json(kind: Any) -> None:
    """A model with bytes raises TypeError for JSON, even if the data has none."""
    model = make_dataclass("Picture", [("data", kind, None)])
    for wrong in (model, make_dataclass("Album", [("cover", model, None)])):
        with pytest.raises(TypeError, match="only events can have bytes"):
            parse(wrong, {})


@dataclass
class Tree:
    """A recursive model."""

    branches: list["Tree | str"]
    twin: "Tree | None" = None


def test_deep_data() -> None:
    """Deeply nested data is read quickly, or refused with a reason."""
    data: Any = "leaf"
    for _ in range(50):
        data = {"branches": [data, 7], "twin": None}
    with pytest.raises(PayloadError) as raised:
        parse(Tree, data)
    assert len(raised.value.problems) == MOST_PROBLEMS
    for _ in range(5_000):
        data = {"branches": [data]}
    with pytest.raises(PayloadError, match="nested too deeply"):
        parse(Tree, data)


@pytest.mark.parametrize(
    ("kind", "data"),
    [(Line | Order, {}), (list[int] | list[str], []), (dict[str, int] | Line | None, {})],
)
def test_types_that_cannot_be_told_apart(kind: Any, data: Any) -> None:
    """A field that may be one of several object types raises TypeError."""
    with pytest.raises(TypeError, match="more than one type of"):
        parse(make_dataclass("Several", [("field", kind)]), {"field": data})


def test_many_problems() -> None:
    """At most twenty problems are reported."""
    for model, name in ((Order, "lines"), (Many, "numbers")):
        with pytest.raises(PayloadError) as raised:
            parse(model, {name: ["x"] * 10_000, "price": 1})
        assert len(raised.value.problems) == MOST_PROBLEMS


class Many(BaseModel):
    """A pydantic model with a list."""

    numbers: list[int]


class Vote(BaseModel):
    """A pydantic model."""

    choice: str
    count: int = 1


def test_pydantic() -> None:
    """Pydantic models are read by pydantic's rules, and problems reported in the same form."""
    assert parse(Vote, {"choice": "tea"}) == Vote(choice="tea")
    with pytest.raises(PayloadError) as raised:
        parse(Vote, {"count": "many"})
    assert [found.field for found in raised.value.problems] == ["choice", "count"]


class Pair(RootModel[list[int]]):
    """A list as a pydantic model."""


@dataclass
class Ballot:
    """A dataclass with pydantic models in it."""

    first: Vote
    others: list[Vote]
    by_name: dict[str, Vote]
    last: Vote | None = None
    pair: Pair | None = None


def test_pydantic_within() -> None:
    """Pydantic models inside a dataclass are read; problems name the full path of a field."""
    check_type(Ballot)
    tea = {"choice": "tea"}
    found = parse(
        Ballot, {"first": tea, "others": [tea], "by_name": {"a": tea}, "last": tea, "pair": [1, 2]}
    )
    vote = Vote(choice="tea")
    assert found == Ballot(vote, [vote], {"a": vote}, vote, Pair([1, 2]))
    with pytest.raises(PayloadError) as raised:
        parse(Ballot, {"first": 7, "others": [{}], "by_name": {"a": {"choice": 1}}, "pair": ["x"]})
    assert [found.field for found in raised.value.problems] == [
        "first",
        "others.0.choice",
        "by_name.a.choice",
        "pair.0",
    ]


@pytest.mark.parametrize(
    "kind", [Line | Order, Vote | Line, list[Pair | list[str]], dict[int, str]]
)
def test_check_finds_unsupported_types(kind: Any) -> None:
    """The check at the start finds types that no data can be read as."""
    with pytest.raises(TypeError):
        check_type(make_dataclass("Wrong", [("field", kind)]))


# ---- In a request ----


async def order(request: Request) -> Response:
    found = await read_json(request, Order)
    return JSONResponse({"lines": len(found.lines), "price": found.price})


async def missing(request: Request) -> Response:
    raise HTTPException(404, "There is no such order.")


async def broken(request: Request) -> Response:
    raise RuntimeError("secret detail")


@pytest.fixture
def ask() -> Ask:
    return site(
        *(Route(path, order, methods=["POST"]) for path in ("/order", "/api/order")),
        *(Route(path, missing) for path in ("/missing", "/api/missing")),
        *(Route(path, broken) for path in ("/broken", "/api/broken")),
    )


def send(ask: Ask, body: bytes | str, path: str = "/api/order", **headers: str) -> dict[str, Any]:
    """Send JSON as a page of the site does; return the response."""
    defaults = {"content_type": "application/json", "sec_fetch_site": "same-origin"}
    sent = body.encode() if isinstance(body, str) else body
    return ask(path, method="POST", body=sent, **defaults | headers)


def problem(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON of a problem."""
    assert answer["headers"]["content-type"] == "application/problem+json"
    assert answer["headers"]["cache-control"] == "private, no-store"
    found: dict[str, Any] = json.loads(answer["body"])
    assert found["status"] == answer["statusCode"]
    return found


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON; charset=utf-8", "application/vnd.x+json"]
)
def test_read_json(kind: str, ask: Ask) -> None:
    """A JSON body becomes an instance of the model."""
    answer = send(ask, json.dumps(GOOD), content_type=kind)
    assert (answer["statusCode"], answer["body"]) == (200, '{"lines":1,"price":2.0}')


@pytest.mark.parametrize(
    ("body", "kind", "status", "words"),
    [
        ("{}", "text/plain", 415, "Send JSON"),
        ("{}", "", 415, "Send JSON"),
        ("a=1", "application/x-www-form-urlencoded", 415, "Send JSON"),
        ("{}", "text/json", 415, "Send JSON"),
        ("x" * (MAX_BYTES + 1), "application/json", 413, "at most 65,536 bytes"),
        ("", "application/json", 400, "is not JSON"),
        ("{", "application/json", 400, "is not JSON"),
        ("\ufeff{}", "application/json", 400, "is not JSON"),
        ("[" * 60_000, "application/json", 400, "is not JSON"),
        ("9" * 60_000, "application/json", 400, "is not JSON"),
        ('{"price": NaN}', "application/json", 400, "is not JSON"),
        ('{"price": 1e999}', "application/json", 400, "is not JSON"),
        ('{"note": "\\ud800"}', "application/json", 400, "is not JSON"),
        ("[]", "application/json", 422, "It must be an object."),
    ],
    ids=range(14),
)
def test_invalid_json(body: str, kind: str, status: int, words: str, ask: Ask) -> None:
    """Anything else is refused with a reason for the client's developer."""
    found = problem(send(ask, body, content_type=kind))
    assert found["status"] == status
    assert words in found["detail"]


def test_body_that_is_not_text(ask: Ask) -> None:
    """Bytes that are not UTF-8 are not JSON."""
    assert problem(send(ask, b"\xff"))["status"] == 400


def test_fields_are_named(ask: Ask) -> None:
    """Both forms of the response name the wrong field."""
    wrong = json.dumps({"lines": [{}], "price": 1})
    expected = [{"field": "lines.0.item", "detail": "is missing"}]
    found = problem(send(ask, wrong))
    assert (found["status"], found["errors"]) == (422, expected)
    page = send(ask, wrong, "/order", accept="text/html")
    assert page["headers"]["content-type"].startswith("text/html")
    assert "lines.0.item is missing." in page["body"]


# From a browser that opens a page, from fetch(), and from programs.
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

FORMS = [
    ("/missing", BROWSER, False),
    ("/missing", "*/*", False),
    ("/missing", "", False),
    ("/missing", "text/html, application/json;q=0.9", False),
    ("/missing", "application/json;q=0", False),
    ("/missing", "application/json", True),
    ("/missing", "APPLICATION/JSON", True),
    ("/missing", "application/problem+json", True),
    ("/missing", "application/vnd.api+json", True),
    ("/missing", "application/json, text/plain, */*", True),
    ("/missing", "text/html;q=0.5, application/json", True),
    ("/api/missing", BROWSER, True),
    ("/api/missing", "", True),
    ("/api", BROWSER, True),
    ("/apix", BROWSER, False),
]


@pytest.mark.parametrize(("path", "accept", "is_problem"), FORMS)
def test_form_of_an_error(path: str, accept: str, is_problem: bool, ask: Ask) -> None:
    """Below /api, and for clients that prefer JSON to HTML, an error is problem+json."""
    answer = ask(path, accept=accept)
    assert answer["statusCode"] == 404
    if is_problem:
        assert problem(answer)["title"] == "Not Found"
    else:
        assert "There is no such page" in answer["body"]


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/api/order", {"method": "GET"}, 405),
        ("/api/order", {"method": "POST", "sec_fetch_site": "same-site"}, 403),
        ("/api/order", {"method": "POST", "sec_fetch_site": "cross-site"}, 403),
        ("/api/order", {"method": "POST", "origin": "https://evil.example"}, 403),
        ("/api/order", {"method": "POST"}, 403),
        ("/api/broken", {}, 500),
    ],
)
def test_every_error_of_an_api(path: str, headers: dict[str, str], status: int, ask: Ask) -> None:
    """Errors raised before or instead of a page have the same form."""
    try:
        answer = ask(path, content_type="application/json", body=b"{}", **headers)
    except RuntimeError:
        pytest.fail("a page's own mistake is answered")
    found = problem(answer)
    assert found["status"] == status
    assert "secret" not in json.dumps(found)


def test_json_of_a_page_is_answered_as_json(ask: Ask) -> None:
    """A request that sends JSON and accepts anything gets JSON errors, as from fetch()."""
    assert problem(send(ask, "{", "/order", accept="*/*"))["status"] == 400


def test_unusual_status() -> None:
    """A page may answer with a status that has no name."""

    async def odd(request: Request) -> Response:
        raise HTTPException(499, "Odd.", headers={"x-why": "so"})

    answer = site(Route("/api/odd", odd), Route("/", lambda request: PlainTextResponse("")))(
        "/api/odd"
    )
    assert problem(answer) == {"title": "Error", "status": 499, "detail": "Odd."}
    assert answer["headers"]["x-why"] == "so"
