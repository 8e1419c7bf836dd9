"""The permissions that code needs for its calls to AWS."""

import ast
from functools import cache
from pathlib import Path

import boto3

CLIENTS = {
    "_dynamodb": "dynamodb",
    "_ecs": "ecs",
    "_sns": "sns",
    "_sqs": "sqs",
}  # the code's names for the clients


# IAM's names of operations, if they differ.
PERMISSIONS = {
    "dynamodb:TransactWriteItems": {"dynamodb:PutItem"},  # the code's transactions only put items
    "sns:PublishBatch": {"sns:Publish"},
    "sqs:CreateQueue": {"sqs:CreateQueue", "sqs:TagQueue"},  # the code creates it with tags
    "sqs:DeleteMessageBatch": {"sqs:DeleteMessage"},
}


@cache
def operations(service: str) -> dict[str, str]:
    """A boto3 client's methods, and the AWS operations they call."""
    mapping: dict[str, str] = boto3.client(
        service, region_name="us-east-1"
    ).meta.method_to_api_mapping
    return mapping


def called(tree: ast.AST) -> set[str]:
    """The permissions that code needs for the AWS operations in it."""
    found = set()
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Attribute(attr=client), attr="get_paginator"),
                args=[ast.Constant(value=str(method))],
            ) if client in CLIENTS:
                pass
            case ast.Attribute(value=ast.Attribute(attr=client), attr=method) if client in CLIENTS:
                pass
            case _:
                continue
        if operation := operations(CLIENTS[client]).get(method):
            name = f"{CLIENTS[client]}:{operation}"
            found |= PERMISSIONS.get(name, {name})
    return found


def parsed(*paths: Path) -> ast.Module:
    return ast.Module([ast.parse(path.read_text()) for path in paths], [])  # type: ignore[misc, list-item]
