"""The small app's namespaces; `poll.Poll` takes the place of the first where a test says so."""

from tests.small_app.events.hall import Hall
from tests.small_app.events.plaza import Plaza

namespaces = [Plaza, Hall]
