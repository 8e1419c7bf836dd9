"""Lots in a DynamoDB table, one item for each."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from functions.model.lots import Lot, LotsError

# Fail while the client still waits for its ack.
PATIENCE = Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 3})


class DynamoDBLots:
    """Lots in a table whose key is `name`."""

    def __init__(self, table: str) -> None:
        self._dynamodb = boto3.client("dynamodb", config=PATIENCE)
        self._table = table

    def offer(self, name: str, reserve: int, at: float) -> bool:
        """Add a lot; return False if there is one with that name."""
        return self._changed(
            name,
            "SET amount = :amount, bidder = :bidder, seen = :at, sold = :no, fence = :zero",
            "attribute_not_exists(amount)",
            {":amount": reserve, ":bidder": "", ":at": at, ":no": False, ":zero": 0},
        )

    def bid(self, name: str, amount: int, bidder: str, at: float) -> bool:
        """Store a bid; return False if it is not the highest, or the lot is sold or missing."""
        return self._changed(
            name,
            "SET amount = :amount, bidder = :bidder, seen = :at",
            "amount < :amount AND sold = :no",
            {":amount": amount, ":bidder": bidder, ":at": at, ":no": False},
        )

    def sell(self, lot: Lot, number: int) -> bool:
        """Sell a lot; return False if it has changed, or the fencing number is too low."""
        return self._changed(
            lot.name,
            "SET sold = :yes, fence = :number",
            "amount = :amount AND sold = :no AND fence <= :number",
            {":amount": lot.amount, ":yes": True, ":no": False, ":number": number},
        )

    def withdraw(self, name: str) -> None:
        """Remove a lot."""
        with _aws():
            self._dynamodb.delete_item(TableName=self._table, Key={"name": {"S": name}})

    def all(self) -> list[Lot]:
        """Return every lot, by name."""
        with _aws():
            pages = self._dynamodb.get_paginator("scan").paginate(
                TableName=self._table, ConsistentRead=True
            )
            return sorted(_lot(item) for page in pages for item in page["Items"])

    def close(self) -> None:
        """Close connections."""
        self._dynamodb.close()

    def _changed(self, name: str, update: str, condition: str, values: dict[str, Any]) -> bool:
        try:
            with _aws("ConditionalCheckFailedException"):
                self._dynamodb.update_item(
                    TableName=self._table,
                    Key={"name": {"S": name}},
                    UpdateExpression=update,
                    ConditionExpression=condition,
                    ExpressionAttributeValues={key: _typed(of) for key, of in values.items()},
                )
        except ClientError:
            return False
        return True


def _typed(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"BOOL": value}
    return {"S": value} if isinstance(value, str) else {"N": str(value)}


def _lot(item: dict[str, Any]) -> Lot:
    amount, at = int(item["amount"]["N"]), float(item["seen"]["N"])
    return Lot(item["name"]["S"], amount, item["bidder"]["S"], at, item["sold"]["BOOL"])


@contextmanager
def _aws(*expected: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] in expected:
            raise
        raise LotsError(f"DynamoDB refused: {error}") from error
    except BotoCoreError as error:
        raise LotsError(f"DynamoDB cannot be used now: {error}") from error
