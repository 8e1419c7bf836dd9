"""Routes of an HTTP API: requests for another function than the edge's.

See "Create routes for HTTP APIs" in the API Gateway developer guide.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote

ANY = "ANY"


@dataclass(frozen=True)
class ApiRoute:
    """A method, or any, and a path with optional variables: `/hooks/{id}`, `/files/{rest+}`."""

    method: str
    path: str
    function: str  # the name in the template of the function that answers

    @property
    def key(self) -> str:
        """Its name in an API Gateway event."""
        return f"{self.method} {self.path}"

    @property
    def rank(self) -> tuple[bool, int, bool]:
        """How specific it is: if two match, the greater is used."""
        variables = self.path.count("{")
        return not self.path.endswith("+}"), -variables, self.method != ANY

    def match(self, method: str, path: str) -> dict[str, str] | None:
        """Return the values of its variables in a request's raw path; None if it does not match."""
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
    """Return the most specific route that matches a request, or None."""
    matching = [route for route in routes if route.match(method, path) is not None]
    return max(matching, key=lambda route: route.rank, default=None)
