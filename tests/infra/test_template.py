"""infra/template.yaml is valid for CloudFront, API Gateway and Lambda; its references resolve."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from functions.contract.setting import Half
from functions.model.settings import settings as declared
from scripts import ROOT
from scripts.commands.deploy.architecture import KNOWN
from scripts.commands.dev.policies import CACHE_POLICIES, ORIGIN_REQUEST_POLICIES
from scripts.commands.dev.template import Template, load
from scripts.yours import parts, with_parts
from tests.infra.resolving import Resolver
from tests.infra.templates import (
    SOURCE,
    container,
    of_kind,
    properties,
    references,
    translate,
    written,
)

pytestmark = pytest.mark.together("template")

CFN_LINT = str(Path(sys.executable).parent / "cfn-lint")

EVERY_METHOD = {"GET", "HEAD", "OPTIONS", "PUT", "PATCH", "POST", "DELETE"}

CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
CACHING_OPTIMIZED = "658327ea-f89d-4fab-a63d-7e88639e58f6"
ALL_VIEWER = "216adef6-5c7f-47e4-b989-5492eafa07d3"
EXCEPT_HOST = "b689b0a8-53d0-40ab-baf2-68738e2966ac"


@pytest.fixture(scope="module")
def translated() -> dict[str, Any]:
    """The template as CloudFormation sees it, after the SAM transform."""
    return translate()


def resource(template: dict[str, Any], kind: str) -> dict[str, Any]:
    """The properties of the only resource of a kind."""
    (found,) = of_kind(template, kind).values()
    return found


def distribution(template: dict[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = resource(template, "AWS::CloudFront::Distribution")[
        "DistributionConfig"
    ]
    return config


def behaviours(template: dict[str, Any]) -> list[dict[str, Any]]:
    config = distribution(template)
    return [*config["CacheBehaviors"], {"PathPattern": "*"} | config["DefaultCacheBehavior"]]


def run(*command: str) -> str:
    # Linters run without coverage, which would make them slower.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environ)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_sam_validate() -> None:
    """SAM finds the template by samconfig.toml, and cfn-lint finds nothing wrong in it."""
    said = run("scripts/sam", "validate", "--lint", "--region", "us-east-1")
    assert "is a valid SAM Template" in said


def test_lint_translated(tmp_path: Path) -> None:
    """cfn-lint finds nothing wrong in the transformed template."""
    file = tmp_path / "translated.json"
    file.write_text(json.dumps(translate(yours=True)))
    run(CFN_LINT, str(file))


def test_security(tmp_path: Path) -> None:
    """checkov finds nothing except what infra/checkov.yaml skips, nor in what docs/ recommends."""
    auction = tmp_path / "auction.yaml"
    own = parts((ROOT / "tests/auction/project/infra/yours.yaml").read_text())
    auction.write_text(with_parts(written(), own))
    options = ["--config-file", "infra/checkov.yaml", "--output", "json"]
    said = run("scripts/checkov", *options, "--file", str(SOURCE), str(auction))
    summary = json.loads(said)["summary"]
    assert summary["passed"] > 100
    assert (summary["failed"], summary["parsing_errors"]) == (0, 0)


def test_skipped_checks_have_reasons() -> None:
    """Each skipped check has a reason; the template itself skips none."""
    lines = (ROOT / "infra/checkov.yaml").read_text().splitlines()
    skipped = [line for line in lines if "CKV" in line]
    assert skipped
    assert all(re.fullmatch(r"  - CKV\w+ # \S.{10,}: .{8,}", line) for line in skipped), skipped
    assert not re.search("checkov|cfn.?lint", written(), re.IGNORECASE)


def test_behaviours_in_order(translated: dict[str, Any]) -> None:
    """The behaviours: both spellings of the socket path, static files, then all pages."""
    assert [(b["PathPattern"], b["TargetOriginId"]) for b in behaviours(translated)] == [
        ("/socket.io", "socket-host"),
        ("/socket.io/*", "socket-host"),
        ("/static/*", "function"),
        ("*", "function"),
    ]


def test_origins_exist(translated: dict[str, Any]) -> None:
    """Every behaviour leads to an existing origin, and no origin is unused."""
    origins = [origin["Id"] for origin in distribution(translated)["Origins"]]
    assert {b["TargetOriginId"] for b in behaviours(translated)} == set(origins)
    assert len(origins) == len(set(origins))


def test_methods_and_policies(translated: dict[str, Any]) -> None:
    """Sockets and pages get all methods, cookies and queries, uncached; static files are cached."""
    socket, sockets, static, pages = behaviours(translated)
    for behaviour in (socket, sockets):
        assert set(behaviour["AllowedMethods"]) == EVERY_METHOD
        assert behaviour["CachePolicyId"] == CACHING_DISABLED
        assert behaviour["OriginRequestPolicyId"] == ALL_VIEWER
        assert behaviour["Compress"] is False
    assert set(static["AllowedMethods"]) == {"GET", "HEAD"}
    assert static["CachePolicyId"] == CACHING_OPTIMIZED
    assert "OriginRequestPolicyId" not in static
    assert set(pages["AllowedMethods"]) == EVERY_METHOD
    assert pages["CachePolicyId"] == CACHING_DISABLED
    assert pages["OriginRequestPolicyId"] == EXCEPT_HOST


def test_policy_ids_have_their_names() -> None:
    """Policy ids have the same names in the template and in the local edge."""
    table = (ROOT / "scripts/commands/dev/policies.py").read_text()
    known = {id_: name for name, id_ in re.findall(r'# (\S+)\n    "([0-9a-f-]{36})"', table)}
    assert known.keys() == CACHE_POLICIES.keys() | ORIGIN_REQUEST_POLICIES.keys()
    written = re.findall(r"PolicyId: (\S+) # (\S+)", SOURCE.read_text())
    assert len(written) == 7
    assert all(known[id_] == name for id_, name in written)


def test_https_only(translated: dict[str, Any]) -> None:
    """Viewers are redirected to https, and the connections outside of the network use it."""
    for behaviour in behaviours(translated):
        assert behaviour["ViewerProtocolPolicy"] == "redirect-to-https"
    private, public = distribution(translated)["Origins"]
    assert public["CustomOriginConfig"]["OriginProtocolPolicy"] == "https-only"
    assert private["VpcOriginConfig"]["VpcOriginId"] == {"Fn::GetAtt": ["BalancerOrigin", "Id"]}


def test_web_acl_is_an_option(translated: dict[str, Any]) -> None:
    """The edge has a web ACL if one is given, from CloudFront's region."""
    parameter = translated["Parameters"]["WebAcl"]
    assert parameter["Default"] == ""
    allowed = re.compile(parameter["AllowedPattern"])
    name = "webacl/sidepath/11111111-2222-3333-4444-555555555555"
    assert allowed.search(f"arn:aws:wafv2:us-east-1:123456789012:global/{name}")
    assert allowed.search("")
    assert not allowed.search(f"arn:aws:wafv2:eu-west-1:123456789012:global/{name}")
    assert not allowed.search(f"arn:aws:wafv2:us-east-1:123456789012:regional/{name}")
    given, *otherwise = distribution(translated)["WebACLId"]["Fn::If"][1:]
    assert (given, otherwise) == ({"Ref": "WebAcl"}, [{"Ref": "AWS::NoValue"}])


