"""Any template is either read or refused with a message."""

import copy
from typing import Any

import pytest

from scripts.commands.dev.template import Template, load
from scripts.commands.dev.template_error import TemplateError
from tests.scripts.dev.edges import TEMPLATE
from tests.scripts.dev.test_functions import BEGIN, NIGHTLY

ODD: list[Any] = [None, [], {}, {"Ref": "X"}, {"Fn::If": ["A", 1, 2]}, "x", -1, 1e400, [[]], [None]]

# The parts of the template that scripts/dev reads.
READ = ("Edge", "PagesApi", "Pages", "Hosts", "Nightly", "Mailer")

Place = tuple[Any, ...]


def document() -> dict[str, Any]:
    whole = load(TEMPLATE.replace(BEGIN, f"{BEGIN}{NIGHTLY}\n"))
    resources = {name: whole["Resources"][name] for name in READ}
    return {"Resources": resources, "Globals": {"Function": {"Timeout": 5}}}


def places(value: Any, path: Place = ()) -> list[Place]:
    """The places in a document whose value can be replaced."""
    inner: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    own = [path] if path else []
    return own + [place for key, each in inner for place in places(each, (*path, key))]


def replaced(whole: dict[str, Any], place: Place, new: Any) -> dict[str, Any]:
    changed = copy.deepcopy(whole)
    holder: Any = changed
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = new
    return changed


def test_anything_anywhere() -> None:
    """With any value replaced by any other, the only error is TemplateError."""
    whole = document()
    Template.of(whole)
    within_itself: list[Any] = []  # as an alias in YAML can be
    within_itself.append(within_itself)
    refused = []
    for place in places(whole):
        for odd in [*ODD, within_itself, {"Ref": within_itself}]:
            try:
                Template.of(replaced(whole, place, odd))
            except TemplateError as error:
                refused.append(str(error))
            except Exception as error:
                raise AssertionError((place, odd)) from error
    assert len(refused) > 500
    assert all(refused)


@pytest.mark.parametrize(
    "text", ["", "a", "[]", "&a [*a]", "{[a]: b}", "\t", "!X", "a: b: c", "\0"]
)
def test_no_template(text: str) -> None:
    """Text that is not a template is refused too."""
    with pytest.raises(TemplateError):
        Template.parse(text)
