"""How a problem is put to a rival, and what every rival does with stop strings and seeds."""

import hashlib
from collections.abc import Sequence

from tritcoder.errors import PromptError
from tritcoder.records import Prompt, Sampling

INSTRUCTION = (
    "Solve this programming problem in Python 3. Use the standard library only. "
    "Answer with one complete program in one ```python code block, and with nothing else."
)
STANDARD_INPUT = "The program reads its input from standard input and prints its answer to standard output."
CALL_BASED = "The tests call the function below. Keep its name and its parameters; do not read input, do not print."
CONTINUE = (
    "Continue this Python code. Answer with what comes next in one ```python code block, "
    "without repeating what is there already, and with nothing else."
)


def instruction(prompt: Prompt) -> str:
    """The whole message for a model that follows instructions; the wording is fixed, so that runs compare.

    Raises:
        PromptError: the prompt is empty, or a gap is to be filled.
    """
    _check(prompt)
    if prompt.kind == "message":
        return prompt.text
    if prompt.kind == "code":
        return f"{CONTINUE}\n\n```python\n{prompt.text}\n```\n"
    parts = [INSTRUCTION, CALL_BASED if prompt.call_based else STANDARD_INPUT, prompt.text.strip()]
    if prompt.starter_code.strip():
        parts.append(f"```python\n{prompt.starter_code.strip()}\n```")
    return "\n\n".join(parts) + "\n"


def apps_prompt(prompt: Prompt) -> str:
    r"""The text that the APPS authors give their GPT-2 and GPT-Neo checkpoints; code is given as it stands.

    \nQUESTION:\n{question}[\n{starter code}]\nUse Standard Input format|Use Call-Based format\nANSWER:\n

    It is the form that their published numbers were generated with. Their training data has one more line break
    before `Use` and one after that line; we follow the generator.

    Raises:
        PromptError: the prompt is empty, or a gap is to be filled.

    Source: hendrycks/apps, `generate_prompt` in eval/generate_gpt_codes.py (training: APPSBaseDataset.py).
    """
    _check(prompt)
    if prompt.kind != "problem":
        return prompt.text
    starter = f"\n{prompt.starter_code}" if prompt.starter_code else ""
    style = "Call-Based" if prompt.call_based else "Standard Input"
    return f"\nQUESTION:\n{prompt.text}{starter}\nUse {style} format\nANSWER:\n"


def _check(prompt: Prompt) -> None:
    if not prompt.text.strip():
        raise PromptError("the prompt is empty", "say in words what the program should do")
    if prompt.suffix:
        raise PromptError(
            "a rival cannot fill a gap in code", "use a model directory for --suffix, or leave the suffix out"
        )


def seed_of(sampling: Sampling, prompt: Prompt) -> int:
    """31 bits that depend on the seed, the task and the sample alone."""
    key = f"{sampling.seed}/{prompt.task_id}/{prompt.sample}".encode(errors="replace")
    return int.from_bytes(hashlib.sha256(key).digest()[:4], "little") >> 1


def cut_at_stop(text: str, stops: Sequence[str]) -> str:
    """The text before the first stop string."""
    return text[: min((place for stop in stops if (place := text.find(stop)) >= 0), default=len(text))]


def undecided(text: str, stops: Sequence[str]) -> int:
    """How many last characters may yet change: half of a character, or the beginning of a stop string."""
    half = len(text) - len(text.rstrip("\ufffd"))
    starts = (size for stop in stops for size in range(1, len(stop)) if text.endswith(stop[:size]))
    return max(half, max(starts, default=0))


_TIDIED = (" .", " ?", " !", " ,", " ' ", " n't", " 'm", " 's", " 've", " 're")


def authors_text(text: str) -> str:
    """The answer as the APPS authors' script kept it; their published rows were scored on such texts.

    It ends before a second `ANSWER:` line. Spaces are taken away as their tokenizer's `decode` did by default, and it
    was made for prose: `a != b` becomes `a!= b`, but `sep = ' '` becomes `sep =''` as well.

    Source: hendrycks/apps, eval/generate_gpt_codes.py; transformers, `clean_up_tokenization`.
    """
    for pattern in _TIDIED:
        text = text.replace(pattern, pattern.strip())
    return cut_at_stop(text, ("ANSWER:\n",)).replace("<|endoftext|>", "")
