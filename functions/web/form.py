"""URL-encoded forms."""

from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request

MAX_BYTES = 64 * 1024  # of a body: the longest message, each character written as %XX%XX%XX
_MAX_FIELDS = 20


async def read_form(request: Request) -> dict[str, str]:
    """Return the fields of a form, with line ends as in JavaScript.

    Raises HTTPException for a body that is not a form or is too large.
    """
    body = await request.body()  # Lambda passes it whole
    if len(body) > MAX_BYTES:
        raise HTTPException(413, f"A form may have at most {MAX_BYTES:,} bytes.")
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise HTTPException(400, "The body is not a valid form.") from None
    return {name: value.replace("\r\n", "\n") for name, value in fields}
