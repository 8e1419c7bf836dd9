"""JSON request bodies, read into a model."""

import json
from typing import TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request

from functions.contract.payload import PayloadError, parse
from functions.web.errors import InvalidError, is_json

MAX_BYTES = 64 * 1024  # of a body, unless the page says otherwise

T = TypeVar("T")


async def read_json(request: Request, model: type[T], *, max_bytes: int = MAX_BYTES) -> T:
    """Return the body of a request as an instance of a model: see functions/contract/payload.py.

    Raises HTTPException, which becomes JSON or a page, if the body has another media type (415), is
    too large (413), is not JSON (400), or does not fit the model (422).
    """
    if not is_json(request.headers.get("content-type", "")):
        raise HTTPException(415, "Send JSON, with Content-Type: application/json.")
    body = await request.body()  # Lambda passes it whole
    if len(body) > max_bytes:
        raise HTTPException(413, f"The body may have at most {max_bytes:,} bytes.")
    try:
        data = json.loads(body.decode())
        # Python's parser accepts surrogates, and numbers that JSON lacks.
        json.dumps(data, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        raise HTTPException(400, "The body is not JSON.") from None
    try:
        return parse(model, data)
    except PayloadError as error:
        raise InvalidError(str(error), [problem._asdict() for problem in error.problems]) from None
