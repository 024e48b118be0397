"""A dashboard's panels, drawn by matplotlib where Grafana would draw them, from real data."""

from collections.abc import Callable
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any, Final, NamedTuple

from matplotlib.axes import Axes
from matplotlib.dates import DateFormatter
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator
from PIL import Image

Json = dict[str, Any]

# Grafana's grid: 24 columns, and rows of 30 pixels and a gap of 8.
_COLUMNS: Final = 24
_WIDTH_INCHES: Final = 15.0
_ROW_INCHES: Final = 0.4
_DPI: Final = 100
# Of a name, in the width of a column.
_CHARACTERS: Final = 9
_LEGEND_ROWS: Final = 3
# More series than these would not be told apart.
_MOST: Final = 10
_COLOURS: Final = (
    *("#5794f2", "#73bf69", "#fade2a", "#ff9830", "#f2495c"),
    *("#b877d9", "#37872d", "#8ab8ff", "#c4162a", "#56a64b"),
)
_NAMES: Final[dict[str, str]] = {"green": "#37872d", "red": "#c4162a"}
_SCALES: Final = (("", 1.0), ("k", 1e3), ("M", 1e6), ("G", 1e9))


class Line(NamedTuple):
    """A series over time."""

    name: str
    times: list[float]
    values: list[float]


class Box(NamedTuple):
    """A place on Grafana's grid."""

    x: int
    y: int
    w: int
    h: int


class Drawn(NamedTuple):
    """A panel, where it is, and its data."""

    title: str
    json: Json
    box: Box
    lines: list[Line]


def draw(title: str, panels: list[Drawn], headings: list[tuple[str, int]], path: Path) -> None:
    """Write a picture of a dashboard."""
    rows = max(panel.box.y + panel.box.h for panel in panels) + 1
    figure = Figure(figsize=(_WIDTH_INCHES, rows * _ROW_INCHES), dpi=_DPI, facecolor="white")
    figure.text(0.01, 1 - 0.7 / rows, title, fontsize=14, weight="bold", va="center")
    for text, y in headings:
        figure.text(0.01, 1 - (y + 1.5) / rows, text, fontsize=11, weight="bold", va="center")
    for panel in panels:
        number = panel.json["type"] == "stat"
        # Room for the title, and below for the times and the names.
        left, below, above = (0.4, 0.2, 1.2) if number else (1.3, 2.4, 1.1)
        axes = figure.add_axes(
            (
                (panel.box.x + left) / _COLUMNS,
                1 - (panel.box.y + 1 + panel.box.h - below) / rows,
                (panel.box.w - left - 0.4) / _COLUMNS,
                (panel.box.h - below - above) / rows,
            )
        )
        axes.set_title(panel.title, fontsize=9, loc="left")
        figure.add_artist(_frame(panel.box, rows))
        (_number if number else _graph)(axes, panel)
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    # A palette is a third of the size, and nobody sees the difference.
    Image.open(buffer).convert("RGB").quantize(96).save(path, optimize=True)


def _frame(box: Box, rows: int) -> Rectangle:
    corner = ((box.x + 0.08) / _COLUMNS, 1 - (box.y + 1 + box.h - 0.1) / rows)
    width, height = (box.w - 0.16) / _COLUMNS, (box.h - 0.2) / rows
    return Rectangle(corner, width, height, fill=False, edgecolor="#d8d8d8", linewidth=0.8)


def _number(axes: Axes, panel: Drawn) -> None:
    axes.set_axis_off()
    value = panel.lines[0].values[-1] if panel.lines else None
    text = "No data" if value is None else _shown(panel.json)(value, None)
    colour = _NAMES["green"]
    for step in _steps(panel.json):
        if value is not None and (step["value"] is None or value >= step["value"]):
            colour = _colour(step)
    if panel.lines:
        _course(axes, panel.lines[0], colour)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.text(0.5, 0.6, text, fontsize=20, color=colour, ha="center", va="center")


def _course(axes: Axes, line: Line, colour: str) -> None:
    first, last, highest = line.times[0], line.times[-1], max(line.values)
    times = [(time - first) / ((last - first) or 1) for time in line.times]
    heights = [0.3 * value / (highest or 1) for value in line.values]
    axes.fill_between(times, heights, color=colour, alpha=0.15, linewidth=0)


