"""What a client accepts: the headers Accept and Accept-Encoding (RFC 9110, section 12.5)."""

import re

_WEIGHT = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?", re.ASCII)


def qualities(header: str) -> dict[str, float]:
    """Return what a header lists, in lower case, with the weight of each entry, from 0 to 1.

    Entries with a malformed weight are left out.
    """
    found: dict[str, float] = {}
    for item in header.lower().split(","):
        name, *parameters = (part.strip(" \t") for part in item.split(";"))
        pairs = (parameter.partition("=") for parameter in parameters)
        weight = next((value.strip() for key, _, value in pairs if key.strip() == "q"), "1")
        if name and _WEIGHT.fullmatch(weight):
            found[name] = float(weight)
    return found
