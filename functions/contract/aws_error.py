"""Errors of AWS, in a sentence that names what is missing or forbidden."""

_MISSING = ("NotFound", "DoesNotExist", "NonExistent")  # parts of the codes of SNS, SQS, DynamoDB
_FORBIDDEN = ("AccessDenied", "AuthorizationError")


def explain(error: Exception, resource: str) -> str:
    """Return why a call of boto3 about a resource failed, such as `the table Rooms`.

    There is no full stop at the end.
    """
    response = getattr(error, "response", None) or {}  # None if AWS could not be reached
    found = response.get("Error", {})
    code, text = str(found.get("Code", "")), str(found.get("Message", "")).rstrip(".")
    if any(part in code for part in _MISSING):
        return f"{resource} does not exist in this account and region: check the name"
    if any(part in code for part in _FORBIDDEN):
        return f"{resource} may not be used; add the permission to the role's policy ({text})"
    return str(error).rstrip(".")
