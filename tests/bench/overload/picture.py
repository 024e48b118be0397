"""The picture of an overload: what was offered and what became of it, each second."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.bench.overload.figures import SMOOTH_SECONDS, smooth
from tests.bench.picture import plain, save

_INCHES: Final = (11.0, 7.5)


def draw(figure: dict[str, Any], title: str, path: Path) -> None:
    """Write the picture of the load `3 P`."""
    picture = Figure(figsize=_INCHES, dpi=100, facecolor="white", layout="constrained")
    picture.suptitle(title, fontsize=11, weight="bold", x=0.01, ha="left")
    rates, ends, limit = picture.subplots(3, 1, sharex=True, height_ratios=(1.4, 1, 1))
    _rates(rates, figure)
    _ends(ends, figure["timeline"], figure["gauges"])
    _limit(limit, figure["gauges"])
    for axes in (rates, ends, limit):
        axes.axvline(figure["above"]["seconds"], color="#555555", linewidth=0.8, linestyle=":")
        plain(axes, "both")
        if axes.get_legend_handles_labels()[0]:
            # Beside the title, where no line is.
            axes.legend(
                fontsize=7, frameon=False, ncols=5, loc="lower right", bbox_to_anchor=(1, 1)
            )
    limit.set_xlabel("seconds", fontsize=8)
    save(picture, path)


def _rates(axes: Axes, figure: dict[str, Any]) -> None:
    lines = {
        "offered": ("#555555", ":"),
        "refused": ("#e02f44", "-"),
        "accepted": ("#ff9830", "-"),
        "fulfilled": ("#5794f2", "-"),
    }
    for name, (colour, style) in lines.items():
        values = smooth([second[name] for second in figure["timeline"]])
        axes.plot(values, color=colour, linestyle=style, linewidth=1.2, label=name)
    peak = figure["peak"]
    axes.axhline(peak, color="#37872d", linewidth=0.8, linestyle="--", label=f"P = {peak:.1f}")
    axes.set_title(f"orders a second, means of {SMOOTH_SECONDS} s", fontsize=9, loc="left")


def _ends(
    axes: Axes, timeline: list[dict[str, Any]], gauges: Sequence[Mapping[str, float]]
) -> None:
    _line(axes, [one["end_p99"] for one in timeline], "#5794f2", "p99 of those that ended")
    waits = [one.get("standing_wait_seconds") for one in gauges]
    _line(axes, waits, "#ff9830", "standing wait, as the API sees it")
    axes.axhline(15, color="#e02f44", linewidth=0.8, linestyle="--", label="the deadline")
    axes.set_ylim(bottom=0)
    axes.set_title("seconds from accepted to ended", fontsize=9, loc="left")


def _limit(axes: Axes, gauges: Sequence[Mapping[str, float]]) -> None:
    for name, colour in (("limit", "#37872d"), ("waiting", "#ff9830")):
        _line(axes, [one.get(name) for one in gauges], colour, name)
    axes.set_ylim(bottom=0)
    axes.set_title("the limit of the API, and the orders that wait", fontsize=9, loc="left")


def _line(axes: Axes, values: Sequence[float | None], colour: str, label: str) -> None:
    points = [(second, one) for second, one in enumerate(values) if one is not None]
    if points:
        axes.plot(*zip(*points, strict=True), color=colour, linewidth=1, label=label)
