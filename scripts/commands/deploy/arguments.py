"""The arguments that deploying and destroying share."""

import argparse
import re

# The stack's name is part of the image repository's, which takes small letters only, and of names
# that may have 64 characters.
_NAME = re.compile(r"[a-z](?:-?[a-z0-9]){0,39}")


def parser(program: str, description: str | None) -> argparse.ArgumentParser:
    """Return a parser that knows which stack is meant, and where."""
    made = argparse.ArgumentParser(prog=program, description=description)
    made.add_argument(
        "--stack", type=_stack, default="sidepath", metavar="NAME", help="%(default)s"
    )
    made.add_argument("--region", metavar="NAME", help="such as eu-west-1")
    made.add_argument("--profile", metavar="NAME", help="whose credentials in ~/.aws to use")
    return made


def parameter(text: str) -> tuple[str, str]:
    """Return the name and the value in `NAME=VALUE`; raise ArgumentTypeError for other texts."""
    name, equals, value = text.partition("=")
    if not equals or not (name.isascii() and name.isalnum()):
        raise argparse.ArgumentTypeError(f"{text!r} has to be NAME=VALUE, such as Colour=red")
    return name, value


def _stack(text: str) -> str:
    if not _NAME.fullmatch(text) or len(text) > 40:
        raise argparse.ArgumentTypeError(
            f"{text!r} has to be small letters, digits and single hyphens, 40 at the most"
        )
    return text
