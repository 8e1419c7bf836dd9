"""URL-encoded forms."""

from urllib.parse import parse_qsl

from starlette.datastructures import ImmutableMultiDict
from starlette.exceptions import HTTPException
from starlette.requests import Request

MAX_BYTES = 64 * 1024  # of a body: the longest message, each character written as %XX%XX%XX
MAX_FIELDS = 100

_TYPE = "application/x-www-form-urlencoded"


async def read_form(request: Request) -> ImmutableMultiDict[str, str]:
    """Return the fields of a form, with line ends as in JavaScript.

    A field that was sent several times, such as a group of checkboxes, has its last value;
    `getlist` returns all. Raises HTTPException for a body that is not such a form, like one with
    files (415), or is too large (413), or cannot be read (400).
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("", _TYPE):
        raise HTTPException(415, f"Send a form without files, as {_TYPE}.")
    body = await request.body()  # Lambda passes it whole
    if len(body) > MAX_BYTES:
        raise HTTPException(413, f"A form may have at most {MAX_BYTES:,} bytes.")
    if body.count(b"&") >= MAX_FIELDS:
        raise HTTPException(413, f"A form may have at most {MAX_FIELDS} fields.")
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True)
    except ValueError:
        raise HTTPException(400, "The body is not a valid form.") from None
    return ImmutableMultiDict([(name, value.replace("\r\n", "\n")) for name, value in fields])
