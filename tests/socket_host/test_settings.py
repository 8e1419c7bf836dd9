"""The host's settings are read from the environment, and all mistakes are reported at once."""

import pytest

from functions.contract.session import SAMPLE_SECRET
from functions.contract.setting import SettingError
from socket_host.settings import Settings

GOOD = {"SESSION_SECRET": "s" * 32, "PUBLIC_ORIGIN": "https://a.example"}


def test_defaults() -> None:
    """Only a secret and an origin must be set."""
    settings = Settings.from_environ(GOOD)
    assert settings == Settings(session_secret="s" * 32, origins=("https://a.example",))
    assert (settings.bind, settings.port) == ("127.0.0.1", 3200)


def test_everything_can_be_set() -> None:
    """Every setting has its variable."""
    values = {
        "BUS": "redis://:password@redis.example",
        "BUS_PASSWORD": "another",
        "FUNCTION_QUEUE": "https://sqs.eu-west-1.amazonaws.com/123456789012/functions.fifo",
        "BIND": "0.0.0.0",
        "PORT": "0",
        "PING_INTERVAL": "0.3",
        "PING_TIMEOUT": "0.2",
        "MAX_PAYLOAD": "5000",
        "MAX_CONNECTIONS": "7",
        "MAX_PER_ADDRESS": "5",
        "MAX_PER_VISITOR": "0",
        "PROXIES": "2",
        "EVENTS_PER_SECOND": "1.5",
        "EVENT_BURST": "3",
        "DRAIN_SECONDS": "0",
        "RECOVERY_SECONDS": "7",
        "TRANSPORT": "stock",
        "METRIC_NAMESPACE": "my-stack",
        "ECS_CONTAINER_METADATA_URI_V4": "http://169.254.170.2/v4/1-2-3",
    }
    assert Settings.from_environ(GOOD | values) == Settings(
        session_secret="s" * 32,
        origins=("https://a.example",),
        bus="redis://:password@redis.example",
        bus_password="another",
        function_queue="https://sqs.eu-west-1.amazonaws.com/123456789012/functions.fifo",
        bind="0.0.0.0",
        port=0,
        ping_interval=0.3,
        ping_timeout=0.2,
        max_payload=5000,
        max_connections=7,
        max_per_address=5,
        max_per_visitor=0,
        proxies=2,
        events_per_second=1.5,
        event_burst=3,
        drain_seconds=0,
        recovery_seconds=7,
        transport="stock",
        metric_namespace="my-stack",
        ecs_metadata="http://169.254.170.2/v4/1-2-3",
    )


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("https://a.example", ("https://a.example",)),
        ("https://A.Example/", ("https://a.example",)),
        ("https://a.example:443,http://b.example:80", ("https://a.example", "http://b.example")),
        (" http://localhost:3000 , ", ("http://localhost:3000",)),
        ("http://[::1]:3000", ("http://[::1]:3000",)),
        ("https://bücher.example", ("https://xn--bcher-kva.example",)),
        ("https://STRAßE.example:443", ("https://xn--strae-oqa.example",)),
        ("wss://a.example,ws://b.example:80", ("https://a.example", "http://b.example")),
        (
            "capacitor://localhost, ionic://localhost",
            ("capacitor://localhost", "ionic://localhost"),
        ),
    ],
)
def test_origins_are_normalized(text: str, origins: tuple[str, ...]) -> None:
    """An origin in any spelling is normalized to that of browsers."""
    assert Settings.from_environ(GOOD | {"PUBLIC_ORIGIN": text}).origins == origins


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("SESSION_SECRET", "", "32 characters or more"),
        ("SESSION_SECRET", "short", "32 characters or more"),
        ("SESSION_SECRET", SAMPLE_SECRET, "only with STAGE=development"),
        ("STAGE", "test", "production or development"),
        ("PUBLIC_ORIGIN", "", "as in https://example.com"),
        ("PUBLIC_ORIGIN", "*", "not '*'"),
        ("PUBLIC_ORIGIN", "https://*.example", "not 'https://*.example'"),
        ("PUBLIC_ORIGIN", "a.example", "not 'a.example'"),
        ("PUBLIC_ORIGIN", "https://a.example/page", "not 'https://a.example/page'"),
        ("PUBLIC_ORIGIN", "https://a.example:port", "as in https://example.com"),
        ("PUBLIC_ORIGIN", "https://me@a.example", "as in https://example.com"),
        ("PUBLIC_ORIGIN", "https://\N{HOT BEVERAGE}.example", "as in https://example.com"),
        ("PUBLIC_ORIGIN", "file://", "as in https://example.com"),
        ("BUS", "kafka://x", "local, sns:TOPIC_ARN, redis://"),
        ("BUS", "sns:topic", "the ARN of a FIFO topic"),
        ("FUNCTION_QUEUE", "https://sqs.example/1/q.fifo", "is for a BUS of Redis or Valkey"),
        ("METRIC_NAMESPACE", "AWS/Mine", "not beginning with AWS/, not 'AWS/Mine'"),
        ("METRIC_NAMESPACE", "caf\N{LATIN SMALL LETTER E WITH ACUTE}", "a CloudWatch namespace"),
        ("PORT", "http", "a whole number from 0 to 65,535, not 'http'"),
        ("PORT", "65536", "from 0 to 65,535"),
        ("PORT", "3.5", "a whole number"),
        ("PING_INTERVAL", "0", "a number of seconds from 0.1"),
        ("PING_TIMEOUT", "nan", "not 'nan'"),
        ("MAX_PAYLOAD", "lots", "a whole number of bytes"),
        ("MAX_CONNECTIONS", "0", "from 1"),
        ("MAX_PER_ADDRESS", "-1", "from 0"),
        ("MAX_PER_VISITOR", "x", "a whole number"),
        ("PROXIES", "cloudfront", "a whole number"),
        ("EVENTS_PER_SECOND", "-1", "from 0.1"),
        ("EVENT_BURST", "inf", "a whole number"),
        ("DRAIN_SECONDS", "-1", "from 0"),
        ("TRANSPORT", "pigeon", "not 'pigeon'"),
    ],
)
def test_malformed_setting_is_named(name: str, value: str, words: str) -> None:
    """A setting that is missing or malformed is named, with what it must be."""
    with pytest.raises(SettingError) as error:
        Settings.from_environ(GOOD | {name: value})
    assert words in str(error.value)
    assert ("SESSION_SECRET" if value == SAMPLE_SECRET else name) in str(error.value)


