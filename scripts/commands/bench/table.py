"""The table at the end of a run: a row for each measure, a column for each server."""

import statistics
from collections.abc import Mapping

from scripts.commands.bench.duel import DUELS
from scripts.commands.bench.figures import REFERENCE, Figures
from scripts.commands.bench.measures import Measure, find
from scripts.commands.bench.report import Report

TIMES = "×"  # noqa: RUF001 - it is the multiplication sign

_TITLE, _COLUMN = 56, 17  # characters


def render(report: Report) -> str:
    """Return the figures as text, with their ratios to Node's, and notes on the conditions."""
    parts = [
        _comparison(report.figures),
        _duels(report.duels),
        _function(report),
        _notes(report),
    ]
    return "\n\n".join(part for part in parts if part)


def _comparison(figures: Figures) -> str:
    servers = figures.servers()
    if not servers:
        return ""
    rows = [_row(each, figures, servers) for name in figures.values if (each := find(name))]
    lost = [f"{figures.lost(server):,.0f}{'':6}" for server in servers]
    return "\n".join(
        [
            _line(
                f"CPU of the server, medians; {TIMES} Node's",
                [f"{s}{'':6}" for s in servers],
                "goal",
            ),
            *rows,
            _line("messages lost, duplicated or out of order", lost),
        ]
    )


def _line(title: str, cells: list[str], last: str = "") -> str:
    line = f"{title:<{_TITLE}}" + "".join(f"{cell:>{_COLUMN}}" for cell in cells)
    return f"{line}  {last}".rstrip()


def _row(measure: Measure, figures: Figures, servers: list[str]) -> str:
    cells = [_cell(measure, figures, server) for server in servers]
    ratio = figures.ratio(measure.name, "fast", measure.reference)
    return _line(f"{measure.title}, {measure.unit}", cells, _goal(ratio, measure.target))


def _goal(ratio: float | None, target: float | None) -> str:
    if target is None:
        return ""
    outcome = "" if ratio is None else " met" if ratio <= target else " missed"
    return f"≤ {number(target)}{outcome}"


def _cell(measure: Measure, figures: Figures, server: str) -> str:
    median = figures.median(measure.name, server)
    if median is None:
        return f"-{'':6}"
    ratio = figures.ratio(measure.name, server, measure.reference)
    if ratio is None or (server == REFERENCE and not measure.reference):
        return f"{number(median)}{'':6}"
    return f"{number(median)} {TIMES}{ratio:<4.2f}"


def number(value: float) -> str:
    """Return a figure with three significant digits."""
    for limit, digits in ((10, 2), (100, 1)):
        if abs(value) < limit:
            return f"{value:.{digits}f}"
    return f"{value:,.0f}"


# ---- servers side by side -----------------------------------------------------------------------


def _duels(ratios: Mapping[str, float]) -> str:
    lines = []
    for duel in DUELS:
        ratio, measure = ratios.get(duel.name), find(duel.measure)
        if ratio is not None and measure:
            title = f"{measure.title}: {duel.server} / {duel.other}"
            lines.append(_line(title, [f"{TIMES}{ratio:<4.2f}"], _goal(ratio, duel.target)))
    return "\n".join(lines)


# ---- the function -----------------------------------------------------------------------------


def _function(report: Report) -> str:
    if not report.function:
        return ""
    rows = [
        _line(
            title,
            [f"{number(report.function[name])} {unit:<5}"],
            _goal(report.function[name], target),
        )
        for name, title, unit, target in _FUNCTION
        if name in report.function
    ]
    slowest = list(report.imports.items())[:8]
    imports = ", ".join(f"{name} {number(milliseconds)}" for name, milliseconds in slowest)
    return "\n".join(
        [
            "The function, under AWS's runtime client",
            *rows,
            f"imports, ms, slowest of {len(report.imports)} packages: {imports}",
        ]
    )


_FUNCTION: tuple[tuple[str, str, str, float | None], ...] = (
    ("function-cold", "spawn to first page", "ms", None),
    ("function-cold-cpu", "· CPU of that", "ms", None),
    ("other-cold", "Next.js, standalone: spawn to first page", "ms", None),
    ("function-cold-ratio", "· the function / Next.js", "", 0.5),
    ("function-warm", "your front page, warm, time to the response", "ms", None),
    ("function-warm-cpu", "· CPU of that", "ms", 1.0),
    ("function-plain", "a warm plain page, time to the response", "ms", None),
    ("function-plain-cpu", "· CPU of that", "ms", 1.0),
    ("function-zip", "zip", "bytes", None),
)


# ---- notes ------------------------------------------------------------------------------------

_QUIET = 0.05  # share of the server's core; other processes also evict the server's caches


def _notes(report: Report) -> str:
    versions, plan, machine = report.versions, report.plan, report.machine
    offer = "offer" if report.conditions["deflate"] else "do not offer"
    lines = [
        f"{report.date}, {machine['processor']}, {machine['cores']} cores, Linux "
        f"{machine['kernel']}. {plan['rounds']} rounds in turn, medians.",
        f"node: socket.io {versions['socket.io']} on Node {versions['node']}, default settings "
        "(compresses nothing), ws without its optional native addons.",
        f"stock: python-socketio {versions['python-socketio']} on aiohttp {versions['aiohttp']} "
        f"and asyncio, Python {machine['python']}, default settings (compresses when offered).",
        "fast, guarded, fallback: this host, without and with session, origin check and rate "
        "limits; with TRANSPORT=stock. bare: a C program that only sends prebuilt frames.",
        *_pairs(report.redis),
        *_next(report),
        f"The server has one core, the load generator another, all on loopback. Clients {offer} "
        "permessage-deflate, and send uncompressed.",
        *_quiet(report.foreign),
        *(f"Left out: {each}" for each in report.left_out),
        *(["The run was interrupted, so the rest was not measured."] if report.interrupted else []),
    ]
    return "\n".join(lines)


def _pairs(versions: dict[str, str]) -> list[str]:
    if not versions:
        return []
    return [
        f"Two hosts of each kind on one Redis {versions['server']}; all three share the server's "
        "core. A client of one host emits, and those of the other receive. Redis's own use is not "
        f"counted. Node has @socket.io/redis-adapter {versions['adapter']} and redis "
        f"{versions['client']}."
    ]


_SLOWEST_NEXT = 700.0  # ms, its slowest start on the machine where the targets were set


def _next(report: Report) -> list[str]:
    milliseconds = report.function.get("other-cold")
    if milliseconds is None:
        return []
    line = f"Next.js {report.versions['next']}: a page of one line, rendered for each request."
    if milliseconds > _SLOWEST_NEXT:
        line += (
            f" It took {milliseconds / _SLOWEST_NEXT:.2f} times as long to start as its slowest "
            "start where the goal of 1 ms a page was set, so this machine is slower."
        )
    return [line]


def _quiet(foreign: list[float]) -> list[str]:
    if not foreign:
        return []
    median, worst = statistics.median(foreign), max(foreign)
    line = f"Other processes used {median:.0%} of the server's core, {worst:.0%} at most."
    return [
        line + (" That is too much: repeat this on a quiet machine." if median > _QUIET else "")
    ]
