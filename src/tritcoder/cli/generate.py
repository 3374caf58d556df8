"""`tritcoder generate`: words in, code out."""

import json
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tritcoder.records import Completion, Problem, Prompt, Sampling


def generate(
    prompt: str,
    /,
    *,
    model: str = "runs/demo",
    samples: Annotated[int, Parameter(name=["--samples", "-n"])] = 1,
    temperature: float = 0.6,
    top_p: float = 0.95,
    top_k: int = 0,
    min_p: float = 0.0,
    repetition_penalty: float = 1.0,
    seed: int = 0,
    max_tokens: int = 256,
    stop: tuple[str, ...] = (),
    starter_code: str = "",
    code: bool = False,
    suffix: str = "",
    json_: Annotated[bool, Parameter(name="--json")] = False,
) -> None:
    r"""Write code for a problem in words.

    Args:
        prompt: the problem, or the path of a file that holds it, or - for standard input.
        model: a run or model directory, a GGUF file, or a rival such as naive:retrieval, hf:PATH, gemini:NAME.
        samples: how many answers.
        temperature: 0 takes the likeliest token always.
        top_p: sample among the fewest tokens whose probabilities reach this sum.
        top_k: sample among this many likeliest tokens; 0 for all.
        min_p: leave out tokens with less than this share of the likeliest one's probability.
        repetition_penalty: above 1 makes tokens that stand in the text already less likely.
        seed: same seed, same answer.
        max_tokens: length of an answer at the most.
        stop: end before this string; may be given several times.
        starter_code: the first line of a function to write, as call-based problems give it; \n is a new line.
        code: the prompt is the beginning of some code, which is continued.
        suffix: with --code: the code that follows the gap to be filled.
        json_: print one JSON object an answer instead of text as it is written.
    """
    from tritcoder.errors import AskedWronglyError
    from tritcoder.experiment.opening import open_generator
    from tritcoder.generate import require_prompt

    if samples < 1:
        raise AskedWronglyError(f"--samples must be at least 1, found {samples}")
    text = require_prompt(_read(prompt))
    sampling = Sampling(
        max_tokens,
        temperature,
        top_p,
        top_k,
        seed,
        tuple(s.replace("\\n", "\n") for s in stop),
        min_p=min_p,
        repetition_penalty=repetition_penalty,
    )
    starter = starter_code.replace("\\n", "\n")
    prompts = [
        Prompt(text, "code" if code else "problem", suffix, starter, bool(starter), "prompt", sample)
        for sample in range(samples)
    ]
    generator = open_generator(model, _training_problems() if model.startswith("naive:") else [])
    live = samples == 1 and not json_
    for completion in generator.generate(prompts, sampling, _stream if live else None):
        _show(completion, json_, live, samples)


def _training_problems() -> list[Problem]:
    """What the naive rivals learn from; its import costs a start that needs it not 30 ms."""
    from tritcoder.data.apps import read_problems
    from tritcoder.data.config import ProblemsConfig

    return read_problems(ProblemsConfig(), "train")


def _read(prompt: str) -> str:
    if prompt == "/dev/stdin":  # what a lone hyphen stands for
        return sys.stdin.buffer.read().decode(errors="replace")
    try:
        return Path(prompt).read_text(encoding="utf-8", errors="replace") if Path(prompt).is_file() else prompt
    except OSError:  # too long for a file's name, or a file that we may not read
        return prompt


def _stream(_: Prompt, piece: str) -> None:
    sys.stdout.write(piece)
    sys.stdout.flush()


def _show(completion: Completion, as_json: bool, streamed: bool, samples: int) -> None:
    from tritcoder.config import plain
    from tritcoder.errors import AccessError

    if completion.finish_reason == "error":
        raise AccessError(f"{completion.model} gave no answer: {completion.error}")
    if as_json:
        print(json.dumps(plain(completion), ensure_ascii=False))
    elif not streamed:
        print(f"# sample {completion.sample + 1} of {samples}\n{completion.text}")
    elif not completion.text.endswith("\n"):
        print()
    rate = completion.n_tokens / completion.seconds if completion.seconds else 0.0
    told = f"{completion.n_tokens} tokens, {rate:.0f} tokens/s, ended by {completion.finish_reason}"
    told += f": {completion.error}" if completion.error else ""
    print(f"[{completion.model}: {told}]", file=sys.stderr)
