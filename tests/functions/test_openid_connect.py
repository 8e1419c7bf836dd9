"""The recipe of docs/sign-in.md signs in at an OpenID Connect provider."""

import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlencode

import pytest
from starlette.routing import Mount

from functions.contract.cookie import read_cookie
from functions.contract.session import Session, Sessions
from tests.functions.answering import SECRET, Ask, site

# A deprecation warning of Authlib's, raised in the provider's thread.
pytestmark = [
    pytest.mark.filterwarnings("ignore::authlib.deprecate.AuthlibDeprecationWarning"),
    pytest.mark.filterwarnings("ignore:get_jwt_config:DeprecationWarning"),
]

ROOT = Path(__file__).parent.parent.parent
ADDRESS = "http://site.test"


@pytest.fixture(scope="module")
def recipe() -> ModuleType:
    """The recipe's module."""
    text = (ROOT / "docs/sign-in.md").read_text().partition("## With an OpenID Connect provider")[2]
    (code,) = re.findall(r"```python\n(.*?)```", text.partition("\n## ")[0], re.DOTALL)
    module = ModuleType("sign_in")
    exec(code, module.__dict__)
    return module


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    """The address of a provider with the user Ann."""
    import oidc_provider_mock as mock  # not with this module: it warns

    ann = mock.User(sub="7", claims={"name": "Ann", "email": "ann@example.com"})
    ann.claims["email_verified"] = True
    with mock.run_server_in_thread(user_claims=[ann]) as server:
        yield f"http://localhost:{server.server_port}"


@pytest.fixture
def ask(recipe: ModuleType, issuer: str, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """A site with the recipe's pages."""
    own = {"OIDC_ISSUER": issuer, "OIDC_CLIENT_ID": "site", "OIDC_CLIENT_SECRET": "s"}

    def start(app: Any) -> None:
        app.state.site.settings.own.update(own, ADDRESS=ADDRESS)
        recipe.start(app)

    return site(Mount("/sign-in", recipe.pages), start=start)


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirects."""

    def redirect_request(self, *_: Any) -> None:
        return None


def allowed(where: str, user: str) -> str:
    """Sign in at the provider; return the request that it redirects the browser to."""
    data = urlencode({"sub": user}).encode()
    try:
        urllib.request.build_opener(NoRedirect).open(where, data, timeout=20)
    except urllib.error.HTTPError as answer:
        with answer:
            location = str(answer.headers["Location"])
    assert location.startswith(f"{ADDRESS}/sign-in/done?")
    return location.partition("?")[2]


def cookies(answer: dict[str, Any]) -> dict[str, str]:
    return dict(cookie.partition(";")[0].split("=", 1) for cookie in answer.get("cookies", []))


def header(jar: dict[str, str]) -> str:
    return "; ".join(f"{name}={value}" for name, value in jar.items())


def who(jar: dict[str, str]) -> Session:
    return read_cookie(header(jar), Sessions(SECRET)).session


def test_sign_in_and_out(ask: Ask) -> None:
    """A user of the provider is signed in on the site until they sign out."""
    begun = ask("/sign-in")
    assert begun["statusCode"] == 302
    where = begun["headers"]["location"]
    assert "code_challenge=" in where
    jar = cookies(begun)
    done = ask("/sign-in/done", allowed(where, "7"), cookie=header(jar))
    assert (done["statusCode"], done["headers"]["location"]) == (303, "/")
    jar |= cookies(done)
    ann = who(jar)
    assert (ann.id, ann.name, ann.claims["email"]) == ("7", "Ann", "ann@example.com")
    assert ann.signed_in_at
    jar |= cookies(ask("/sign-in/out", method="POST", cookie=header(jar)))
    assert not who(jar).signed_in_at


@pytest.mark.parametrize("mistake", ["no flow", "another state", "error"])
def test_refused_sign_in(mistake: str, ask: Ask) -> None:
    """A response of another sign-in, or a refusal, does not sign the visitor in."""
    begun = ask("/sign-in")
    jar = cookies(begun)
    query = allowed(begun["headers"]["location"], "7")
    if mistake == "no flow":
        del jar["sign-in"]
    elif mistake == "another state":
        query = re.sub("state=[^&]*", "state=x", query)
    else:
        query = query.replace("code=", "error=access_denied&code=")
    refused = ask("/sign-in/done", query, cookie=header(jar))
    assert refused["statusCode"] == 403
    assert "You were not signed in" in refused["body"]
    assert not who(jar | cookies(refused)).signed_in_at
