"""The template's functions: the edge's, and those that are called by something else."""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from scripts.commands.dev import schedule
from scripts.commands.dev.api_route import ANY, ApiRoute
from scripts.commands.dev.schedule import Schedule, ScheduleError
from scripts.commands.dev.template_error import TemplateError, number

_FUNCTION = "AWS::Serverless::Function"
_API = "AWS::Serverless::HttpApi"
_QUEUE = "AWS::SQS::Queue"
_IMPLICIT_API = "ServerlessHttpApi"  # the API that SAM creates if an event does not name one

PAGES = "Pages"  # a function's default name


@dataclass(frozen=True)
class Timer:
    """A schedule that calls a function, and the event it sends; None for EventBridge's default."""

    name: str
    schedule: Schedule
    event: Any = None


@dataclass(frozen=True)
class Queue:
    """A queue: attempts per message, and the queue for those that have failed as often."""

    tries: int = 5  # without a limit in the template; AWS retries for days
    dead_letters: str = ""


@dataclass(frozen=True)
class QueueEvent:
    """A queue whose messages call a function, in batches of at most `batch`."""

    queue: str
    batch: int = 10
    reports_failures: bool = False  # whether the function reports which messages failed


@dataclass(frozen=True)
class FunctionSettings:
    """A function's settings in the template: its handler, its limits, and what calls it.

    `variables` are its environment variables; None where the template has a reference.
    """

    handler: str
    timeout: float  # seconds
    memory: int  # megabytes
    name: str = PAGES
    variables: Mapping[str, str | None] = field(default_factory=dict)
    timers: tuple[Timer, ...] = ()
    queues: tuple[QueueEvent, ...] = ()

    def environ(self, known: Mapping[str, str]) -> dict[str, str]:
        """Return the function's own environment variables, with the values known here."""
        values = {name: known.get(name, value) for name, value in self.variables.items()}
        return {name: value for name, value in values.items() if value is not None}

    def unknown(self, known: Mapping[str, str]) -> list[str]:
        """Return the names of its environment variables that have no value here."""
        return sorted(self.variables.keys() - self.environ(known).keys())


@dataclass(frozen=True)
class Functions:
    """The functions that can run here, by their names in the template, and why others cannot."""

    edge: FunctionSettings
    others: Mapping[str, FunctionSettings]
    routes: tuple[ApiRoute, ...] = ()  # of the edge's API, other than $default
    problems: tuple[str, ...] = ()
    queues: Mapping[str, Queue] = field(default_factory=dict)  # by name

    def reader(self, queue: str) -> tuple[str, QueueEvent] | None:
        """Return the name of the function that reads a queue, and its event; None if none does."""
        for settings in (self.edge, *self.others.values()):
            for event in settings.queues:
                if event.queue == queue:
                    return settings.name, event
        return None


def read(resources: Mapping[str, Any], shared: Any, domain: Any) -> Functions:
    """Return the functions of a template.

    `shared` is the Function section of its Globals, `domain` the DomainName of the edge's origin.
    Raises TemplateError if the edge's function cannot be identified or used.
    """
    found = {name: _merged(shared, function) for name, function in _functions(resources)}
    apis = _apis(resources, domain)
    edge = _edge(found, apis)
    queues = _queues(resources)
    settings = _settings(edge, found[edge])
    others: dict[str, FunctionSettings] = {}
    routes = [*_routes(edge, found[edge], apis)]
    problems = [*_queue_problems(queues), *_problems(edge, found.pop(edge), queues)]
    for name, properties in found.items():
        try:
            others[name] = _settings(name, properties)
        except TemplateError as error:
            problems.append(f"{name} is left out: {error}")
            continue
        routes += _routes(name, properties, apis)
        problems += _problems(name, properties, queues)
    return Functions(settings, others, tuple(routes), tuple(problems), queues)


