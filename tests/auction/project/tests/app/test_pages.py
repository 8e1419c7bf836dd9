"""The auction's pages: signing in and out, lots, and what only the auctioneer may do."""

import json

import boto3
import pytest

from functions.model.takings import handler
from functions.pages.questions import handler as pass_on
from tests.kit.aws import make_queue
from tests.kit.pages import Visitor


def auctioneer() -> Visitor:
    """The auctioneer, signed in."""
    pages = Visitor()
    answer = pages.post("/sign-in", {"name": "Gus", "password": "gavel"})
    assert (answer.status, answer.headers["location"]) == (303, "/")
    return pages


def test_signing_in_and_out(pages: Visitor) -> None:
    """Pages show a visitor's name from signing in until signing out."""
    assert "Who are you" in pages.get("/sign-in").text
    assert pages.post("/sign-in", {"name": ""}).status == 400
    assert pages.post("/sign-in", {"name": "Gus", "password": "guess"}).status == 401
    assert pages.post("/sign-in", {"name": "Ann"}, sec_fetch_site="cross-site").status == 403
    pages.post("/sign-in", {"name": "Ann"})
    assert "For sale, Ann" in pages.get("/").text
    pages.post("/sign-out", {})
    assert "For sale, Ann" not in pages.get("/").text


def test_signing_out_everywhere(pages: Visitor) -> None:
    """Signing out everywhere affects other browsers too, until the visitor signs in again there."""
    other = Visitor()
    for each in (pages, other):
        each.post("/sign-in", {"name": "Zoe"})
    assert pages.post("/sign-out/everywhere", {}).status == 303
    assert "For sale, Zoe" not in other.get("/").text
    other.post("/sign-in", {"name": "Zoe"})
    assert "For sale, Zoe" in other.get("/").text


@pytest.mark.usefixtures("cloud")
def test_question(pages: Visitor) -> None:
    """A question is sent to the queue; if no host is reachable, the function reports a failure."""
    url = make_queue("Questions")
    pages.post("/sign-in", {"name": "Ann"})
    assert pages.post("/questions", {"text": "How old?"}).status == 303
    (message,) = boto3.client("sqs").receive_message(QueueUrl=url)["Messages"]
    assert json.loads(message["Body"]) == {"name": "Ann", "text": "How old?"}
    record = {"messageId": "1", "body": message["Body"]}
    assert pass_on({"Records": [record]}, None) == {"batchItemFailures": [{"itemIdentifier": "1"}]}


def test_only_the_auctioneer_offers(pages: Visitor) -> None:
    """Offers need a claim; validation errors are returned as JSON, one for each field."""
    refused = pages.post_json("/api/lots", {"lot": "harp"})
    assert (refused.status, refused.headers["content-type"]) == (403, "application/problem+json")
    assert pages.post("/staff/bans", {"visitor": "ann"}).status == 403
    gus = auctioneer()
    mistake = gus.post_json("/api/lots", {"lot": "harp", "reserve": -1})
    assert (mistake.status, mistake.json()["errors"][0]["field"]) == (422, "reserve")
    assert gus.post_json("/api/lots", {"lot": "harp", "reserve": 10}).status == 201
    assert gus.post_json("/api/lots", {"lot": "harp"}).status == 409
    assert [lot["name"] for lot in pages.get("/api/lots").json()].count("harp") == 1


def test_address_of_a_lot(pages: Visitor) -> None:
    """A lot's address ends in a slash in redirects and links; other addresses do not."""
    auctioneer().post_json("/api/lots", {"lot": "lute"})
    assert pages.get("/lots/lute").headers["location"] == "/lots/lute/"
    page = pages.get("/lots/lute/")
    assert page.status == 200
    assert "http://localhost:3000/lots/lute/" in page.text
    assert 'href="/lots/lute/"' in pages.get("/").text
    assert pages.get("/sign-in/").headers["location"] == "/sign-in"
    assert "not for sale" in pages.get("/lots/none/").text


def test_takings() -> None:
    """The second function adds up the sales."""
    assert handler({}, None)["takings"] >= 0
