r"""How a prompt becomes token ids: the one place that knows.

    problem   <|problem|> question [starter code] <|standard_input|> or <|call_based|> <|answer|> ANSWER <|endoftext|>
    code      <|endoftext|> prefix CONTINUATION
    infill    <|endoftext|> <|fim_prefix|> prefix <|fim_suffix|> suffix <|fim_middle|> MIDDLE <|endoftext|>

The infilling order (prefix, suffix, middle) is that of Bavarian et al. 2022, arXiv:2207.14255.
"""

from tritcoder.errors import PromptError
from tritcoder.records import Prompt
from tritcoder.tokenizer.bpe import (
    ANSWER,
    CALL_BASED,
    END,
    FIM_MIDDLE,
    FIM_PREFIX,
    FIM_SUFFIX,
    PROBLEM,
    STANDARD_INPUT,
    Tokenizer,
)


def prompt_ids(tokenizer: Tokenizer, prompt: Prompt, limit: int) -> list[int]:
    """Token ids of a prompt, at most `limit` of them.

    A problem that is too long loses its middle (the task stands at the beginning, the examples at the end); code
    loses what is farthest from where writing goes on.

    Raises:
        PromptError: the prompt is empty, or the limit leaves no room for it.
    """
    if prompt.kind == "problem" and not prompt.text.strip():
        raise PromptError("the prompt is empty", "say in words what the program should do")
    if limit < 8:
        raise PromptError(f"{limit} tokens leave no room for a prompt", "ask for fewer tokens (--max-tokens)")
    if prompt.kind == "problem":
        return _problem_ids(tokenizer, prompt, limit)
    end = tokenizer.id_of(END)
    if not prompt.suffix:
        return [end, *tokenizer.encode(prompt.text)[-(limit - 1) :]]
    return _infill_ids(tokenizer, prompt, limit)


def _problem_ids(tokenizer: Tokenizer, prompt: Prompt, limit: int) -> list[int]:
    words = prompt.text.strip()
    if prompt.starter_code.strip():
        words = f"{words}\n{prompt.starter_code.rstrip()}"
    style = CALL_BASED if prompt.call_based else STANDARD_INPUT
    body = shorten(tokenizer.encode(words), limit - 3)
    return [tokenizer.id_of(PROBLEM), *body, tokenizer.id_of(style), tokenizer.id_of(ANSWER)]


def _infill_ids(tokenizer: Tokenizer, prompt: Prompt, limit: int) -> list[int]:
    room = limit - 4
    prefix, suffix = tokenizer.encode(prompt.text), tokenizer.encode(prompt.suffix)
    suffix = suffix[: max(room - len(prefix), room // 3)]
    prefix = prefix[max(0, len(prefix) - (room - len(suffix))) :]
    marks = [tokenizer.id_of(token) for token in (END, FIM_PREFIX, FIM_SUFFIX, FIM_MIDDLE)]
    return [marks[0], marks[1], *prefix, marks[2], *suffix, marks[3]]


def answer_ids(tokenizer: Tokenizer, answer: str) -> list[int]:
    """Token ids of an answer, with the end that the model learns to write."""
    return [*tokenizer.encode(answer.strip("\n") + "\n"), tokenizer.end_id]


def shorten(ids: list[int], limit: int) -> list[int]:
    """At most `limit` ids: the first two thirds of the room from the beginning, the rest from the end."""
    if len(ids) <= limit:
        return ids
    tail = limit // 3
    return ids[: limit - tail] + (ids[-tail:] if tail else [])


CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}"
    + f"{PROBLEM}{{{{ message['content'] | trim }}}}{STANDARD_INPUT}{ANSWER}"
    + "{% elif message['role'] == 'assistant' %}"
    + f"{{{{ message['content'] }}}}{END}"
    + "{% endif %}{% endfor %}"
)
"""The same for Hugging Face's `apply_chat_template`: a user's message is a problem, the reply its answer."""
