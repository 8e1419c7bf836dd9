"""The advisories on all lock files, asked for concurrently."""

import tomllib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from scripts import ROOT
from scripts.commands.audit.advisories import Advisory, Answer, UnreachableError, of_npm, of_python
from scripts.commands.pin.lists import ALONE, TOGETHER
from scripts.commands.pin.npm import FOLDERS

# Lists that share one query, because a package has the same version in all of them.
_LISTS = [list(TOGETHER), *([path] for path in ALONE)]


def audit() -> tuple[list[str], bool]:
    """Return the lines of the report, and whether there is nothing to fix."""
    questions: list[Callable[[], Answer]] = [partial(of_python, ROOT, lists) for lists in _LISTS]
    questions += [partial(of_npm, ROOT, folder) for folder in FOLDERS]
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(_ask, questions))
    told = [answer for answer in answers if answer]
    found = sorted({advisory for answer in told for advisory in answer.advisories})
    refused = [advisory for advisory in found if not _accepted(advisory)]
    lines = [str(advisory) for advisory in refused]
    lines += [f"The database does not know {name}." for a in told for name in a.unknown]
    lines.append(_summary(answers, found, refused))
    return lines, not refused


def _ask(question: Callable[[], Answer]) -> Answer | None:
    """Return the answer to a question, or None if no database can be reached."""
    try:
        return question()
    except UnreachableError:
        return None


def _accepted(advisory: Advisory) -> bool:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    accepted = project["tool"]["sidepath"]["accepted-advisories"]
    return bool({advisory.id, *advisory.names} & {*accepted})


def _summary(
    answers: Sequence[Answer | None], found: Sequence[Advisory], refused: Sequence[Advisory]
) -> str:
    if not any(answers):
        return "No advisory database could be reached; nothing was checked."
    names = [", ".join(lists) for lists in _LISTS]
    names += [f"{folder}/package-lock.json".removeprefix("./") for folder in FOLDERS]
    unasked = [name for name, answer in zip(names, answers, strict=True) if not answer]
    accepted = len(found) - len(refused)
    return " ".join(
        [
            f"{len(refused)} advisories on pinned packages, and {accepted} that are accepted.",
            *(["See docs/packages.md for what to do."] if refused else []),
            *(
                [f"Not checked, because no database was reached: {'; '.join(unasked)}."]
                * bool(unasked)
            ),
        ]
    )
