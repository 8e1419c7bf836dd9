"""The lease in a DynamoDB table, for hosts in the cloud: one item, with `name` as its key."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3  # type: ignore[import-untyped]  # ships no types
from botocore.config import Config  # type: ignore[import-untyped]  # as above
from botocore.exceptions import (  # type: ignore[import-untyped]  # as above
    BotoCoreError,
    ClientError,
)
from botocore.parsers import ResponseParserError  # type: ignore[import-untyped]  # as above

from functions.contract.aws_error import explain
from socket_host.lease.row import LeaseError, Row

_CONFIG = Config(connect_timeout=1, read_timeout=1, retries={"total_max_attempts": 2})


class DynamoDbLease:
    """Stores the row in a table, with conditional writes."""

    def __init__(self, table: str, name: str) -> None:
        self._table = table
        self._key = {"name": {"S": name}}
        self._dynamodb: Any = None

    def read(self) -> Row | None:
        """Return the current row."""
        with self._connected():
            item = self._dynamodb.get_item(
                TableName=self._table, Key=self._key, ConsistentRead=True
            ).get("Item")
        if item is None:
            return None
        return Row(item["owner"]["S"], int(item["number"]["N"]), int(item["beat"]["N"]))

    def replace(self, seen: Row | None, new: Row) -> bool:
        """Write `new` if the row is still `seen`; return whether it was."""
        with self._connected():
            try:
                self._dynamodb.put_item(
                    TableName=self._table, Item=self._key | _attributes(new), **_unchanged(seen)
                )
            except self._dynamodb.exceptions.ConditionalCheckFailedException:
                return False
        return True

    def close(self) -> None:
        """Close the connections."""
        if self._dynamodb is not None:
            self._dynamodb.close()

    @contextmanager
    def _connected(self) -> Iterator[None]:
        try:
            if self._dynamodb is None:
                self._dynamodb = boto3.client("dynamodb", config=_CONFIG)
            yield
        except (BotoCoreError, ClientError, ResponseParserError) as error:
            raise LeaseError(explain(error, f"the table {self._table}")) from error


def _unchanged(seen: Row | None) -> dict[str, Any]:
    """Return the condition that the row is still `seen`."""
    if seen is None:
        return {
            "ConditionExpression": "attribute_not_exists(#name)",
            "ExpressionAttributeNames": {"#name": "name"},
        }
    return {
        "ConditionExpression": "#owner = :owner AND #number = :number AND beat = :beat",
        "ExpressionAttributeNames": {"#owner": "owner", "#number": "number"},
        "ExpressionAttributeValues": {f":{k}": value for k, value in _attributes(seen).items()},
    }


def _attributes(row: Row) -> dict[str, dict[str, str]]:
    return {
        "owner": {"S": row.owner},
        "number": {"N": str(row.number)},
        "beat": {"N": str(row.beat)},
    }
