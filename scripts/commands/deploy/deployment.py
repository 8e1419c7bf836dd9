"""The steps of a deployment, in their order: image, function, stack, and doctor's examination."""

import argparse
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # ships no types

from scripts import ROOT, frontend
from scripts.commands.deploy import (
    architecture,
    certificate,
    emulation,
    outcome,
    parameters,
    sam,
    service_roles,
    web_acl,
)
from scripts.commands.deploy.account import Account, NoProfileError
from scripts.commands.deploy.bundle import CLIENT
from scripts.commands.deploy.engine import Engine, NoEngineError
from scripts.commands.deploy.failures import known
from scripts.commands.deploy.image import Image
from scripts.commands.deploy.repository import Repository
from scripts.commands.deploy.session_secret import changed_version
from scripts.commands.deploy.stack import Stack
from scripts.commands.deploy.step import StackError, step
from scripts.commands.dev.template import load
from scripts.commands.pin.base import Base, BaseError
from scripts.terminal import say

TEMPLATE = ROOT / "infra/template.yaml"

AGAIN = "Run scripts/deploy again; it continues from here."
CORRECT = "Correct that, and run scripts/deploy again."

_UNREACHABLE = 2  # doctor's exit status
# A new domain name takes a while to reach every resolver.
_NAME_TRIES = 12
_NAME_PAUSE = 10.0  # seconds


class UnfitError(Exception):
    """A deployment would fail, so it was not started; the text lists all reasons."""

    @classmethod
    def listing(cls, reasons: Sequence[str]) -> "UnfitError":
        """Return an error that lists reasons, each a sentence."""
        return cls("\n".join(f"  - {reason}" for reason in reasons))


