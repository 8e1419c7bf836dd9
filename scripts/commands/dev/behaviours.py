"""CloudFront's behaviours: where the edge sends a request, and which parts of it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from scripts.commands.dev.policies import Policy

_UNRESERVED = re.compile(r"%(?:2[DE]|3\d|[46][1-9A-F]|[57][\dA]|5F|7E)", re.IGNORECASE)


@dataclass(frozen=True)
class Behaviour:
    """A path pattern, its origin, the allowed methods, and the parts of a request that pass."""

    pattern: str
    origin: str
    methods: frozenset[str]
    policy: Policy = field(repr=False)

    def matches(self, path: str) -> bool:
        """Whether the pattern matches a whole path, case-sensitively."""
        return self._expression.fullmatch(path) is not None

    @cached_property
    def _expression(self) -> re.Pattern[str]:
        wildcards = {"*": ".*", "?": "."}
        # CloudFront reads a pattern the same with and without its leading slash.
        pattern = self.pattern if self.pattern.startswith(("/", "*")) else f"/{self.pattern}"
        expression = "".join(wildcards.get(letter, re.escape(letter)) for letter in pattern)
        return re.compile(expression, re.DOTALL)


def choose(behaviours: Sequence[Behaviour], path: str) -> Behaviour:
    """Return the first behaviour that matches a raw path; the last one must match any path.

    CloudFront matches a normalized form of the path, and forwards the raw one.
    """
    normalized = _normalize(path)
    return next(b for b in behaviours if b.matches(normalized))


def _normalize(path: str) -> str:
    """Return a path normalized as in RFC 3986, with repeated slashes collapsed."""
    decoded = _UNRESERVED.sub(lambda escape: chr(int(escape[0][1:], 16)), path)
    segments: list[str] = []
    for segment in decoded.split("/"):
        if segment == "..":
            del segments[-1:]
        elif segment not in ("", "."):
            segments.append(segment)
    slash = "/" if segments and decoded.endswith(("/", "/.", "/..")) else ""
    return "/" + "/".join(segments) + slash
