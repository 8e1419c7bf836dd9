"""AWS's SAM CLI, which builds the function and hands the template to CloudFormation."""

import os
import subprocess
import sys
from collections.abc import Mapping

from scripts import ROOT
from scripts.commands.deploy.command import CommandError, run

_SAM = "scripts/sam"


class DeployError(Exception):
    """`sam deploy` has failed; why may stand in the stack's events."""


def present() -> bool:
    """Whether sam is there, or could be installed; if not, that has been said on the terminal."""
    return subprocess.run([_SAM], cwd=ROOT, stdout=sys.stderr).returncode == 0


def build(architecture: str) -> None:
    """Put the function's zip for a processor together in .aws-sam, or raise CommandError."""
    given = ["--parameter-overrides", f"Architecture={architecture}"]
    # For the Makefile, which sam does not tell.
    run([_SAM, "build", *given], environ=os.environ | {"ARCHITECTURE": architecture})


def deploy(stack: str, parameters: Mapping[str, str], region: str, profile: str | None) -> None:
    """Make or change a stack, with parameters; those not given stay. Raises DeployError.

    Shows what happens to each resource. A stack that would not change is a success too.
    """
    options = ["--stack-name", stack, "--s3-prefix", stack, "--region", region]
    if profile:
        options += ["--profile", profile]
    how = ["--no-confirm-changeset", "--no-fail-on-empty-changeset", "--no-progressbar"]
    given = [f"{name}={_quoted(value)}" for name, value in parameters.items()]
    try:
        run([_SAM, "deploy", *options, *how, "--parameter-overrides", *given])
    except CommandError as error:
        raise DeployError(str(error)) from None


def _quoted(value: str) -> str:
    """Return a parameter's value as sam reads it: whole, with blanks, or empty."""
    return '"' + value.replace('"', '\\"') + '"'