def _graph(axes: Axes, panel: Drawn) -> None:
    lines = sorted(panel.lines, key=lambda line: -max(line.values))[:_MOST]
    lines.sort(key=lambda line: line.name)
    custom = panel.json["fieldConfig"]["defaults"]["custom"]
    if custom.get("stacking", {}).get("mode") == "normal":
        _stack(axes, lines)
    else:
        for line, colour in zip(lines, _COLOURS, strict=False):
            axes.plot(_when(line.times), line.values, color=colour, linewidth=1.2, label=line.name)
    highest = max((value for line in lines for value in line.values), default=1.0)
    if "thresholdsStyle" in custom:
        for step in _steps(panel.json)[1:]:
            # As Grafana does: a limit far above what is shown is not drawn.
            if step["value"] <= 2 * highest or step["value"] <= 1:
                colour = _colour(step)
                axes.axhline(step["value"], color=colour, linestyle="--", linewidth=0.8)
    lowest = min((value for line in lines for value in line.values), default=0.0)
    most = panel.json["fieldConfig"]["defaults"].get("max")
    # Of nothing but zeros the axis ends at 1.
    top = 1.01 * most if most else None if highest else 1
    axes.set_ylim(bottom=min(lowest, custom["axisSoftMin"]), top=top)
    if not lines:
        axes.text(0.5, 0.5, "No data", ha="center", transform=axes.transAxes, color="grey")
        axes.set_axis_off()
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(_shown(panel.json)))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(DateFormatter("%H:%M:%S"))
    axes.tick_params(labelsize=7, length=0)
    axes.grid(visible=True, color="#e5e5e5", linewidth=0.6)
    for side in axes.spines.values():
        side.set_visible(False)
    if lines:
        _legend(axes, panel, max(len(line.name) for line in lines))


def _legend(axes: Axes, panel: Drawn, longest: int) -> None:
    columns = max(1, int(panel.box.w * _CHARACTERS / (longest + 6)))
    handles, names = axes.get_legend_handles_labels()
    shown = columns * _LEGEND_ROWS
    if len(names) > shown:
        names[shown - 1] = f"and {len(names) - shown + 1} more"
    axes.legend(
        *(handles[:shown], names[:shown]),
        loc="upper left",
        bbox_to_anchor=(0, -0.13),
        ncols=columns,
        fontsize=7,
        frameon=False,
    )


def _stack(axes: Axes, lines: list[Line]) -> None:
    times = sorted({time for line in lines for time in line.times})
    values = [dict(zip(line.times, line.values, strict=True)) for line in lines]
    axes.stackplot(
        _when(times),
        [[found.get(time, 0.0) for time in times] for found in values],
        labels=[line.name for line in lines],
        colors=_COLOURS,
        alpha=0.6,
        linewidth=0,
    )


def _when(times: list[float]) -> list[datetime]:
    return [datetime.fromtimestamp(time).astimezone() for time in times]


def _steps(panel: Json) -> list[Json]:
    steps: list[Json] = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    return steps


def _colour(step: Json) -> str:
    name: str = step["color"]
    return _NAMES.get(name, name)


def _shown(panel: Json) -> Callable[[float, Any], str]:
    """Return how a panel shows a value: as Grafana does, nearly."""
    defaults = panel["fieldConfig"]["defaults"]

    def show(value: float, _: Any) -> str:
        decimals = defaults.get("decimals")
        match defaults["unit"]:
            case "percentunit":
                return f"{100 * value:.{decimals if decimals is not None else 0}f} %"
            case "s" if 0 < value < 1:
                return f"{1000 * value:.3g} ms"
            case "s":
                return f"{value:.3g} s"
            case "bytes":
                return f"{_scaled(value)}B"
            case "ops" | "reqps":
                return f"{_scaled(value)}/s"
            case _:
                return _scaled(value)

    return show


def _scaled(value: float) -> str:
    suffix, scale = next((one for one in reversed(_SCALES) if abs(value) >= one[1]), ("", 1.0))
    return f"{value / scale:.3g} {suffix}".rstrip()
