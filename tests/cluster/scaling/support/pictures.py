"""A picture of replicas, slots in use and backlog over time."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from tests.cluster.scaling.support.watching import Look

_NAMES: Final = {
    "used": "slots in use",
    "requests": "requests a second",
    "refused": "refused a second",
}
_COLOURS: Final = {"order-worker": "#5794f2", "shipping-worker": "#ff9830", "api": "#73bf69"}
_INCHES: Final = (10.0, 6.4)
_DPI: Final = 100


def draw(
    title: str, looks: Sequence[Look], marks: Mapping[str, float], values: str, path: Path
) -> None:
    """Write a picture.

    Args:
        title: the title.
        looks: the data.
        marks: events and their times.
        values: names of the values below the replicas, such as `slots backlog`.
        path: the file.
    """
    rows = ["replicas", *values.split()]
    services = [
        service
        for service in _COLOURS
        if any(f"{service} {row}" in looks[0].values for row in rows)
    ]
    figure = Figure(figsize=_INCHES, dpi=_DPI, facecolor="white", layout="constrained")
    figure.suptitle(title, fontsize=12, weight="bold", x=0.01, ha="left")
    began = looks[0].at
    for axes, name in zip(figure.subplots(len(rows), sharex=True), rows, strict=True):
        _row(axes, name, looks, services)
        for what, at in marks.items():
            axes.axvline(at - began, color="#888888", linestyle=":", linewidth=1)
            if name == "replicas":
                axes.text(at - began, 1.02, what, fontsize=7, transform=axes.get_xaxis_transform())
    axes.set_xlabel("seconds", fontsize=8)
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    path.parent.mkdir(parents=True, exist_ok=True)
    # A palette is a third of the size, without a visible difference.
    Image.open(buffer).convert("RGB").quantize(64).save(path, optimize=True)


def _row(axes: Axes, name: str, looks: Sequence[Look], services: Sequence[str]) -> None:
    times = [look.at - looks[0].at for look in looks]
    for service in services:
        colour = _COLOURS[service]
        if name == "replicas":
            asked = [look.replicas[service] for look in looks]
            ready = [look.ready[service] for look in looks]
            axes.step(times, asked, where="post", color=colour, label=f"{service}, asked for")
            # Less than a pod beside it, so that neither hides the other.
            axes.fill_between(
                times, ready, step="post", color=colour, alpha=0.15, label=f"{service}, ready"
            )
        elif f"{service} {name}" in looks[0].values:
            # Missing data is a gap, not a zero.
            values = [look.values[f"{service} {name}"] for look in looks]
            shown = [float("nan") if value is None else value for value in values]
            axes.plot(times, shown, color=colour, linewidth=1.2, label=service)
    axes.set_ylabel(_NAMES.get(name, name), fontsize=9)
    # Room for the names; with zeros only, the axis ends at 1.
    axes.set_ylim(0, max(1.0, 1.35 * axes.get_ylim()[1]))
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.tick_params(labelsize=7, length=0)
    axes.grid(visible=True, color="#e5e5e5", linewidth=0.6)
    axes.legend(loc="upper right", fontsize=7, frameon=False, ncols=3)
    for side in axes.spines.values():
        side.set_visible(False)
