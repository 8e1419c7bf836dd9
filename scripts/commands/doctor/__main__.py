"""Checks a running site, local or deployed, from outside, as a browser and a plain client see it.

Exit status: 0 if nothing failed, 1 if something did, 2 if the site could not be reached.
"""

import argparse
import asyncio
import json
import os
import shutil
import sys
import time
from typing import Any

from scripts.commands.doctor.checks import CHECKS
from scripts.commands.doctor.examination import examine
from scripts.commands.doctor.reach import UnreachableError, reach
from scripts.commands.doctor.report import Report
from scripts.commands.doctor.site import Address, Broadcast, Site

UNREACHABLE = 2


def main() -> int:
    """Examine the site, print the report, and return the exit status."""
    options = _options()
    try:
        report = asyncio.run(_examine(options))
    except KeyboardInterrupt:
        return 130  # a shell's status for Ctrl-C
    except UnreachableError as error:
        if options.json:
            print(json.dumps({"address": options.address.origin, "unreachable": str(error)}))
        else:
            print(error, file=sys.stderr)
        return UNREACHABLE
    print(report.to_json() if options.json else _for_this_terminal(report))
    return 0 if report.healthy else 1


async def _examine(options: argparse.Namespace) -> Report:
    started = time.monotonic()
    async with Site(
        options.address,
        page=options.page,
        session=options.session,
        namespace=options.namespace,
        broadcast=_broadcast(options),
    ) as site:
        await reach(site)
        findings = await examine(site, CHECKS, options.skip)
    return Report(site.address.origin, findings, time.monotonic() - started)


def _for_this_terminal(report: Report) -> str:
    if not sys.stdout.isatty():
        return report.to_text()
    colour = "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    return report.to_text(width=shutil.get_terminal_size().columns, colour=colour)


def _options() -> argparse.Namespace:
    names = [check.name for check in CHECKS]
    parser = argparse.ArgumentParser(
        prog="scripts/doctor",
        description=__doc__,
        epilog="The checks:\n" + "\n".join(f"  {c.name:<21}{c.promise}" for c in CHECKS),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("address", metavar="URL", type=_address, help="such as https://example.com")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument(
        "--skip",
        metavar="CHECK",
        action="append",
        choices=names,
        default=[],
        help="skip a check, such as one that your site fails on purpose; may be repeated",
    )
    parser.add_argument(
        "--namespace",
        type=_namespace,
        default="/",
        metavar="PATH",
        help="namespace that clients connect to (default /)",
    )
    parser.add_argument(
        "--event",
        metavar="NAME",
        help="event of yours that other clients receive when one sends it",
    )
    parser.add_argument(
        "--value", type=_json, metavar="JSON", help="the event's argument (default null)"
    )
    parser.add_argument(
        "--received", metavar="NAME", help="event that they receive (default the same)"
    )
    parser.add_argument(
        "--page",
        type=_page,
        default="/",
        metavar="PATH",
        help="page to examine (default /), such as one that needs no login",
    )
    parser.add_argument(
        "--session",
        type=_session,
        default="",
        metavar="COOKIE",
        help="session to send, if pages ask for a login: the value of the site's own cookie, or "
        "NAME=VALUE for another cookie",
    )
    return parser.parse_args()


def _broadcast(options: argparse.Namespace) -> Broadcast | None:
    if options.event is None:
        return None
    return Broadcast(options.event, options.value, options.received or options.event)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not JSON; a string is '\"text\"'") from None


def _namespace(text: str) -> str:
    if not text.startswith("/") or "," in text or not text.isprintable():
        raise argparse.ArgumentTypeError(f"{text!r} is not a namespace such as /chat")
    return text


def _page(text: str) -> str:
    if (
        not text.startswith("/")
        or text.startswith("//")
        or not (text.isascii() and text.isprintable())
    ):
        raise argparse.ArgumentTypeError(f"{text!r} is not a path such as /about")
    return text.partition("#")[0].replace(" ", "%20")


def _session(text: str) -> str:
    if not (text.isascii() and text.isprintable()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a valid cookie value")
    return text


def _address(text: str) -> Address:
    try:
        return Address.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


if __name__ == "__main__":
    sys.exit(main())
