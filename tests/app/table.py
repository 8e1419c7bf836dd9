"""The room log's table, as declared in your part of infra/template.yaml."""

import boto3

from tests.infra.templates import properties, translate


def make_rooms(name: str) -> None:
    """Create the table with a name."""
    table = properties(translate(yours=True), "Rooms")
    wanted = ("KeySchema", "AttributeDefinitions", "BillingMode")
    boto3.client("dynamodb").create_table(TableName=name, **{part: table[part] for part in wanted})
