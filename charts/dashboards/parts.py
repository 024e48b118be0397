"""What all dashboards are made of, so that they look and read the same."""

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Final, Literal, NamedTuple, TypeVar

from grafana_foundation_sdk.builders import stat, timeseries
from grafana_foundation_sdk.builders.common import (
    GraphThresholdsStyleConfig,
    ReduceDataOptions,
    StackingConfig,
    VizLegendOptions,
    VizTooltipOptions,
)
from grafana_foundation_sdk.builders.dashboard import (
    CustomVariable,
    Dashboard,
    DashboardLink,
    DatasourceVariable,
    FieldColor,
    QueryVariable,
    Row,
    TextBoxVariable,
    ThresholdsConfig,
)
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    GraphThresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    FieldColorModeId,
    Threshold,
    ThresholdsMode,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

SOURCE: Final = DataSourceRef(type_val="prometheus", uid="${datasource}")
TAG: Final = "orderfleet"
# What the chart replaces by `alerts.runbookUrl`.
RUNBOOKS: Final = "docs/runbooks"
GREEN, YELLOW, RED = "green", "#EAB839", "red"

AnyPanel = TypeVar("AnyPanel", stat.Panel, timeseries.Panel)
Unit = Literal["short", "s", "percentunit", "ops", "reqps", "bytes", "none"]


class Query(NamedTuple):
    """An expression and the name of its series."""

    expr: str
    legend: str


class Limit(NamedTuple):
    """From which value on a panel is yellow, and from which on red. Falling: up to which value."""

    red: float
    yellow: float | None = None
    falling: bool = False

    def config(self) -> ThresholdsConfig:
        """Return Grafana's form of it: each step holds from its value on."""
        if self.falling:
            colours = [RED, YELLOW, GREEN]
            values = [None, self.red, self.yellow]
        else:
            colours = [GREEN, YELLOW, RED]
            values = [None, self.yellow, self.red]
        steps = [Threshold(value, colour) for value, colour in zip(values, colours, strict=True)]
        if self.yellow is None:
            steps = [steps[0], Threshold(self.red, colours[2])]
        return ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


_NO_LIMIT: Final = ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps([Threshold(None, GREEN)])


def number(
    title: str,
    description: str,
    query: str,
    *,
    unit: Unit = "short",
    limit: Limit | None = None,
    decimals: int | None = None,
    runbook: str = "",
    width: int = 4,
) -> stat.Panel:
    """Return one number of now, with its course behind it."""
    panel = (
        stat.Panel()
        .graph_mode(BigValueGraphMode.AREA)
        .color_mode(BigValueColorMode.VALUE)
        .reduce_options(ReduceDataOptions().calcs(["lastNotNull"]).values(values=False))
        .thresholds(limit.config() if limit else _NO_LIMIT)
        .color_scheme(FieldColor().mode(FieldColorModeId.THRESHOLDS))
    )
    if decimals is not None:
        panel = panel.decimals(decimals)
    return (
        _common(panel, title, description, [Query(query, "")], unit, runbook).span(width).height(4)
    )


def graph(
    title: str,
    description: str,
    *queries: Query,
    unit: Unit = "short",
    limit: Limit | None = None,
    runbook: str = "",
    width: int = 12,
    stacked: bool = False,
    floor: float = 0,
    share: bool = False,
    repeat: str = "",
) -> timeseries.Panel:
    """Return a graph over time.

    Args:
        title: its title.
        description: what it shows and what to make of it.
        queries: what it shows.
        unit: of the values.
        limit: drawn as dashed lines.
        runbook: of the alert that watches the same.
        width: of 24.
        stacked: whether the series are parts of a whole.
        floor: where the axis begins, unless a value is below.
        share: whether the axis ends at 100 %.
        repeat: a variable of which each value has a panel of its own, beside the others.
    """
    panel = (
        timeseries.Panel()
        .legend(
            VizLegendOptions()
            .display_mode(LegendDisplayMode.TABLE)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(show_legend=True)
            .calcs(["lastNotNull", "max"])
        )
        .tooltip(VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
        .show_points(VisibilityMode.NEVER)
        .fill_opacity(40 if stacked else 8)
        .line_width(1)
        .axis_soft_min(floor)
        .thresholds(limit.config() if limit else _NO_LIMIT)
        .color_scheme(FieldColor().mode(FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
    )
    if stacked:
        panel = panel.stacking(StackingConfig().mode(StackingMode.NORMAL).group("A"))
    if limit:
        style = GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED)
        panel = panel.thresholds_style(style)
    if share:
        panel = panel.max(1)
    if repeat:
        # Grafana shares its width out among the repetitions.
        panel = panel.repeat(repeat).repeat_direction("h")
        width = 24
    return _common(panel, title, description, queries, unit, runbook).span(width).height(8)


def _common(
    panel: AnyPanel,
    title: str,
    description: str,
    queries: tuple[Query, ...] | list[Query],
    unit: Unit,
    runbook: str,
) -> AnyPanel:
    panel = panel.title(title).description(description).datasource(SOURCE).unit(unit)
    for ref, query in zip("ABCDEFGH", queries, strict=False):
        panel = panel.with_target(
            Dataquery().ref_id(ref).expr(query.expr).legend_format(query.legend).datasource(SOURCE)
        )
    if runbook:
        link = DashboardLink(f"Runbook: {runbook}").type(DashboardLinkType.LINK)
        panel = panel.links(
            [link.url(f"${{runbooks}}/{runbook}.md").target_blank(target_blank=True)]
        )
    return panel


def dashboard(
    name: str,
    title: str,
    description: str,
    rows: Mapping[str, Sequence[stat.Panel | timeseries.Panel]],
    variables: Sequence[QueryVariable | CustomVariable] = (),
) -> Dashboard:
    """Return a dashboard of rows, with the variables that all have, and links to the others."""
    made = (
        Dashboard(f"Orderfleet / {title}")
        .uid(f"orderfleet-{name}")
        .description(description)
        .tags([TAG])
        .timezone("browser")
        .time("now-30m", "now")
        .refresh("10s")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(
            DashboardLink("Orderfleet")
            .type(DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .include_vars(include_vars=True)
            .keep_time(keep_time=True)
        )
        .with_variable(DatasourceVariable("datasource").label("Data source").type("prometheus"))
    )
    for variable in (*_PLACE, *variables):
        made = made.with_variable(variable)
    made = made.with_variable(
        TextBoxVariable("runbooks")
        .label("Runbooks at")
        .description("URL of the folder docs/runbooks, for the panels' links.")
        .default_value(RUNBOOKS)
        .current(VariableOption(text=RUNBOOKS, value=RUNBOOKS))
    )
    ids = count(1)
    for heading, panels in rows.items():
        made = made.with_row(Row(heading).id(next(ids)))
        for panel in panels:
            made = made.with_panel(panel.id(next(ids)))
    return made


def look_up(name: str, label: str, query: str) -> QueryVariable:
    """Return a variable whose values Prometheus knows."""
    return (
        QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query(query)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
    )


_PLACE: Final = (
    look_up("namespace", "Namespace", "label_values(orderfleet_build_info, namespace)"),
    look_up(
        "release",
        "Release",
        'label_values(orderfleet_build_info{namespace="$namespace"}, pod)',
    )
    .description("What the pods' names begin with: see the objects' names in `helm get manifest`.")
    .regex("/^(.+)-(?:api|order-worker|shipping-worker)-.+$/"),
)
