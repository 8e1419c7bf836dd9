"""The arguments that deploying and destroying share."""

import argparse
import re

# The stack's name is part of the image repository's, which must be in lower case, and of names that
# are limited to 64 characters.
_NAME = re.compile(r"[a-z](?:-?[a-z0-9]){0,39}")


def parser(program: str, description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options that identify the stack."""
    made = argparse.ArgumentParser(prog=program, description=description)
    made.add_argument(
        "--stack",
        type=_stack,
        default="sidepath",
        metavar="NAME",
        help="name of the stack (default %(default)s)",
    )
    made.add_argument("--region", metavar="NAME", help="AWS region, such as eu-west-1")
    made.add_argument("--profile", metavar="NAME", help="profile in ~/.aws to use")
    return made


def parameter(text: str) -> tuple[str, str]:
    """Return the name and the value in `NAME=VALUE`; raise ArgumentTypeError for other texts."""
    name, equals, value = text.partition("=")
    if not equals or not (name.isascii() and name.isalnum()):
        raise argparse.ArgumentTypeError(f"{text!r} must be NAME=VALUE, such as Colour=red")
    return name, value


def _stack(text: str) -> str:
    if not _NAME.fullmatch(text) or len(text) > 40:
        raise argparse.ArgumentTypeError(
            f"{text!r} must be up to 40 lower-case letters, digits and single hyphens"
        )
    return text
