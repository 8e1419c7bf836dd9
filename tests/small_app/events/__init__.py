"""The small app's namespaces; some tests replace the first one with `poll.Poll`."""

from tests.small_app.events.hall import Hall
from tests.small_app.events.plaza import Plaza

namespaces = [Plaza, Hall]
