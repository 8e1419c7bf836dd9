"""AWS's SAM CLI, which builds the function and deploys the template with CloudFormation."""

import os
import subprocess
import sys
from collections.abc import Mapping

from scripts import ROOT
from scripts.commands.deploy.command import CommandError, run

_SAM = "scripts/sam"


class DeployError(Exception):
    """`sam deploy` failed; the stack's events may say why."""


def present() -> bool:
    """Install sam if necessary, and return whether it can be used; print why if not."""
    return subprocess.run([_SAM], cwd=ROOT, stdout=sys.stderr).returncode == 0


def build(architecture: str) -> None:
    """Build the function for a processor, in .aws-sam, or raise CommandError."""
    given = ["--parameter-overrides", f"Architecture={architecture}"]
    # For the Makefile, because sam does not pass on parameters.
    run([_SAM, "build", *given], environ=os.environ | {"ARCHITECTURE": architecture})


def deploy(stack: str, parameters: Mapping[str, str], region: str, profile: str | None) -> None:
    """Create or update a stack; parameters that are not given keep their values.

    Prints what happens to each resource. A stack without changes is not an error. Raises
    DeployError.
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
    """Return a parameter's value quoted for sam, so that it may be empty or have spaces."""
    return '"' + value.replace('"', '\\"') + '"'