@mock_aws
def test_web_acl_is_valid() -> None:
    """infra/web-acl.json is valid for AWS WAF, and limits requests by address."""
    asked = json.loads((ROOT / "infra/web-acl.json").read_text())
    waf = boto3.client("wafv2", region_name="us-east-1")
    made = waf.create_web_acl(**asked)["Summary"]
    pattern = translate()["Parameters"]["WebAcl"]["AllowedPattern"]
    assert re.search(pattern, made["ARN"])
    (rule,) = asked["Rules"]
    rate = rule["Statement"]["RateBasedStatement"]
    assert rate["AggregateKeyType"] == "IP"
    assert f"{rate['Limit']:,} requests" in asked["Description"]
    assert rate["EvaluationWindowSec"] == 5 * 60


def test_long_polls_fit() -> None:
    """The edge waits for the host longer than the 25 seconds between pings."""
    assert Template.read(SOURCE).read_timeouts["socket-host"] >= 60


def test_function_fits_the_api(translated: dict[str, Any]) -> None:
    """One route leads everything to the function, whose timeout is below the API's."""
    api = resource(translated, "AWS::ApiGatewayV2::Api")
    assert list(api["Body"]["paths"]) == ["$default"]
    integration = api["Body"]["paths"]["$default"]["x-amazon-apigateway-any-method"]
    assert integration["x-amazon-apigateway-integration"]["payloadFormatVersion"] == "2.0"
    function = properties(translated, "Pages")
    assert function["Timeout"] < 30
    assert function["Runtime"] == "python3.13"


@pytest.mark.parametrize("name", KNOWN)
def test_one_processor(name: str, translated: dict[str, Any]) -> None:
    """Functions and the task have the same processor, which is set once."""
    resolver = Resolver(translated, {"Architecture": name})
    functions = of_kind(translated, "AWS::Lambda::Function").values()
    assert functions
    assert all(resolver.filled(f["Architectures"]) == [name] for f in functions)
    platform = resolver.filled(properties(translated, "HostTask")["RuntimePlatform"])
    assert platform["CpuArchitecture"] == name.upper()
    assert set(translated["Parameters"]["Architecture"]["AllowedValues"]) == KNOWN.keys()


