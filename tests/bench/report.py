"""What a benchmark's JSON says, as tables: on the terminal and in docs/benchmarks."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from tests.bench.feed import PART as FEED
from tests.bench.feed import section as feed_section
from tests.bench.overload.fleet import PART as OVERLOAD
from tests.bench.overload.report import sections as overload_sections
from tests.bench.spread import Spread, ratio
from tests.bench.table import table
from tests.bench.turns import PART as TURNS
from tests.bench.turns import PLAIN

_MS: Final = 1000.0
_MIB: Final = 2.0**20
# Ratios of two subjects: what each is of, and the goal if it has one.
_GOALS: Final = (
    ("orderfleet", "floor", "peak", ">= 0.80"),
    ("orderfleet, no sandbox", "floor", "peak", ">= 0.85"),
    ("orderfleet, no review", "floor, no review", "peak", ""),
    ("orderfleet", "floor, usual shape", "peak", "> 1"),
    ("orderfleet", "common way", "peak", ">= 1.5"),
    ("orderfleet", "common way", "python", "<= 0.7"),
    ("orderfleet", "DBOS", "peak", ""),
    ("orderfleet", "floor", "cpu", ""),
)
_WORDS: Final = {
    "peak": "orders a second",
    "python": "CPU of an order in Python",
    "cpu": "CPU of an order in all",
}
_NOT_PYTHON: Final = {"temporal", "postgres", "generator"}

Trials = Sequence[Mapping[str, Any]]


def report(document: Mapping[str, Any]) -> str:
    """Return all of it in Markdown."""
    figures = document["figures"]
    sections = {
        **overload_sections(figures.get(OVERLOAD, {})),
        "Ratios": _ratios(figures.get("rates", {}), rising=document["about"]["plan"] != "budget"),
        "By turns": _turns(figures.get(TURNS, {})),
        "Orders a second": _rates(figures.get("rates", {})),
        "CPU of an order, ms": _cpu(figures.get("rates", {})),
        "Memory at the end of the rise, MiB": _memory(figures.get("rates", {})),
        "How the accepted orders ended": _books(figures.get("books", {})),
        "What the server does for an order": _work(figures.get("work", {})),
        "To accept an order, ms": _accept(figures.get("accept", {})),
        "HTTP alone": _reads(figures.get("reads", {})),
        "Beside old orders": _old(figures.get("old orders", {})),
        "The feed of events": feed_section(figures.get(FEED, {})),
        "Beside open orders": _open(figures.get("open orders", {})),
    }
    parts = [_about(document["about"])]
    parts += [f"## {title}\n\n{text}" for title, text in sections.items() if text]
    return "\n\n".join(parts) + "\n"


def _about(about: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {one}" for name, one in about["versions"].items())
    changed = " with changes" if about["changed_since"] else ""
    return (
        f"# Benchmark: {about['plan']}\n\n"
        f"`python -m tests.bench {about['plan']}` wrote this. It began {about['began']} and took"
        f" {about.get('minutes', '?')} min on {about['cores']} cores ({about['processor']}),"
        f" {about['memory_gib']} GiB, at commit {about['commit']}{changed}. Temporal:"
        f" {about.get('server', '?')}. {versions}. Medians, and the least to the most in brackets."
    )


def _values(trials: Trials, what: str) -> list[float]:
    match what:
        case "peak":
            return [trial["peak"] for trial in trials]
        case "python":
            return [_sum(trial, _NOT_PYTHON) for trial in trials]
        case _:
            return [_sum(trial, {"generator"}) for trial in trials]


def _sum(trial: Mapping[str, Any], without: set[str]) -> float:
    return float(sum(used for name, used in trial["cpu_seconds"].items() if name not in without))


def _ratios(rates: Mapping[str, Trials], *, rising: bool) -> str:
    rows = []
    for one, other, what, goal in _GOALS:
        if one in rates and other in rates and (rising or what != "peak"):
            runs = min(len(rates[one]), len(rates[other]))
            pair = (_values(rates[name][:runs], what) for name in (one, other))
            rows.append((f"{one} : {other}", _WORDS[what], ratio(*pair).shown(2), goal))
    return table(("", "of", "ratio", "goal"), rows)


def _turns(turns: Mapping[str, Trials]) -> str:
    if not turns:
        return ""
    plain = turns[PLAIN]
    rows = []
    for name, figures in turns.items():
        pairs = list(zip(figures, plain, strict=False))
        per_second, cpu = (
            ratio(*([value(one) for one in each] for each in zip(*pairs, strict=True)))
            for value in (lambda turn: turn["per_second"], lambda turn: _sum(turn, set()))
        )
        rows.append(
            (
                name,
                Spread.of(one["per_second"] for one in figures).shown(2),
                per_second.shown(3),
                Spread.of(_sum(one, set()) for one in figures).shown(1, _MS),
                cpu.shown(3),
            )
        )
    head = ("", "orders a second", "ratio, goal >= 0.97", "CPU of an order, ms", "goal <= 1.03")
    return f"{table(head, rows)}\n\n{_columns(turns, 'cpu_seconds', _in_ms, 'in all')}"


def _rates(rates: Mapping[str, Trials]) -> str:
    head = (
        *("", "end in time", "accepted within p50, p95, p99, ms"),
        *("ended within p50, p95, p99, s", "placed, ended, fulfilled"),
    )
    rows = []
    for name, trials in rates.items():
        totals = (
            sum(trial[what] for trial in trials) for what in ("accepted", "ended", "fulfilled")
        )
        rows.append(
            (
                name,
                Spread.of(_values(trials, "peak")).shown(),
                _latency(trials, "accept_seconds", 0, _MS),
                _latency(trials, "end_seconds", 2),
                ", ".join(map(str, totals)),
            )
        )
    return table(head, rows)


def _latency(trials: Trials, what: str, digits: int, scale: float = 1.0) -> str:
    return ", ".join(
        f"{Spread.of(trial[what][share] for trial in trials).median * scale:.{digits}f}"
        for share in trials[0][what]
    )


def _cpu(rates: Mapping[str, Trials]) -> str:
    return _columns(rates, "cpu_seconds", _in_ms, "in all")


def _in_ms(seconds: float) -> str:
    return f"{seconds * _MS:.1f}"


def _memory(rates: Mapping[str, Trials]) -> str:
    return _columns(rates, "memory", lambda value: f"{value / _MIB:.0f}")


def _columns(rates: Mapping[str, Trials], what: str, shown: Any, total: str = "") -> str:
    names = list(dict.fromkeys(name for trials in rates.values() for name in trials[0][what]))
    rows = []
    for subject, trials in rates.items():
        middle = {
            name: Spread.of(trial[what][name] for trial in trials).median
            for name in trials[0][what]
        }
        cells = [shown(middle[name]) if name in middle else "" for name in names]
        rows.append((subject, *cells, *([shown(sum(middle.values()))] if total else [])))
    return table(("", *names, *([total] if total else [])), rows)


def _books(books: Mapping[str, Trials]) -> str:
    rows = []
    for name, figures in books.items():
        ends = (_total(one[where] for one in figures) for where in ("postgres", "temporal"))
        rows.append((name, *ends))
    return table(("", "in Postgres", "in Temporal"), rows)


def _total(counts: Iterable[Mapping[str, int]]) -> str:
    total = sum(map(Counter, counts), Counter[str]())
    return ", ".join(f"{count} {end}" for end, count in sorted(total.items()))


def _work(work: Mapping[str, Trials]) -> str:
    head = ("", "history events", "workflow tasks", "state transitions")
    names = ("history_events", "workflow_tasks", "state_transitions")
    return table(
        head,
        ((name, *(f"{one[0][what]:.1f}" for what in names)) for name, one in work.items()),
    )


def _accept(accept: Mapping[str, Trials]) -> str:
    rows = []
    for share in ("p50", "p95", "p99"):
        for figures in accept.values():
            api, bare = ([one[kind][share] for one in figures] for kind in ("api", "bare"))
            rows.append(
                (
                    share,
                    Spread.of(api).shown(1, _MS),
                    Spread.of(bare).shown(1, _MS),
                    ratio(api, bare).shown(2),
                )
            )
    return table(("", "POST /orders/{id}/start", "bare StartWorkflow", "ratio"), rows)


def _reads(reads: Mapping[str, Trials]) -> str:
    rows = []
    for name, figures in reads.items():
        subject, route = name.split(", ", 1)
        other = reads.get(f"FastAPI, {route}")
        per_second = [one["per_second"] for one in figures]
        compared = ""
        if subject == "orderfleet" and other:
            compared = ratio(per_second, [one["per_second"] for one in other]).shown(2)
        rows.append(
            (
                name,
                Spread.of(per_second).shown(0),
                compared,
                Spread.of(one["cpu_seconds"] for one in figures).shown(2, _MS),
                _latency([{"seconds": one["seconds"]} for one in figures], "seconds", 1, _MS),
            )
        )
    head = ("", "requests a second", "to FastAPI", "CPU of one, ms", "p50, p95, p99, ms")
    return table(head, rows)


def _old(old: Mapping[str, Trials]) -> str:
    if not old:
        return ""
    routes = list(next(iter(old.values()))[0]["reads"])
    rows = []
    for total, figures in old.items():
        figure = figures[-1]
        latencies = (
            ", ".join(
                f"{one * _MS:.1f}" for one in list(figure["reads"][route]["seconds"].values())[::2]
            )
            for route in routes
        )
        trial = figure["trial"]
        cpu = _sum(trial, {"generator"}) * _MS
        rows.append((total, *latencies, f"{cpu:.0f}", f"{trial['end_seconds']['p99']:.2f}"))
    head = ("old orders", *(f"{route}, p50, p99, ms" for route in routes))
    figures_table = table((*head, "CPU of an order, ms", "ended within p99, s"), rows)
    plans = [
        f"{name}, beside {total} old orders:\n\n```\n{plan}\n```"
        for total, figures in list(old.items())[-1:]
        for name, plan in figures[-1]["plans"].items()
    ]
    return "\n\n".join([figures_table, *plans])


def _open(opened: Mapping[str, Trials]) -> str:
    rows = []
    for total, figures in opened.items():
        held, trial = figures[-1]["memory"], figures[-1]["trial"]
        rows.append(
            (
                total,
                *(
                    f"{held[name] / _MIB:.0f}"
                    for name in ("order worker", "shipping worker", "api")
                ),
                f"{_sum(trial, {'generator'}) * _MS:.0f}",
                f"{trial['end_seconds']['p99']:.2f}",
            )
        )
    head = ("open orders", "order worker, MiB", "shipping worker, MiB", "API, MiB")
    return table((*head, "CPU of another order, ms", "it ended within p99, s"), rows)
