"""The chart: a panel for each measure, a bar for each server, as SVG."""

from html import escape

from scripts.commands.bench.figures import Figures
from scripts.commands.bench.measures import Measure, find
from scripts.commands.bench.report import Report
from scripts.commands.bench.servers import SERVERS
from scripts.commands.bench.table import TIMES, number

MEASURES = (
    "broadcast-1000",
    "broadcast-5000",
    "burst-1000",
    "event",
    "handshake",
    "disconnect-10000",
    "memory",
    "memory-churned",
    "bus-delivery-1000",
    "bus-message-5",
    "bus-p50-1000",
    "bus-p50-5",
    "bus-p99-1000",
    "bus-p99-5",
)
BARS = ("fast", "node", "stock")

_COLUMNS = 2
_PANEL_WIDTH, _PANEL_HEIGHT = 420, 118
_MARGIN = 20
_LABEL, _FIGURE = 118, 92  # widths to the left and right of the longest bar
_BAR, _STEP = 16, 24  # height of a bar, and distance to the next
_OVERLONG = 3.0  # a bar this many times as long as Node's is cut off

_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600 }
.note { font-size: 12px; fill: #59636e }
.fast { fill: #1a7f6b } .node { fill: #8c959f } .stock { fill: #d0d7de }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .note { fill: #9198a1 }
  .fast { fill: #3fb59b } .node { fill: #6e7681 } .stock { fill: #3d444d }
}
"""


def render(report: Report) -> str:
    """Return the chart of the report's measures."""
    measures = [each for name in MEASURES if name in report.figures.values and (each := find(name))]
    rows = -(-len(measures) // _COLUMNS)
    width = _COLUMNS * _PANEL_WIDTH + (_COLUMNS + 1) * _MARGIN
    height = rows * _PANEL_HEIGHT + 2 * _MARGIN
    panels = "\n".join(_panel(each, report.figures, index) for index, each in enumerate(measures))
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" \
width="{width}" height="{height}" role="img" aria-label="{escape(_summary(report.figures))}">
<style>{_STYLE}</style>
{panels}
<text class="note" x="{_MARGIN}" y="{height - _MARGIN}">{escape(_caption(report))}</text>
</svg>
"""


def _panel(measure: Measure, figures: Figures, index: int) -> str:
    x = _MARGIN + index % _COLUMNS * (_PANEL_WIDTH + _MARGIN)
    y = _MARGIN + index // _COLUMNS * _PANEL_HEIGHT
    bars = "\n".join(
        _bar(measure, figures, server, y + 14 + place * _STEP, x)
        for place, server in enumerate(BARS)
    )
    title = escape(f"{measure.title}, {measure.unit}")
    return f"""<text class="title" x="{x}" y="{y}">{title}</text>
{bars}"""


def _bar(measure: Measure, figures: Figures, server: str, y: int, x: int) -> str:
    median = figures.median(measure.name, server)
    label = f'<text x="{x}" y="{y + 13}">{SERVERS[server].title}</text>'
    if median is None:
        return f'{label}<text class="note" x="{x + _LABEL}" y="{y + 13}">not measured</text>'
    longest = _scale(measure, figures)
    room = _PANEL_WIDTH - _LABEL - _FIGURE
    length = max(1, round(min(median / longest, 1) * room))
    bar = f'<rect class="{server}" x="{x + _LABEL}" y="{y}" width="{length}" height="{_BAR}"/>'
    # No ratio if it refers to a figure that is not in the panel.
    ratio = None if measure.reference else figures.ratio(measure.name, server)
    times = f" {TIMES}{ratio:.2f}" if ratio and server != "node" else ""
    beyond = "→ " if median > longest else ""
    figure = f'<text x="{x + _LABEL + length + 6}" y="{y + 13}">{beyond}{number(median)}{times}'
    return f"{label}{bar}{figure}</text>"


def _scale(measure: Measure, figures: Figures) -> float:
    """Return the value of the longest bar, so that an outlier does not flatten the others."""
    medians = [figures.median(measure.name, server) or 0 for server in BARS]
    node = figures.median(measure.name, "node")
    return min(max(medians), node * _OVERLONG) if node else max(medians)


def _summary(figures: Figures) -> str:
    ratio = figures.ratio("broadcast-1000", "fast")
    if ratio is None:
        return "What this host, Node socket.io and python-socketio cost."
    return (
        f"What this host, Node socket.io and python-socketio cost. A broadcast to 1,000 clients "
        f"costs this host {ratio:.2f} times what it costs Node."
    )


def _caption(report: Report) -> str:
    return (
        f"CPU of the server process, and its memory; {TIMES} Node's; less is better; → goes on. "
        f"socket.io {report.versions['socket.io']}, python-socketio "
        f"{report.versions['python-socketio']}, {report.date}."
    )