def _of_kind(resources: Mapping[str, Any], kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, resource in resources.items():
        if isinstance(resource, dict) and resource.get("Type") == kind:
            yield str(name), resource


def _functions(resources: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, resource in _of_kind(resources, _FUNCTION):
        properties = resource.get("Properties")
        yield name, properties if isinstance(properties, dict) else {}


def _merged(shared: Any, properties: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(shared, dict):
        return properties
    variables = {**_variables(shared), **_variables(properties)}
    return {**shared, **properties, "Environment": {"Variables": variables}}


def _apis(resources: Mapping[str, Any], domain: Any) -> set[str]:
    """Return the names of the APIs that the origin's domain refers to: one or none."""
    named = str(domain)
    known = {name for name, _ in _of_kind(resources, _API)} | {_IMPLICIT_API}
    return {api for api in known if f"{api}." in named or f"{{{api}}}" in named or api == domain}


def _edge(found: Mapping[str, dict[str, Any]], apis: set[str]) -> str:
    """Return the name of the function that answers an API's $default route."""
    if len(found) == 1:
        return next(iter(found))
    called = [name for name, function in found.items() if None in _paths(function, apis)]
    if len(called) != 1:
        raise TemplateError(
            "the local edge needs exactly one function that answers every request to the API of "
            "the origin `function`: one with an HttpApi event that has that ApiId and no Path. "
            f"There are {len(called)}."
        )
    return called[0]


def _paths(function: Mapping[str, Any], apis: set[str]) -> list[tuple[str, str] | None]:
    """Return the methods and paths of a function's API routes; None for the $default route."""
    found: list[tuple[str, str] | None] = []
    for _, kind, event in _events(function):
        api = event.get("ApiId")
        name = api.get("Ref") if isinstance(api, dict) else api or _IMPLICIT_API
        if kind != "HttpApi" or not isinstance(name, str) or name not in apis:
            continue
        path, method = event.get("Path", "$default"), event.get("Method", ANY)
        if path == "$default":
            found.append(None)
        elif isinstance(path, str) and isinstance(method, str):
            found.append((ANY if method == "*" else method.upper(), path))
    return found


def _routes(name: str, function: Mapping[str, Any], apis: set[str]) -> Iterator[ApiRoute]:
    for found in _paths(function, apis):
        if found is not None:
            yield ApiRoute(*found, name)


def _events(function: Mapping[str, Any]) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Yield the name, the type and the properties of what calls a function."""
    events = function.get("Events")
    for name, event in events.items() if isinstance(events, dict) else ():
        if isinstance(event, dict):
            properties = event.get("Properties")
            yield (
                str(name),
                event.get("Type"),
                properties if isinstance(properties, dict) else {},
            )


def _settings(name: str, properties: Mapping[str, Any]) -> FunctionSettings:
    whose = f"the function {name}'s"
    handler = properties.get("Handler")
    if not isinstance(handler, str) or "." not in handler.strip("."):
        raise TemplateError(f"{whose} Handler must have the form module.name.")
    runtime = properties.get("Runtime")
    if isinstance(runtime, str) and not runtime.startswith("python"):
        raise TemplateError(f"{whose} Runtime is {runtime}, but only Python can run here.")
    return FunctionSettings(
        handler,
        timeout=number(properties.get("Timeout", 3), f"{whose} Timeout"),
        memory=int(number(properties.get("MemorySize", 128), f"{whose} MemorySize")),
        name=name,
        variables=_variables(properties),
        timers=tuple(timer for timer in _timers(properties) if isinstance(timer, Timer)),
        queues=tuple(_queue_events(properties)),
    )


def _variables(properties: Mapping[str, Any]) -> dict[str, str | None]:
    environment = properties.get("Environment")
    variables = environment.get("Variables") if isinstance(environment, dict) else None
    if not isinstance(variables, dict):
        return {}
    return {str(name): _text(value) for name, value in variables.items()}


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()  # CloudFormation's spelling
    return str(value) if isinstance(value, str | int | float) else None


def _problems(name: str, properties: Mapping[str, Any], queues: Collection[str]) -> list[str]:
    return [
        *(f"{name}: {each}." for each in _timers(properties) if isinstance(each, ScheduleError)),
        *(
            f"{name}: the template has no queue {each.queue}, so its event is ignored here."
            for each in _queue_events(properties)
            if each.queue not in queues
        ),
    ]


def _queues(resources: Mapping[str, Any]) -> dict[str, Queue]:
    """Return the queues of a template, by name."""
    return {name: _queue(queue.get("Properties")) for name, queue in _of_kind(resources, _QUEUE)}


def _queue(properties: Any) -> Queue:
    policy = properties.get("RedrivePolicy") if isinstance(properties, dict) else None
    if not isinstance(policy, dict):
        return Queue()
    count = str(policy.get("maxReceiveCount"))  # CloudFormation takes a string, too
    tries = int(count) if count.isdecimal() else Queue.tries
    return Queue(tries, _queue_name(policy.get("deadLetterTargetArn")))


def dead_letters(name: str, queues: Mapping[str, Queue]) -> str:
    """Return a queue's dead-letter queue, if it is another queue of the template; else ""."""
    other = queues[name].dead_letters if name in queues else ""
    return other if other in queues and other != name else ""


def _queue_problems(queues: Mapping[str, Queue]) -> Iterator[str]:
    for name, queue in queues.items():
        if queue.dead_letters and not dead_letters(name, queues):
            yield (
                f"{name}: the template has no other queue {queue.dead_letters}, so messages that "
                "fail too often are discarded here."
            )


def _queue_name(arn: Any) -> str:
    """Return the name of the queue whose ARN this is, if the template has that queue."""
    match arn:
        case {"Fn::GetAtt": [str(queue), "Arn"]}:
            return queue
        case None:
            return ""
        case other:
            return str(other)


def _queue_events(properties: Mapping[str, Any]) -> Iterator[QueueEvent]:
    """Yield the queues that call a function."""
    for _, kind, event in _events(properties):
        if kind != "SQS" or _is_off(event):
            continue
        queue = _queue_name(event.get("Queue"))
        batch = event.get("BatchSize", QueueEvent.batch)
        reports = "ReportBatchItemFailures" in (event.get("FunctionResponseTypes") or ())
        yield QueueEvent(queue, max(1, batch) if isinstance(batch, int) else 1, reports)


def _timers(properties: Mapping[str, Any]) -> Iterator[Timer | ScheduleError]:
    """Yield the schedules that call a function, or why one cannot run here."""
    for name, kind, event in _events(properties):
        expression = event.get("Schedule" if kind == "Schedule" else "ScheduleExpression")
        if kind not in ("Schedule", "ScheduleV2") or _is_off(event):
            continue
        try:
            yield Timer(name, _schedule(name, expression, event), _input(name, event.get("Input")))
        except ScheduleError as error:
            yield error


def _is_off(event: Mapping[str, Any]) -> bool:
    return event.get("State") == "DISABLED" or event.get("Enabled") in (False, "false")


def _schedule(name: str, expression: Any, event: Mapping[str, Any]) -> Schedule:
    timezone = event.get("ScheduleExpressionTimezone", "UTC")
    if not isinstance(expression, str) or not isinstance(timezone, str):
        raise ScheduleError(f"the schedule {name} is not a literal, so it does not run here")
    return schedule.parse(expression, timezone)


def _input(name: str, text: Any) -> Any:
    if text is None:
        return None
    try:
        return json.loads(text)
    except (TypeError, ValueError):
        raise ScheduleError(f"the Input of the schedule {name} is not JSON: {text!r}") from None
