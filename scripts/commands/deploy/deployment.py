"""The steps of a deployment, in their order: image, function, stack, and doctor's examination."""

import argparse
import subprocess
import sys
import time
from dataclasses import dataclass

from scripts import ROOT, frontend
from scripts.commands.deploy import sam
from scripts.commands.deploy.account import Account, NoProfileError
from scripts.commands.deploy.bundle import CLIENT
from scripts.commands.deploy.engine import Engine, NoEngineError
from scripts.commands.deploy.image import Image
from scripts.commands.deploy.repository import Repository
from scripts.commands.deploy.session_secret import changed_version
from scripts.commands.deploy.stack import Stack
from scripts.commands.deploy.step import StackError, step
from scripts.commands.pin.base import Base, BaseError
from scripts.terminal import say

AGAIN = "Run scripts/deploy again; it goes on from here."

_UNREACHABLE = 2  # doctor's exit status
# A name that is only just made takes a while to spread.
_NAME_TRIES = 12
_NAME_PAUSE = 10.0  # seconds


class UnfitError(Exception):
    """Something that a deployment needs is missing; the text lists all of it."""


@dataclass(frozen=True)
class Deployment:
    """One run of scripts/deploy."""

    name: str
    parameters: dict[str, str]
    account: Account
    engine: Engine
    visit: tuple[str, ...] = ()  # doctor's arguments: which page, and as whom

    @classmethod
    def begin(cls, options: argparse.Namespace) -> "Deployment":
        """Return a deployment that has all it needs, or raise UnfitError."""
        missing = []
        account, engine = None, None
        try:
            account = Account.find(options.profile, options.region)
            missing += account.missing()
        except NoProfileError as error:
            missing.append(str(error))
        try:
            engine = Engine.find()
        except NoEngineError as error:
            missing.append(str(error))
        if not sam.present():
            missing.append("SAM, AWS's tool for stacks, is missing: scripts/sam says why.")
        if not (ROOT / CLIENT).is_file():
            missing.append("Set-up is not complete. Run scripts/setup.")
        if missing or not account or not engine:
            raise UnfitError("\n".join(f"  - {sentence}" for sentence in missing))
        visit = [f"--page={options.page}"] if options.page else []
        visit += [f"--session={options.session}"] if options.session else []
        return cls(options.stack, _parameters(options), account, engine, tuple(visit))

    def run(self) -> str:
        """Take all steps, and return the address; raise StepError."""
        with step("Building the front end", "Correct that, and run scripts/deploy again."):
            frontend.run()
        reference = self._push(Image.read(ROOT))
        with step("Building the function", "Correct that, and run scripts/deploy again."):
            sam.build()
        self._deploy(reference)
        with step("Reading the stack's outputs", AGAIN):
            outputs = self._stack.outputs()
        with step("Examining the site", f"See what doctor says above. {AGAIN}"):
            _examine(f"https://{outputs['EdgeDomain']}", *self.visit)
        return outputs["Address"]

    @property
    def _stack(self) -> Stack:
        return Stack(self.account.client("cloudformation"), self.name)

    def _push(self, image: Image) -> str:
        """Return the image by its digest, built and pushed where its content is new."""
        repository = Repository(self.account.client("ecr"), self.name)
        with step(f"Looking for the image in the repository {repository.name}", AGAIN):
            uri = repository.make()
            digest = repository.digest(image.tag)
        if digest:
            say("It is there: nothing in it has changed.")
            return f"{uri}@{digest}"
        reference = f"{uri}:{image.tag}"
        with step(f"Building the image for {image.platform}", _build_advice(image, self.engine)):
            self.engine.build(reference, image.platform, _base())
        with step("Pushing the image", AGAIN):
            self.engine.push(reference, *repository.login())
            digest = repository.digest(image.tag)
        return f"{uri}@{digest}"

    def _secret(self, stack: Stack) -> dict[str, str]:
        """Return the parameter that has both halves take a secret that has been changed."""
        version = changed_version(self.account.client("secretsmanager"), stack)
        return {"SecretVersion": version} if version else {}

    def _deploy(self, reference: str) -> None:
        advice = (
            "Correct that, and run scripts/deploy again. A first deployment that failed is "
            "cleared away by itself; a later one has gone back to what was there before."
        )
        what = f"Deploying the stack {self.name}; the first time takes some ten minutes"
        with step(what, advice):
            stack = self._stack
            stack.settle()
            before = stack.last_event()
            given = {"Image": reference, **self._secret(stack), **self.parameters}
            assert self.account.region is not None  # it would be missing
            try:
                sam.deploy(self.name, given, self.account.region, self.account.profile)
            except sam.DeployError as error:
                raise StackError(stack.failure(before) or str(error)) from None


def _build_advice(image: Image, engine: Engine) -> str:
    return (
        'Correct that, and run scripts/deploy again. If it said "exec format error", this machine '
        f"has another processor and its engine cannot act as {image.platform}: "
        f"{engine.emulation()}; or deploy from a machine that has that processor."
    )


def _base() -> Base:
    """Return the base image by its digest; or, where that cannot be had, by its tag."""
    base = Base.read(ROOT)
    if base.digest:
        return base
    try:
        found = base.renewed()
    except BaseError as error:
        say(f"{error} The image is built on the tag, whatever that stands for now.")
        return base
    say(f"The base image is {found} now. `scripts/pin --base` keeps it until you renew it.")
    return found


def _examine(address: str, *visit: str) -> None:
    """Run doctor, again while the address is not known everywhere yet; raise StackError."""
    for tries in range(_NAME_TRIES):
        if tries:
            time.sleep(_NAME_PAUSE)
        doctor = [sys.executable, "-m", "scripts.commands.doctor", *visit, address]
        status = subprocess.run(doctor, cwd=ROOT, stdout=sys.stderr).returncode
        if status != _UNREACHABLE:
            break
    if status:
        raise StackError(f"{address} is deployed, but scripts/doctor is not content with it.")


def _parameters(options: argparse.Namespace) -> dict[str, str]:
    """Return the template's parameters that were given; the others stay as they are."""
    given = {
        "MinHosts": options.min_hosts,
        "MaxHosts": options.max_hosts,
        "Domain": options.domain,
        "Certificate": options.certificate,
        "WebAcl": options.web_acl,
        "BusKind": options.bus,
        "DataOnDelete": {True: "Retain", False: "Delete", None: None}[options.keep_data],
    }
    named = {name: str(value) for name, value in given.items() if value is not None}
    return dict(options.parameter) | named