def test_function_settings(translated: dict[str, Any]) -> None:
    """The function gets all its settings, and a secret other than the sample."""
    variables = properties(translated, "Pages")["Environment"]["Variables"]
    assert variables.pop("AWS_ENDPOINT_URL") == {"Ref": "AWS::NoValue"}  # for sam local
    assert set(variables) == {"STAGE", "SESSION_SECRET", "BUS"}
    assert variables["STAGE"] == "production"
    version, secret = variables["SESSION_SECRET"]["Fn::If"][1:]
    assert secret == {"Fn::Sub": "{{resolve:secretsmanager:${SessionSecret}}}"}
    assert version == {
        "Fn::Sub": "{{resolve:secretsmanager:${SessionSecret}:SecretString:::${SecretVersion}}}"
    }
    for secret in of_kind(translated, "AWS::SecretsManager::Secret").values():
        assert secret["GenerateSecretString"]["PasswordLength"] >= 32


@pytest.mark.parametrize("half", ["function", "host"])
def test_declared_settings_are_given(half: Half) -> None:
    """The template sets your declared settings without defaults, in both halves."""
    template = translate(yours=True)
    variables = properties(template, "Pages")["Environment"]["Variables"]
    names = {
        "function": set(variables),
        "host": {
            each["Name"]
            for part in ("Environment", "Secrets")
            for each in container(template)[part]
            if "Name" in each
        },
    }
    needed = {s.name for s in declared if half in s.halves and half not in s.defaults}
    section = {"function": "settings of pages", "host": "settings of the host"}[half]
    assert needed <= names[half], (
        f"The {half} would not start in the cloud: infra/template.yaml gives it no value of "
        f"{', '.join(sorted(needed - names[half]))}. Add one below `Yours: {section}`."
    )


def test_changed_secret_reaches_both_halves(translated: dict[str, Any]) -> None:
    """A new version of the secret publishes the function again, and restarts the hosts."""
    changed = ["SecretChanged", {"Ref": "SecretVersion"}, {"Ref": "AWS::NoValue"}]
    # CloudFormation replaces a version whose description changes.
    version = resource(translated, "AWS::Lambda::Version")
    assert version["Description"] == {"Fn::If": changed}
    (container,) = properties(translated, "HostTask")["ContainerDefinitions"]
    labels = {"secret-version": {"Ref": "SecretVersion"}}
    assert container["DockerLabels"] == {"Fn::If": [changed[0], labels, changed[2]]}


def test_function_is_told_the_domain(translated: dict[str, Any]) -> None:
    """With a domain, the edge sends its name to the function, whose Host is the API's."""
    config = properties(translated, "Edge")["DistributionConfig"]
    (origin,) = [each for each in config["Origins"] if each["Id"] == "function"]
    header = {"HeaderName": "X-Forwarded-Host", "HeaderValue": {"Ref": "Domain"}}
    told = {"Fn::If": ["HasDomain", [header], {"Ref": "AWS::NoValue"}]}
    assert origin["OriginCustomHeaders"] == told


def test_handler_is_in_the_package() -> None:
    """The handler has the same name as here, and the folder's Makefile builds the zip."""
    pages = load(SOURCE.read_text())["Resources"]["Pages"]
    assert pages["Metadata"] == {"BuildMethod": "makefile", "WorkingDirectory": ".."}
    assert pages["Properties"]["CodeUri"] == "../functions"
    assert "\nbuild-%:\n" in (ROOT / "functions/Makefile").read_text()
    module, _, name = pages["Properties"]["Handler"].rpartition(".")
    assert (module, name) == ("functions.app", "handler")


@pytest.mark.parametrize("yours", [False, True])
def test_references_resolve(yours: bool) -> None:
    """All references resolve, and the framework's do not refer to your resources."""
    translated = translate(yours=yours)
    known = {*translated["Resources"], *translated.get("Parameters", {})}
    unknown = {name for name in references(translated) if "::" not in name} - known
    assert unknown == set()


def test_every_resource_is_explained() -> None:
    """Each resource has a comment above it that says what it is for."""
    lines = written().splitlines()
    start, end = lines.index("Resources:"), lines.index("Outputs:")
    for number in range(start + 1, end):
        if re.fullmatch(r"  \w+:", lines[number]):
            assert lines[number - 1].startswith("  #"), lines[number]
