"""A stand-in for AWS, for `python -m scripts.commands.dev.aws TEMPLATE`: moto's server.

It has the template's tables, empty, under their names in the template, and keeps them for as long
as it runs. Prints its address.
"""

import sys
from pathlib import Path
from threading import Thread
from typing import Any

from scripts.commands.dev.template import load

REGION = "us-east-1"  # in which `sam local` runs functions; a table is in one region only
KEYS = {"AWS_ACCESS_KEY_ID": "stand-in", "AWS_SECRET_ACCESS_KEY": "stand-in"}

# The properties of a table that CreateTable accepts.
_TABLE = (
    *("AttributeDefinitions", "BillingMode", "GlobalSecondaryIndexes", "KeySchema"),
    *("LocalSecondaryIndexes", "ProvisionedThroughput", "StreamSpecification"),
)


def tables(template: str) -> dict[str, dict[str, Any]]:
    """Return the arguments of CreateTable for each table of a template, by name."""
    return {
        name: {key: value for key, value in found.get("Properties", {}).items() if key in _TABLE}
        for name, found in load(template)["Resources"].items()
        if found["Type"] == "AWS::DynamoDB::Table"
    }


def main(template: str) -> None:
    """Serve until this process is ended; exit with 1 and an error message without moto."""
    try:
        import boto3  # type: ignore[import-untyped]  # ships no types
        from moto.moto_server.werkzeug_app import (
            DomainDispatcherApplication,
            create_backend_app,
        )
        from werkzeug.serving import WSGIRequestHandler, make_server
    except ImportError:
        sys.exit("moto, which stands in for AWS, is not installed. Run scripts/setup --tests.")

    class Quiet(WSGIRequestHandler):
        def log_request(self, *_: object) -> None:
            pass

    app = DomainDispatcherApplication(create_backend_app)
    # One request at a time, because moto's conditional writes are not thread-safe.
    server = make_server("127.0.0.1", 0, app, threaded=False, request_handler=Quiet)
    serving = Thread(target=server.serve_forever, daemon=True)
    serving.start()
    url = f"http://127.0.0.1:{server.port}"
    dynamodb = boto3.client(
        "dynamodb",
        region_name=REGION,
        endpoint_url=url,
        aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
    )
    for name, properties in tables(Path(template).read_text(encoding="utf-8")).items():
        dynamodb.create_table(TableName=name, **properties)
    print(f"Standing in for AWS on {url}", flush=True)
    serving.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
