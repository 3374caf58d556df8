"""The figures of the report, each drawn from a run alone; None where the run has nothing to draw."""

from collections.abc import Sequence
from itertools import cycle
from typing import Any

import numpy as np

from tritcoder.records import Run, Verdict
from tritcoder.report.drawing import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PAPER,
    PURPLE,
    RULE,
    SKY,
    VERMILION,
    YELLOW,
    Figure,
    canvas,
    to_svg,
)
from tritcoder.report.table import SCOPES, Percent, Row, Scope, held_out_bits_per_byte
from tritcoder.report.wording import decimals, mapping, number, one_line, short_count, words

_FILLS = (
    (BLUE, ""), (VERMILION, "//"), (GREEN, "\\\\"), (PURPLE, "xx"), (ORANGE, "--"), (SKY, "||"),
    (GREY, "++"), (INK, "/"), (YELLOW, "\\"),
)  # fmt: skip
_VERDICT_FILLS: dict[str, tuple[str, str]] = {
    Verdict.PASSED: (GREEN, ""), Verdict.WRONG_ANSWER: (ORANGE, "//"), Verdict.SYNTAX_ERROR: (GREY, ""),
    Verdict.RUNTIME_ERROR: (VERMILION, "xx"), Verdict.TIME_LIMIT: (SKY, "--"),
    Verdict.MEMORY_LIMIT: (PURPLE, "\\\\"), Verdict.OUTPUT_LIMIT: (YELLOW, "++"),
    Verdict.SANDBOX_FAILED: (INK, "||"),
}  # fmt: skip
_LINES = {"ternary": (BLUE, "-", "o"), "twin": (VERMILION, (0, (5, 2)), "s")}
"""Colour, dashes and marker of a curve, by model."""
_REFERENCE_LINES = {"3-gram": (0, (1, 2)), "zlib": (0, (6, 2, 1, 2)), "xz": (0, (2, 2))}
_REFERENCE_KINDS = {"ternary": (BLUE, "o"), "twin": (VERMILION, "s"), "unigram": (GREY, "^"),
                    "3-gram": (GREY, "^"), "zlib": (INK, "D"), "xz": (INK, "D")}  # fmt: skip
_DIAMOND = {"color": INK, "markerfacecolor": PAPER, "markersize": 4.5}
_MOST_POINTS = 400
"""Points of one curve: more could not be seen, and would make the page heavy."""


def accuracy_figure(rows: Sequence[Row], measure: str) -> Figure | None:
    """Bars by difficulty with 95 % intervals for `average` or `strict`; diamonds for the authors' comparison."""
    ours = [row for row in rows if row.by_difficulty and not row.published]
    scopes = [scope for scope in SCOPES if any(_share_of(row, scope, measure) for row in ours)]
    if not scopes:
        return None
    title = {"average": "Average accuracy: tests passed", "strict": "Strict accuracy: problems solved"}[measure]
    with canvas(3.5) as axes:
        highest = max(_draw_bars(axes, ours, scopes, measure), 1.0)
        axes.set_xticks(range(len(scopes)), scopes)
        axes.tick_params(axis="x", length=0)
        axes.grid(visible=False, axis="x")
        axes.set(ylim=(0, min(highest * 1.08, 104)), ylabel="percent")
        patches = [_patch(one_line(row.title, 32), fill) for row, fill in zip(ours, cycle(_FILLS))]
        diamond = axes.plot([], [], "D", label="APPS authors' comparison", **_DIAMOND)
        _legend_below(axes, 2, [*patches, *diamond])
        alt = f"{title}, percent. " + " ".join(_bars_in_words(row, scopes, measure) for row in ours)
        svg = to_svg(axes, f"accuracy-{measure}", alt)
    caption = (
        "Percent, by difficulty. Bars: strict comparison of outputs, with the 95 % interval over problems. "
        "Diamonds: the APPS authors' more forgiving comparison."
    )
    return Figure(f"accuracy-{measure}", title, caption, alt, svg, ("scores/*.json",))


