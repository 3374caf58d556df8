"""What the numbers of a run say, in sentences; and what they do not say."""

from collections.abc import Sequence
from typing import Any

from tritcoder.records import Run
from tritcoder.report.figures import reference_values
from tritcoder.report.table import Percent, Row
from tritcoder.report.wording import count, decimals, items, mapping, number, one_line, plain, short_count

_NAMES = {"apps": "APPS", "humaneval": "HumanEval", "mbpp": "MBPP"}
_FULL_JAIL = "full"


def summary(run: Run, rows: Sequence[Row]) -> str:
    """What was run, in one sentence."""
    ours = [row for row in rows if not row.published]
    trained = [row for row in ours if row.kind in ("ternary", "twin")]
    if not ours:
        return "This run has not written any result yet."
    if not trained:
        return f"{_many(len(ours), 'model')} scored on {_problems(ours)}."
    deeds = [deed for deed in (_reading(run), _practice(run)) if deed]
    scored = [row for row in ours if row.n_problems is not None]
    if scored:
        others = [row for row in ours if row not in trained]
        noun = "naive baseline" if all(row.kind == "naive" for row in others) else "other model"
        beside = f", beside {_many(len(others), noun)}" if others else ""
        deeds.append(f"scored on {_problems(scored)}{beside}")
    return f"{_subject(trained)} {_listed(deeds) or 'in training'}."


def _subject(trained: Sequence[Row]) -> str:
    size = next((row.parameters for row in trained if row.parameters is not None), None)
    of_size = "" if size is None else f" of {short_count(size)} parameters"
    kinds = {row.kind for row in trained}
    if kinds == {"ternary", "twin"}:
        return f"A language model with ternary weights{of_size} and its full-precision twin,"
    return f"A language model with {'ternary' if 'ternary' in kinds else 'full-precision'} weights{of_size},"


def _reading(run: Run) -> str:
    models = [mapping(facts) for facts in mapping(run.manifest.get("models")).values()]
    seen = [tokens for facts in models if (tokens := number(facts.get("tokens"))) is not None]
    sources = len(mapping(mapping(run.manifest.get("corpus")).get("sources")))
    tokens = max(seen, default=number(mapping(run.manifest.get("tokens")).get("train")))
    if tokens is None:
        return ""
    said = f"pre-trained on {short_count(tokens)} tokens of code"
    return said + (f" from {_many(sources, 'source')}" if sources else "")


def _practice(run: Run) -> str:
    learned = [mapping(facts) for facts in mapping(run.manifest.get("fine_tuning")).values()]
    problems = max((n for facts in learned if (n := number(facts.get("problems"))) is not None), default=None)
    return "" if not problems else f"fine-tuned on {_many(problems, 'problem')}"


def _problems(rows: Sequence[Row]) -> str:
    numbers = sorted({row.n_problems for row in rows if row.n_problems is not None})
    benchmarks = sorted({_NAMES.get(row.benchmark, row.benchmark) for row in rows if row.benchmark})
    spread = " to ".join(count(n) for n in dict.fromkeys((numbers[0], numbers[-1]))) if numbers else "no"
    noun = "problem" if numbers == [1] else "problems"
    return f"{spread} {noun}" + (f" of {_listed(benchmarks)}" if benchmarks else "")


def _many(n: float, noun: str) -> str:
    return f"{count(n)} {noun}{'' if n == 1 else 's'}"


def _listed(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)


def findings(run: Run, rows: Sequence[Row]) -> list[str]:
    """What may be read off the result table, each in one or two sentences; empty before there are results."""
    ternary, twin = _of_kind(rows, "ternary"), _of_kind(rows, "twin")
    if ternary is None:
        return []
    naive = [row for row in rows if row.kind == "naive" and row.benchmark == ternary.benchmark]
    found = (
        _held_out_finding(ternary, twin),
        _reference_finding(run, ternary),
        _accuracy_finding(ternary, twin),
        _naive_finding(ternary, naive),
    )
    return [sentence for sentence in found if sentence]


def _of_kind(rows: Sequence[Row], kind: str) -> Row | None:
    return next((row for row in rows if row.kind == kind), None)


def _held_out_finding(ternary: Row, twin: Row | None) -> str:
    ours, theirs = ternary.held_out_bits_per_byte, twin and twin.held_out_bits_per_byte
    if ours is None or not theirs:
        return ""
    difference = 100 * (ours / theirs - 1)
    compared = f"{abs(difference):.1f}\u00a0% {'more' if difference > 0 else 'less'} for ternary"
    return (
        f"On held-out code the ternary model needs {decimals(ours, 3)} bits per byte and its full-precision "
        f"twin {decimals(theirs, 3)}: {compared}."
    )


