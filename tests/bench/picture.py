"""The picture of a benchmark: orders a second, CPU of an order, and what came in and what ended."""

from io import BytesIO
from pathlib import Path
from statistics import median
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from tests.bench.spread import Spread

_COLOURS: Final = {
    "temporal": "#8ab8ff",
    "postgres": "#b0bec5",
    "order worker": "#ff9830",
    "shipping worker": "#ffcb7d",
    "api": "#73bf69",
    "worker": "#c15c17",
    "api and workflows": "#b877d9",
    "generator": "#e5e5e5",
}
_INCHES: Final = (11.0, 7.0)
_DPI: Final = 100


def draw(rates: dict[str, list[dict[str, Any]]], title: str, path: Path) -> None:
    """Write the picture of these trials, by subject."""
    figure = Figure(figsize=_INCHES, dpi=_DPI, facecolor="white", layout="constrained")
    figure.suptitle(title, fontsize=11, weight="bold", x=0.01, ha="left")
    grid = figure.add_gridspec(2, 2, height_ratios=(1, 0.9))
    _peaks(figure.add_subplot(grid[0, 0]), rates)
    _cpu(figure.add_subplot(grid[0, 1]), rates)
    for column, name in enumerate(list(rates)[:2]):
        _course(figure.add_subplot(grid[1, column]), name, rates[name])
    save(figure, path)


def save(figure: Figure, path: Path) -> None:
    """Write a figure as a small PNG."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    path.parent.mkdir(parents=True, exist_ok=True)
    # A palette is a third of the size, and nobody sees the difference.
    Image.open(buffer).convert("RGB").quantize(64).save(path, optimize=True)


def _peaks(axes: Axes, rates: dict[str, list[dict[str, Any]]]) -> None:
    for row, (name, trials) in enumerate(rates.items()):
        seen = Spread.of(trial["peak"] for trial in trials)
        error = [[seen.median - seen.low], [seen.high - seen.median]]
        colour = "#5794f2" if name.startswith("orderfleet") else "#c0c0c0"
        axes.barh(row, seen.median, 0.6, xerr=error, color=colour, ecolor="#555555", capsize=2)
        axes.text(seen.high, row, f"  {seen.median:.1f}", va="center", fontsize=8)
    _rows(axes, list(rates), "orders a second that end in time: median, least and most")


def _cpu(axes: Axes, rates: dict[str, list[dict[str, Any]]]) -> None:
    told = set()
    for row, trials in enumerate(rates.values()):
        left = 0.0
        for part, colour in _COLOURS.items():
            if part not in trials[0]["cpu_seconds"]:
                continue
            width = median(trial["cpu_seconds"][part] for trial in trials) * 1000
            label = None if part in told else part
            told.add(part)
            axes.barh(row, width, 0.6, left=left, color=colour, label=label)
            left += width
        axes.text(left, row, f"  {left:.0f}", va="center", fontsize=8)
    _rows(axes, list(rates), "CPU of an order, ms")
    axes.legend(
        fontsize=7,
        frameon=False,
        ncols=4,
        columnspacing=1,
        handlelength=1.2,
        loc="upper left",
        bbox_to_anchor=(0, -0.07),
    )


def _rows(axes: Axes, names: list[str], title: str) -> None:
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.invert_yaxis()
    axes.set_title(title, fontsize=9, loc="left")
    axes.set_xlim(0, axes.get_xlim()[1] * 1.12)
    plain(axes, "x")


def _course(axes: Axes, name: str, trials: list[dict[str, Any]]) -> None:
    for number, trial in enumerate(trials):
        due, ended = zip(*trial["timeline"], strict=True)
        label = "placed" if number == 0 else None
        axes.plot(due, color="#555555", linewidth=1, linestyle=":", label=label)
        label = "ended in time" if number == 0 else None
        axes.plot(ended, color="#5794f2", linewidth=0.8, alpha=0.6, label=label)
    axes.set_title(f"{name}: orders a second, over the seconds of each run", fontsize=9, loc="left")
    axes.legend(fontsize=7, frameon=False)
    plain(axes, "both")


def plain(axes: Axes, grid: Any) -> None:
    """Leave out what nobody reads."""
    axes.tick_params(labelsize=7, length=0)
    axes.grid(visible=True, axis=grid, color="#e5e5e5", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in axes.spines.values():
        side.set_visible(False)
