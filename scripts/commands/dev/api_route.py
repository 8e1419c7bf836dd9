"""Routes of an HTTP API: the requests that a function of its own answers, and not the edge's.

As the API Gateway developer guide has them, "Create routes for HTTP APIs".
"""

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote

ANY = "ANY"


@dataclass(frozen=True)
class ApiRoute:
    """A method, or any, and a path that may have variables: `/hooks/{id}`, `/files/{rest+}`."""

    method: str
    path: str
    function: str  # that answers it, by its name in the template

    @property
    def key(self) -> str:
        """How API Gateway names it in an event."""
        return f"{self.method} {self.path}"

    @property
    def rank(self) -> tuple[bool, int, bool]:
        """How specific it is: of two that match, the greater is taken."""
        variables = self.path.count("{")
        return not self.path.endswith("+}"), -variables, self.method != ANY

    def match(self, method: str, path: str) -> dict[str, str] | None:
        """Return the values of its variables for a request's raw path; None if it is another's."""
        if self.method not in (ANY, method):
            return None
        pattern, asked = self.path.split("/"), [unquote(each) for each in path.split("/")]
        if pattern[-1].endswith("+}") and len(asked) > len(pattern):
            asked[len(pattern) - 1 :] = ["/".join(asked[len(pattern) - 1 :])]
        if len(pattern) != len(asked):
            return None
        variables: dict[str, str] = {}
        for expected, segment in zip(pattern, asked, strict=True):
            if expected.startswith("{") and expected.endswith("}") and segment:
                variables[expected.strip("{+}")] = segment
            elif expected != segment:
                return None
        return variables


def choose(routes: Iterable[ApiRoute], method: str, path: str) -> ApiRoute | None:
    """Return the most specific route of a request; None if none is its own."""
    matching = [route for route in routes if route.match(method, path) is not None]
    return max(matching, key=lambda route: route.rank, default=None)
