"""Endings in a DynamoDB table, with one item per visitor."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from functions.contract.session import MAX_AGE
from functions.model.endings import EndingsError, oldest

PATIENCE = Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 3})


class DynamoDBEndings:
    """Endings in a table with the key `visitor` and the time-to-live attribute `expires`."""

    def __init__(self, table: str) -> None:
        self._dynamodb = boto3.client("dynamodb", config=PATIENCE)
        self._table = table

    def put(self, visitor: str, at: float) -> None:
        """Record that all sessions of a visitor that began before a time have ended."""
        expires = {"N": str(int(at) + MAX_AGE)}
        item = {"visitor": {"S": visitor}, "ended": {"N": f"{at:.6f}"}, "expires": expires}
        with _aws():
            self._dynamodb.put_item(TableName=self._table, Item=item)

    def get(self, visitor: str) -> float:
        """Return the time recorded for a visitor; 0 if there is none."""
        with _aws():
            found = self._dynamodb.get_item(
                TableName=self._table, Key={"visitor": {"S": visitor}}, ConsistentRead=True
            )
        return _ended(found["Item"]) if "Item" in found else 0.0

    def all(self) -> dict[str, float]:
        """Return the recorded times by visitor."""
        with _aws():
            pages = self._dynamodb.get_paginator("scan").paginate(TableName=self._table)
            found = {item["visitor"]["S"]: _ended(item) for page in pages for item in page["Items"]}
        return {visitor: at for visitor, at in found.items() if at > oldest()}

    def close(self) -> None:
        """Close the connections."""
        self._dynamodb.close()


def _ended(item: dict[str, Any]) -> float:
    return float(item["ended"]["N"])


@contextmanager
def _aws() -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise EndingsError(f"DynamoDB cannot be used now: {error}") from error