def _reference_finding(run: Run, ternary: Row) -> str:
    ours = ternary.held_out_bits_per_byte
    others = [pair for pair in reference_values(run) if pair[0] in ("unigram", "3-gram", "zlib", "xz")]
    if ours is None or not others:
        return ""
    beaten = [f"{name} ({decimals(value, 3)})" for name, value in others if value > ours]
    ahead = [f"{name} ({decimals(value, 3)})" for name, value in others if value <= ours]
    parts = [f"better than {_listed(beaten)}"] if beaten else []
    parts += [f"not better than {_listed(ahead)}"] if ahead else []
    return f"Among what needs no network, that is {', but '.join(parts)}."


def _overall(row: Row | None) -> Percent | None:
    accuracy = row.accuracy() if row else None
    return accuracy.average if accuracy else None


def _accuracy_finding(ternary: Row, twin: Row | None) -> str:
    ours, theirs = _overall(ternary), _overall(twin)
    if ours is None:
        return ""
    said = f"The ternary model passes {ours}\u00a0% of the tests of a problem on average"
    if theirs is None:
        return f"{said}."
    return f"{said}, the twin {theirs}\u00a0%. {_told_apart(ours, theirs)}"


def _told_apart(one: Percent, other: Percent) -> str:
    bounds = (one.low, one.high, other.low, other.high)
    if None in bounds:
        return "Without intervals, nothing can be said of that difference."
    apart = (one.low or 0) > (other.high or 0) or (other.low or 0) > (one.high or 0)
    return (
        "The 95\u00a0% intervals do not overlap."
        if apart
        else "The 95\u00a0% intervals overlap: this run does not tell the two apart."
    )


def _naive_finding(ternary: Row, naive: Sequence[Row]) -> str:
    ours = _overall(ternary)
    rivals = [(share.value, row.title) for row in naive if (share := _overall(row)) is not None]
    if ours is None or not rivals:
        return ""
    best, title = max(rivals)
    place = "above" if ours.value > best else "not above"
    return f"That is {place} the best answer without a model, {title} ({best:.2f}\u00a0%)."


def caveats(run: Run, rows: Sequence[Row]) -> list[str]:
    """What a reader must not conclude: the run's own notes first, then what its records imply."""
    notes = [plain(note) for note in items(run.manifest.get("notes"))]
    found = (_part_only(rows), _nothing_passed(rows), _one_sample(run), _comparers(run), _jail(run), _published(rows))
    return notes + [sentence for sentence in found if sentence]


def _part_only(rows: Sequence[Row]) -> str:
    parts = sorted(
        {
            (row.n_problems, row.problems_total)
            for row in rows
            if row.n_problems is not None and row.problems_total is not None and row.n_problems < row.problems_total
        }
    )
    if not parts:
        return ""
    said = _listed([f"{count(n)} of {count(total)} problems" for n, total in parts])
    return f"Scores are over {said}; the intervals say how far another choice of problems could move them."


def _nothing_passed(rows: Sequence[Row]) -> str:
    """A bootstrap over results that are all 0 knows no doubt; the rule of three does (Hanley 1983)."""
    sizes = [row.n_problems for row in rows if row.n_problems and (share := _overall(row)) and not share.value]
    if not sizes:
        return ""
    least = min(sizes)
    return (
        "Where nothing was passed the interval is [0.00, 0.00], since there is nothing to resample; over "
        f"{count(least)} problems a model that passes up to {300 / least:.1f}\u00a0% could look like this."
    )


def _one_sample(run: Run) -> str:
    drawn = {k for score in run.scores for k in mapping(score.get("pass_at_k"))}
    if not run.scores or drawn - {"1"}:
        return ""
    return "Each model answered each problem once; another seed gives other answers and other scores."


def _comparers(run: Run) -> str:
    if not run.scores:
        return ""
    return (
        "The APPS authors' comparison accepts outputs that are wrong (lines in another order, words repeated, "
        "numbers near by); the strict comparison does not. Published numbers were taken with the former."
    )


def isolation_levels(score: dict[str, Any]) -> list[str]:
    """The jails that a score's programs ran in."""
    return [one_line(level) for level in items(score.get("isolation"))]


def _jail(run: Run) -> str:
    levels = sorted({level for score in run.scores for level in isolation_levels(score)})
    weak = [level for level in levels if level != _FULL_JAIL]
    if not weak:
        return ""
    return f"Programs ran with the isolation level {_listed(weak)}, which is not the full jail."


def _published(rows: Sequence[Row]) -> str:
    if not any(row.published for row in rows):
        return ""
    return (
        "Rows marked “published, not run here” are others' numbers: other training data, other sizes, the "
        "whole APPS test set, the authors' checker. They give the scale; they are no contest."
    )