def _share_of(row: Row, scope: Scope, measure: str) -> Percent | None:
    found: Percent | None = getattr(row.accuracy(scope), measure, None)
    return found


def _draw_bars(axes: Any, rows: Sequence[Row], scopes: Sequence[Scope], measure: str) -> float:
    """Draw every bar, interval and diamond; the height of the highest."""
    highest, width = 0.0, 0.8 / len(rows)
    for index, row in enumerate(rows):
        colour, hatch = _FILLS[index % len(_FILLS)]
        for place, scope in enumerate(scopes):
            x = place + (index - (len(rows) - 1) / 2) * width
            share, lenient = _share_of(row, scope, measure), _share_of(row, scope, f"{measure}_apps")
            if share:
                axes.bar(x, share.value, width * 0.92, color=colour, hatch=hatch, edgecolor=PAPER, linewidth=0.5)
                low, high = share.low or 0.0, share.value if share.high is None else share.high
                if share.interval:
                    axes.vlines(x, low, high, color=INK, linewidth=1.1)
                highest = max(highest, share.value, high)
            if lenient:
                axes.plot(x, lenient.value, "D", clip_on=False, **_DIAMOND)
                highest = max(highest, lenient.value)
    return highest


def _bars_in_words(row: Row, scopes: Sequence[Scope], measure: str) -> str:
    parts = [f"{scope} {share}" for scope in scopes if (share := _share_of(row, scope, measure))]
    return f"{one_line(row.title)}: {', '.join(parts) or 'nothing'}."


def _patch(label: str, fill: tuple[str, str]) -> Any:
    """A legend's square for a bar."""
    from matplotlib.patches import Patch

    return Patch(facecolor=fill[0], hatch=fill[1], edgecolor=PAPER, linewidth=0.5, label=label)


def _legend_below(axes: Any, columns: int, handles: Sequence[Any] | None = None) -> None:
    axes.figure.legend(
        handles=handles or axes.get_legend_handles_labels()[0], loc="outside lower left", ncols=columns,
        handlelength=2.2, columnspacing=1.4,
    )  # fmt: skip


def reference_values(run: Run) -> list[tuple[str, float]]:
    """Bits per byte on held-out code of the models and of what needs no network, lowest first."""
    simple = {name: run.references.get(name) for name in ("unigram", "3-gram", "zlib", "xz")}
    everything: dict[str, Any] = {**held_out_bits_per_byte(run), **simple}
    found = [(name, value) for name in everything if (value := number(everything[name])) is not None]
    return sorted(found, key=lambda pair: (pair[1], pair[0]))


def references_figure(run: Run) -> Figure | None:
    """Dots for bits per byte on held-out code: the models among counting and compressing."""
    values = reference_values(run)
    if not values:
        return None
    title = "Bits per byte on held-out code"
    with canvas(0.9 + 0.36 * len(values)) as axes:
        for place, (name, value) in enumerate(values):
            colour, marker = _REFERENCE_KINDS.get(name, (GREEN, "P"))
            axes.plot([0, value], [place, place], color=colour, linewidth=1.2, alpha=0.55)
            axes.plot(value, place, marker, color=colour, markersize=7.5)
            axes.annotate(decimals(value, 3), (value, place), (8, 0), textcoords="offset points", va="center")
        axes.set_yticks(range(len(values)), [one_line(name, 24) for name, _ in values])
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        axes.set(xlim=(0, max(value for _, value in values) * 1.16), xlabel="bits per byte (lower is better)")
        axes.set_ylim(len(values) - 0.5, -0.5)
        alt = f"{title}, lower is better: " + ", ".join(f"{one_line(n)} {decimals(v, 3)}" for n, v in values) + "."
        svg = to_svg(axes, "references", alt)
    caption = (
        "Of code that nothing was trained on. Circle: ternary; square: twin; "
        "triangles: counts of tokens; diamonds: general compressors."
    )
    return Figure("references", title, caption, alt, svg, ("references.json",))


Curve = tuple[list[float], list[float]]


