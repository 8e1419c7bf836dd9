"""The template's functions: which one is the edge's, and which others run here."""

import pytest

from scripts.commands.dev.api_route import ApiRoute
from scripts.commands.dev.functions import Functions, Queue, QueueEvent
from scripts.commands.dev.template import Template
from scripts.commands.dev.template_error import TemplateError
from tests.scripts.dev.edges import TEMPLATE

BEGIN = "\nResources:\n"

NIGHTLY = """
  Nightly:
    Type: AWS::Serverless::Function
    Properties:
      Handler: functions.pages.nightly.handler
      Runtime: python3.13
      Timeout: 300
      MemorySize: 512
      Environment:
        Variables: { STAGE: production, TABLE: !Ref Rooms, TRIES: 3, LOUD: true }
      Events:
        Night:
          Type: Schedule
          Properties: { Schedule: cron(0 3 * * ? *), Input: '{"clean": true}' }
        Often:
          Type: ScheduleV2
          Properties: { ScheduleExpression: rate(5 minutes) }
        Off:
          Type: ScheduleV2
          Properties: { ScheduleExpression: rate(1 minute), State: DISABLED }
  Mailer:
    Type: AWS::Serverless::Function
    Properties:
      Handler: functions.pages.mail.handler
      Events:
        Mail:
          Type: SQS
          Properties: { Queue: !GetAtt Mails.Arn }
  Mails:
    Type: AWS::SQS::Queue
"""


def functions(added: str, *replacements: tuple[str, str]) -> Functions:
    """The functions of the project's template, and more."""
    assert TEMPLATE.count(BEGIN) == 1
    text = TEMPLATE.replace(BEGIN, f"{BEGIN}{added}\n")
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    return Template.parse(text).functions


def test_edge() -> None:
    """Among several functions, the edge's is the one that answers its whole API."""
    found = functions(NIGHTLY)
    assert found.edge == Template.parse(TEMPLATE).function
    assert found.edge.name == "Pages"
    assert found.others.keys() == {"Nightly", "Mailer"}
    assert found.problems == ()


def test_settings() -> None:
    """Each function has its own handler, limits, timers and variables."""
    nightly, mailer = functions(NIGHTLY).others.values()
    assert (nightly.handler, nightly.timeout, nightly.memory) == (
        "functions.pages.nightly.handler",
        300,
        512,
    )
    assert [(timer.name, timer.event) for timer in nightly.timers] == [
        ("Night", {"clean": True}),
        ("Often", None),
    ]
    assert (mailer.queues, mailer.timers) == ((QueueEvent("Mails", 10),), ())
    known = {"STAGE": "development", "SESSION_SECRET": "not its own"}
    assert nightly.environ(known) == {"STAGE": "development", "TRIES": "3", "LOUD": "true"}
    assert nightly.unknown(known) == ["TABLE"]


DEAD = "arn:aws:sqs:eu-west-1:1:Dead"


def test_queues() -> None:
    """A queue's limit and dead-letter queue are read; what cannot be followed is a problem."""
    mails = "  Mails:\n    Type: AWS::SQS::Queue\n"
    policy = (
        "    Properties: {{ RedrivePolicy: {{ deadLetterTargetArn: {}, maxReceiveCount: {} }} }}\n"
    )
    assert functions(NIGHTLY).queues["Mails"] == Queue(5)
    for target, count, name, tries in [
        ("!GetAtt Dead.Arn", "3", "Dead", 3),
        ("!GetAtt Dead.Arn", '"2"', "Dead", 2),
        (DEAD, "!Ref Tries", DEAD, 5),
    ]:
        dead = mails.replace("Mails", "Dead")
        found = functions(NIGHTLY, (mails, mails + policy.format(target, count) + dead))
        assert found.queues["Mails"] == Queue(tries, name)
        assert found.queues["Dead"] == Queue(5)
        assert len(found.problems) == (name != "Dead")
        assert all(f"has no other queue {DEAD}, so" in problem for problem in found.problems)


def test_shared_settings() -> None:
    """The template's Globals apply to functions that do not override them."""
    shared = """
Globals:
  Function: { Timeout: 7, MemorySize: 256, Environment: { Variables: { EVERYWHERE: yes it is } } }

Resources:"""
    found = functions(NIGHTLY, ("\nResources:", shared))
    assert (found.others["Nightly"].timeout, found.others["Mailer"].timeout) == (300, 7)
    assert found.others["Mailer"].environ({}) == {"EVERYWHERE": "yes it is"}
    assert found.others["Nightly"].environ({})["EVERYWHERE"] == "yes it is"
    assert found.edge.variables["EVERYWHERE"] == "yes it is"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("cron(0 3 * * ? *)", "cron(0 3 * * *)", "Nightly: cron(0 3 * * *) has 5 fields"),
        ("rate(5 minutes)", "!Ref Often", "Nightly: the schedule Often is not a literal"),
        ("'{\"clean\": true}'", "clean", "Nightly: the Input of the schedule Night is not JSON"),
        ("Timeout: 300", "Timeout: !Ref Long", "Nightly is left out: the function Nightly's Tim"),
        ("python3.13\n      Timeout", "nodejs24.x\n      Timeout", "Nightly is left out: the fun"),
        ("!GetAtt Mails.Arn", "!ImportValue Mails", "Mailer: the template has no queue {"),
        ("!GetAtt Mails.Arn", "!GetAtt Males.Arn", "Mailer: the template has no queue Males, so"),
        ("functions.pages.mail.handler", "mail", "Mailer is left out: the function Mailer's Han"),
    ],
)
def test_problems(old: str, new: str, problem: str) -> None:
    """Unsupported parts are reported, and the rest of the template works."""
    found = functions(NIGHTLY, (old, new))
    (told,) = found.problems
    assert told.startswith(problem)
    assert found.edge.name == "Pages"


def test_routes() -> None:
    """A function may have its own routes of the edge's API; other APIs are ignored."""
    queue = "Type: SQS\n          Properties: { Queue: !GetAtt Mails.Arn }"
    route = (
        "Type: HttpApi\n          Properties: "
        '{ ApiId: !Ref PagesApi, Path: "/hooks/{id}", Method: post }'
    )
    found = functions(NIGHTLY, (queue, route))
    assert found.routes == (ApiRoute("POST", "/hooks/{id}", "Mailer"),)
    assert found.edge.name == "Pages"
    elsewhere = functions(NIGHTLY, (queue, route.replace("PagesApi", "OtherApi")))
    assert elsewhere.routes == ()


def test_implicit_api() -> None:
    """The edge's API may be the one that SAM creates for functions that do not name one."""
    found = functions(
        NIGHTLY,
        ("            ApiId: !Ref PagesApi", "            TimeoutInMillis: 15000"),
        ("${PagesApi}.execute-api", "${ServerlessHttpApi}.execute-api"),
    )
    assert found.edge.name == "Pages"


def test_no_edge() -> None:
    """Exactly one function must answer the API of the edge's origin."""
    with pytest.raises(TemplateError, match=r"exactly one function .* There are 0"):
        functions(NIGHTLY, ("            ApiId: !Ref PagesApi", "            ApiId: !Ref OtherApi"))
    both = ("Type: SQS\n", "Type: HttpApi\n"), ("Queue: !GetAtt Mails.Arn", "ApiId: !Ref PagesApi")
    with pytest.raises(TemplateError, match=r"exactly one function .* There are 2"):
        functions(NIGHTLY, *both)