@dataclass(frozen=True)
class Deployment:
    """One run of scripts/deploy."""

    name: str
    parameters: dict[str, str]  # as given on the command line
    account: Account
    engine: Engine
    architecture: str
    visit: tuple[str, ...] = ()  # doctor's arguments

    @classmethod
    def begin(cls, options: argparse.Namespace) -> "Deployment":
        """Return a deployment after checking its requirements; raise UnfitError or StepError."""
        declared = load(TEMPLATE.read_text())["Parameters"]
        given = _parameters(options)
        missing = parameters.refusals(declared, given)
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
        if not (ROOT / CLIENT).is_file():
            missing.append("Setup is not complete. Run scripts/setup.")
        if missing or not account or not engine:
            raise UnfitError.listing(missing)
        if not sam.present():  # last, because this may install it
            raise UnfitError.listing(["AWS's SAM CLI is missing: run scripts/sam to see why."])
        with step(f"Looking for the stack {options.stack}", AGAIN):
            has = Stack(account.client("cloudformation"), options.stack).parameters()
        values = parameters.defaults(declared) | has | given
        visit = [f"--page={options.page}"] if options.page else []
        visit += [f"--session={options.session}"] if options.session else []
        visit += [f"--namespace={options.namespace}"] if options.namespace else []
        processor = values[architecture.PARAMETER]
        made = cls(options.stack, given, account, engine, processor, tuple(visit))
        if missing := made._refusals(values):
            raise UnfitError.listing(missing)
        return made

    def run(self) -> str:
        """Run all steps, and return the site's address; raise StepError."""
        with step("Building the front end", CORRECT):
            frontend.run()
        self._make_roles()
        reference = self._push(Image.read(ROOT, self.architecture))
        with step("Building the function", CORRECT):
            sam.build(self.architecture)
        self._deploy(reference)
        with step("Reading the stack's outputs", AGAIN):
            outputs = self._stack.outputs()
        with step("Examining the site", f"See what doctor says above. {AGAIN}"):
            _examine(f"https://{outputs['EdgeDomain']}", *self.visit)
        return outputs["Address"]

    @property
    def _stack(self) -> Stack:
        return Stack(self.account.client("cloudformation"), self.name)

    def _refusals(self, values: Mapping[str, str]) -> list[str]:
        """Return the reasons for which a deployment with these parameters would fail."""
        found: list[str | None] = [*parameters.conflicts(values)]
        given = self.parameters
        if not found and values["Domain"] and given.keys() & {"Domain", "Certificate"}:
            acm = self.account.client("acm", certificate.REGION)
            found.append(certificate.unfit(acm, values["Certificate"], values["Domain"]))
        if given.get("WebAcl"):
            waf = self.account.client("wafv2", certificate.REGION)
            found.append(web_acl.unfit(waf, given["WebAcl"]))
        image = Image.read(ROOT, self.architecture)
        if why := emulation.unable(self.engine.program, image.platform):
            repository = Repository(self.account.client("ecr"), self.name)
            with step(f"Looking for the image in the repository {repository.name}", AGAIN):
                found.append(None if repository.digest(image.tag) else why)
        return [sentence for sentence in found if sentence]

    def _make_roles(self) -> None:
        """Create the service-linked roles that this account lacks, if that is permitted."""
        on_valkey = self.parameters.get("BusKind") == "valkey"
        services = service_roles.SERVICES + (service_roles.VALKEY if on_valkey else ())
        with step("Looking for service-linked roles", AGAIN):
            try:
                for service in service_roles.make(self.account.client("iam"), services):
                    say(f"Created the one for {service}.")
            except ClientError as error:
                if error.response["Error"]["Code"] != "AccessDenied":
                    raise
                say(f"Leaving them to AWS: {error.response['Error']['Message']}")

    def _push(self, image: Image) -> str:
        """Return the image's reference by digest; build and push the image if it is new."""
        repository = Repository(self.account.client("ecr"), self.name)
        with step(f"Looking for the image in the repository {repository.name}", AGAIN):
            uri = repository.make()
            digest = repository.digest(image.tag)
        if digest:
            say("The image is up to date.")
            return f"{uri}@{digest}"
        reference = f"{uri}:{image.tag}"
        with step(f"Building the image for {image.platform}", _build_advice(image, self.engine)):
            self.engine.build(reference, image.platform, _base())
        with step("Pushing the image", AGAIN):
            self.engine.push(reference, *repository.login())
            digest = repository.digest(image.tag)
        return f"{uri}@{digest}"

    def _secret(self, stack: Stack) -> dict[str, str]:
        """Return the parameter that makes both halves use the secret's changed version."""
        version = changed_version(self.account.client("secretsmanager"), stack)
        return {"SecretVersion": version} if version else {}

    def _deploy(self, reference: str) -> None:
        advice = (
            f"{CORRECT} What is left of a failed first deployment is deleted then; a later "
            "deployment that failed has been rolled back."
        )
        what = f"Deploying the stack {self.name}; the first deployment takes up to half an hour"
        with step(what, advice):
            stack = self._stack
            given = {"Image": reference, **self._secret(stack), **self.parameters}
            self._change(stack, given)
            outcome.check_parameters(stack, given)
            kept = outcome.check_data(stack)
        if given.get("DataOnDelete") == "Retain":
            say(f"If the stack is deleted, these are kept: {', '.join(sorted(kept))}.")

    def _change(self, stack: Stack, given: Mapping[str, str]) -> None:
        """Create or update the stack, trying twice after a transient failure; raise StackError."""
        assert self.account.region is not None  # `begin` has checked it
        for last in (False, True):
            stack.settle()
            before = stack.last_event()
            try:
                sam.deploy(self.name, given, self.account.region, self.account.profile)
            except sam.DeployError as error:
                reason = stack.failure(before) or str(error)
                failure = known(reason)
                if last or not failure or not failure.transient:
                    raise StackError(reason, failure.advice if failure else None) from None
                say(f"{reason} This failure is often temporary. Trying once more.")
            else:
                return


def _build_advice(image: Image, engine: Engine) -> str:
    return (
        f'{CORRECT} If the output has "exec format error", the engine cannot run programs for '
        f"{image.platform} on this processor: {emulation.remedy(engine.program)}; or deploy from a "
        "machine with that processor."
    )


def _base() -> Base:
    """Return the base image by digest; by tag if the digest cannot be looked up."""
    base = Base.read(ROOT)
    if base.digest:
        return base
    try:
        found = base.renewed()
    except BaseError as error:
        say(f"{error} The image is built on whatever that tag refers to now.")
        return base
    say(f"The base image is now {found}. `scripts/pin --base` pins it.")
    return found


def _examine(address: str, *visit: str) -> None:
    """Run doctor, repeatedly while the new domain name does not resolve; raise StackError."""
    for tries in range(_NAME_TRIES):
        if tries:
            time.sleep(_NAME_PAUSE)
        doctor = [sys.executable, "-m", "scripts.commands.doctor", *visit, address]
        status = subprocess.run(doctor, cwd=ROOT, stdout=sys.stderr).returncode
        if status != _UNREACHABLE:
            break
    if status:
        raise StackError(f"{address} is deployed, but scripts/doctor found problems.")


def _parameters(options: argparse.Namespace) -> dict[str, str]:
    """Return the template's parameters that were given; the others keep their values."""
    given = {
        "Architecture": options.architecture,
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