def curve(rows: Sequence[dict[str, Any]], quantity: str) -> Curve:
    """Tokens and a quantity, from the lines of a metrics.jsonl that have both."""
    pairs = [(number(row.get("tokens")), number(row.get(quantity))) for row in rows]
    kept = [(tokens, value) for tokens, value in pairs if tokens is not None and value is not None]
    return [tokens for tokens, _ in kept], [value for _, value in kept]


def smoothed(values: Sequence[float], window: int) -> list[float]:
    """The mean of up to `window` neighbours around each value; at the ends of those there are."""
    if not values:
        return []
    box = np.ones(min(window, len(values)))
    sums = np.convolve(values, box, mode="same")
    return [float(x) for x in sums / np.convolve(np.ones(len(values)), box, mode="same")]


def training_loss_figure(run: Run, stage: str) -> Figure | None:
    """Training loss of ternary and twin over the tokens seen, smoothed; `stage` is pretrain or finetune."""
    curves = {model: curve(run.metrics.get(f"{model}/{stage}", []), "loss") for model in _LINES}
    held_out = {model: curve(run.metrics.get(f"{model}/{stage}", []), "held_out_loss") for model in _LINES}
    curves = {model: points for model, points in curves.items() if points[0]}
    if not curves:
        return None
    title = {"pretrain": "Pre-training: loss", "finetune": "Fine-tuning: loss"}.get(stage, f"{stage}: loss")
    window = max(1, max(len(values) for _, values in curves.values()) // 40)
    with canvas(3.3) as axes:
        for model, (tokens, values) in curves.items():
            colour, dashes, _ = _LINES[model]
            _plot(axes, tokens, values, color=colour, linewidth=0.7, alpha=0.3)
            _plot(axes, tokens, smoothed(values, window), color=colour, linestyle=dashes, label=model)
        shown = {m: held_out[m] for m in curves if stage == "finetune" and held_out[m][0]}
        for model, points in shown.items():
            _dots(axes, model, points, f"{model}, held out")
        _label_axes(axes, "nats per token")
        alt = _curves_in_words(f"{title}, nats per token.", curves)
        svg = to_svg(axes, f"{stage}-loss", alt)
    caption = f"Nats per token over the tokens seen; thick: mean of {window:,} logged steps, thin: each of them." + (
        " Markers: loss on held-out problems." if shown else ""
    )
    return Figure(f"{stage}-loss", title, caption, alt, svg, _metric_files(curves, stage))


def held_out_figure(run: Run) -> Figure | None:
    """Bits per byte on held-out code in the course of pre-training, with the marks to be beaten."""
    curves = {model: curve(run.metrics.get(f"{model}/pretrain", []), "held_out_bits_per_byte") for model in _LINES}
    curves = {model: points for model, points in curves.items() if points[0]}
    if not curves:
        return None
    marks = {name: value for name in _REFERENCE_LINES if (value := number(run.references.get(name))) is not None}
    with canvas(3.3) as axes:
        for model, points in curves.items():
            _dots(axes, model, points, model, linestyle=_LINES[model][1])
        for name, value in marks.items():
            axes.axhline(
                value, color=INK, linestyle=_REFERENCE_LINES[name], linewidth=1.1, label=f"{name} {value:.2f}"
            )
        _label_axes(axes, "bits per byte")
        alt = _curves_in_words("Bits per byte on held-out code during pre-training.", curves)
        alt += "".join(f" {name}: {value:.3f}." for name, value in marks.items())
        svg = to_svg(axes, "held-out", alt)
    caption = "Bits per byte over the tokens seen, lower is better; level lines: what needs no network."
    files = (*_metric_files(curves, "pretrain"), "references.json")
    return Figure("held-out", "Pre-training: held-out code", caption, alt, svg, files)


def _plot(axes: Any, tokens: Sequence[float], values: Sequence[float], **look: Any) -> None:
    step = -(-len(values) // _MOST_POINTS) or 1
    axes.plot(tokens[::step], values[::step], **look)


def _dots(axes: Any, model: str, points: Curve, label: str, linestyle: Any = "none") -> None:
    colour, _, marker = _LINES[model]
    _plot(
        axes, *points, color=colour, linestyle=linestyle, marker=marker, markersize=5, markeredgecolor=PAPER,
        markeredgewidth=0.8, label=label,
    )  # fmt: skip


def _label_axes(axes: Any, quantity: str) -> None:
    axes.set(xlabel="tokens", ylabel=quantity)
    axes.xaxis.set_major_locator(_few_ticks())
    axes.xaxis.set_major_formatter(lambda value, _: _round_count(value))
    axes.set_xlim(left=0)
    _legend_below(axes, 3)


def _round_count(value: float) -> str:
    """A tick's count without the zeros that say nothing: 2 M, 1.5 M."""
    size, _, unit = short_count(value).partition(" ")
    return f"{size.rstrip('0').rstrip('.') if '.' in size else size} {unit}".rstrip()


def _few_ticks() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(5, steps=[1, 2, 5, 10])


def _curves_in_words(opening: str, curves: dict[str, Curve]) -> str:
    ends = (
        f"{model}: from {values[0]:.3f} at {short_count(tokens[0])} tokens to {values[-1]:.3f} at "
        f"{short_count(tokens[-1])}."
        for model, (tokens, values) in curves.items()
    )
    return " ".join((opening, *ends))


def _metric_files(curves: dict[str, Curve], stage: str) -> tuple[str, ...]:
    return tuple(f"{model}/{stage}/metrics.jsonl" for model in curves)


def verdict_shares(score: dict[str, Any]) -> dict[str, float]:
    """Each verdict's share of all tests of a score, in percent, in the order of Verdict."""
    counts = {str(key): number(value) or 0.0 for key, value in mapping(score.get("verdicts")).items()}
    total = sum(counts.values())
    known = [verdict.value for verdict in Verdict if verdict.value in counts]
    ordered = known + sorted(set(counts) - set(known))
    return {name: 100 * counts[name] / total for name in ordered} if total > 0 else {}


def verdicts_figure(titles: Sequence[str], shares: Sequence[dict[str, float]]) -> Figure | None:
    """One bar a model, cut by what became of its tests."""
    drawn = [(one_line(title, 44), share) for title, share in zip(titles, shares, strict=True) if share]
    if not drawn:
        return None
    title = "What became of every test"
    with canvas(1.15 + 0.6 * len(drawn)) as axes:
        for place, (name, share) in enumerate(drawn):
            _stack(axes, place, share)
            axes.text(0, place - 0.34, name, va="bottom", ha="left")
        kinds = dict.fromkeys(verdict for _, share in drawn for verdict in share)
        axes.set(xlim=(0, 100), xlabel="percent of tests", yticks=[])
        axes.set_ylim(len(drawn) - 0.6, -0.85)
        axes.spines["left"].set_visible(False)
        axes.grid(visible=False)
        _legend_below(axes, 3, [_patch(one_line(words(kind), 24), _verdict_fill(kind)) for kind in kinds])
        alt = f"{title}, percent. " + " ".join(_shares_in_words(name, share) for name, share in drawn)
        svg = to_svg(axes, "verdicts", alt)
    return Figure("verdicts", title, "Percent of all tests, by model.", alt, svg, ("scores/*.json",))


def _verdict_fill(verdict: str) -> tuple[str, str]:
    return _VERDICT_FILLS.get(verdict, (RULE, "///"))


def _stack(axes: Any, place: int, share: dict[str, float]) -> None:
    left = 0.0
    for verdict, percent in share.items():
        colour, hatch = _verdict_fill(verdict)
        axes.barh(place, percent, 0.5, left, color=colour, hatch=hatch, edgecolor=PAPER, linewidth=0.5)
        left += percent


def _shares_in_words(name: str, share: dict[str, float]) -> str:
    return f"{name}: {', '.join(f'{one_line(words(verdict))} {percent:.1f}' for verdict, percent in share.items())}."