@pytest.mark.parametrize("url", ["sqs:queue", "https://sqs.example/1/standard", "q.fifo"])
def test_malformed_function_queue(url: str) -> None:
    """The function queue must be the URL of a FIFO queue, so that messages keep their order."""
    with pytest.raises(SettingError, match=r"FUNCTION_QUEUE must be the URL of an SQS FIFO queue"):
        Settings.from_environ(GOOD | {"BUS": "valkey://h", "FUNCTION_QUEUE": url})


def test_all_wrong_settings_are_named() -> None:
    """All missing settings are reported at once."""
    with pytest.raises(SettingError) as error:
        Settings.from_environ({"PORT": "x", "DRAIN_SECONDS": "y"})
    for name in ("SESSION_SECRET", "PUBLIC_ORIGIN", "PORT", "DRAIN_SECONDS"):
        assert name in str(error.value)


def test_sample_secret_is_for_development() -> None:
    """The sample secret is accepted in development only."""
    sample = GOOD | {"SESSION_SECRET": SAMPLE_SECRET, "STAGE": "development"}
    assert Settings.from_environ(sample).session_secret == SAMPLE_SECRET


def test_secret_is_not_shown() -> None:
    """The representation of settings does not contain the secret."""
    secrets = {"BUS": "redis://:password@redis.example", "BUS_PASSWORD": "another"}
    settings = Settings.from_environ(GOOD | secrets)
    assert "s" * 32 not in repr(settings)
    assert "password@" not in repr(settings)
    assert "another" not in repr(settings)
