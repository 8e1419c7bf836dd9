"""Compression: the size of a first visit."""

import zlib

from scripts.commands.doctor import static_files
from scripts.commands.doctor.answer import Answer
from scripts.commands.doctor.finding import Failure
from scripts.commands.doctor.site import Site

_OFFER = {"Accept-Encoding": "gzip, br"}  # what every browser offers


async def pages(site: Site) -> str:
    """A page is compressed for browsers, and plain for clients that do not offer compression."""
    return _compare(site.front, await site.visit(site.page, headers=_OFFER))


async def scripts(site: Site) -> str:
    """A script is compressed for browsers, and plain for clients that do not offer compression."""
    answers = [await site.ask(path) for path in static_files.referred(site)]
    largest = max(answers, key=lambda answer: len(answer.body))
    return _compare(largest, await site.ask(largest.target, headers=_OFFER))


def _compare(plain: Answer, packed: Answer) -> str:
    """Return how much smaller `packed` is, or raise Failure if it is hardly smaller."""
    encoding = packed.headers.get("Content-Encoding", "")
    if plain.headers.get("Content-Encoding"):
        raise Failure(
            f"{plain.path} was sent compressed to a client that does not accept compression.",
            why="Such a client cannot read it, and a cache may confuse the two forms.",
            do="The response must depend on Accept-Encoding, and have Vary: Accept-Encoding.",
        )
    if not encoding or len(packed.body) >= len(plain.body):
        raise Failure(
            f"{plain.path} has {len(packed.body):,} bytes for a browser that accepts gzip and br, "
            f"and {len(plain.body):,} for a client that accepts neither.",
            why="On a slow connection the first page takes several times as long.",
            do="See GZipMiddleware in functions/app.py, and Compress: true and a CachePolicyId "
            "that forwards Accept-Encoding (CachingOptimized) in infra/template.yaml.",
        )
    if encoding == "gzip" and not _unpacks(packed.body):
        raise Failure(
            f"{plain.path} is marked as gzip, but is not or is truncated.",
            why="Browsers cannot show it.",
            do="Something in between changes bodies: see infra/template.yaml for functions at the "
            "edge, and GZipMiddleware in functions/app.py.",
        )
    return (
        f"{plain.path} is {len(packed.body):,} bytes with {encoding}, {len(plain.body):,} without."
    )


def _unpacks(body: bytes) -> bool:
    unpacking = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        unpacking.decompress(body)
    except zlib.error:
        return False
    return unpacking.eof
