"""The lease in a DynamoDB table, for hosts in the cloud: one item, with `name` as its key."""

from typing import Any

import boto3  # type: ignore[import-untyped]  # ships no types
from botocore.config import Config  # type: ignore[import-untyped]  # as above
from botocore.exceptions import (  # type: ignore[import-untyped]  # as above
    BotoCoreError,
    ClientError,
)

from socket_host.lease.row import LeaseError, Row

_CONFIG = Config(connect_timeout=1, read_timeout=1, retries={"total_max_attempts": 2})

_UNCHANGED = "#owner = :owner AND #number = :number AND beat = :beat"
_NAMES = {"#owner": "owner", "#number": "number"}


class DynamoDbLease:
    """Keeps the row in a table, by conditional writes."""

    def __init__(self, table: str, name: str) -> None:
        self._table = table
        self._name = name
        self._dynamodb: Any = None

    def read(self) -> Row | None:
        """Return the row as it is now."""
        item = self._call("get_item", Key={"name": {"S": self._name}}, ConsistentRead=True).get(
            "Item"
        )
        if item is None:
            return None
        return Row(item["owner"]["S"], int(item["number"]["N"]), int(item["beat"]["N"]))

    def replace(self, seen: Row | None, new: Row) -> bool:
        """Write a row if it is still as it was seen."""
        condition: dict[str, Any] = {
            "ConditionExpression": "attribute_not_exists(#name)",
            "ExpressionAttributeNames": {"#name": "name"},
        }
        if seen is not None:
            values = {f":{name}": value for name, value in _attributes(seen).items()}
            condition = {
                "ConditionExpression": _UNCHANGED,
                "ExpressionAttributeNames": _NAMES,
                "ExpressionAttributeValues": values,
            }
        item = {"name": {"S": self._name}, **_attributes(new)}
        return self._call("put_item", Item=item, **condition) is not None

    def close(self) -> None:
        """Close the connections."""
        if self._dynamodb is not None:
            self._dynamodb.close()

    def _call(self, operation: str, **arguments: Any) -> Any:
        """Return the answer of DynamoDB, None if a condition did not hold."""
        try:
            if self._dynamodb is None:
                self._dynamodb = boto3.client("dynamodb", config=_CONFIG)
            return getattr(self._dynamodb, operation)(TableName=self._table, **arguments)
        except ClientError as error:
            if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
                return None
            raise LeaseError(f"{self._table}: {error}") from error
        except BotoCoreError as error:
            raise LeaseError(f"{self._table}: {error}") from error


def _attributes(row: Row) -> dict[str, dict[str, str]]:
    return {
        "owner": {"S": row.owner},
        "number": {"N": str(row.number)},
        "beat": {"N": str(row.beat)},
    }
