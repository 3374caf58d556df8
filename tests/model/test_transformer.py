"""Laws of the network: causality, packing, caching, one function for one token or many."""

import pytest
import torch

from tritcoder.errors import ConfigError
from tritcoder.model.torch_model import TorchLanguageModel
from tritcoder.model.transformer import Transformer
from tritcoder.ternary.shape import ModelConfig

TOLERANCE = 2e-3
"""One rounding of an activation to another int8 level moves a logit by about this."""

CONFIG = ModelConfig(vocab_size=300, dim=256, n_layers=2, n_heads=4, n_kv_heads=2, hidden_dim=256, max_seq_len=64)


@pytest.fixture(scope="module")
def model() -> Transformer:
    return Transformer(CONFIG).initialise(seed=0).eval()


def ids_of(rows: int, length: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, CONFIG.vocab_size, (rows, length), generator=torch.Generator().manual_seed(seed))


def test_parameter_count_is_the_counted_one(model: Transformer) -> None:
    assert CONFIG.parameters == sum(p.numel() for p in model.parameters())
    matrices = sum(p.numel() for n, p in model.named_parameters() if p.dim() == 2 and "embedding" not in n)
    assert CONFIG.ternary_parameters == matrices


def test_a_token_does_not_see_what_follows(model: Transformer) -> None:
    ids = ids_of(1, 20)
    changed = ids.clone()
    changed[0, 12:] = (changed[0, 12:] + 1) % CONFIG.vocab_size
    with torch.no_grad():
        assert torch.equal(model(ids)[:, :12], model(changed)[:, :12])
        assert not torch.equal(model(ids)[:, 12:], model(changed)[:, 12:])


def test_packed_examples_do_not_see_each_other(model: Transformer) -> None:
    first, second = ids_of(1, 10, 1), ids_of(1, 14, 2)
    packed = torch.cat([first, second], dim=1)
    segments = torch.tensor([[1] * 10 + [2] * 14])
    changed = packed.clone()
    changed[0, :10] = (changed[0, :10] + 7) % CONFIG.vocab_size
    with torch.no_grad():
        assert torch.equal(model(packed, segments)[:, 10:], model(changed, segments)[:, 10:])
        alone = model(first)
        torch.testing.assert_close(model(packed, segments)[:, :10], alone, atol=TOLERANCE, rtol=0)


def test_decoding_with_a_cache_equals_reading_at_once(model: Transformer) -> None:
    prompts = [ids_of(1, n, n)[0].tolist() for n in (3, 9, 6)]
    longer = ids_of(3, 4, 99)
    language_model = TorchLanguageModel(Transformer(CONFIG).initialise(seed=0), "test")
    decoding = language_model.start(prompts)
    for column in range(4):
        decoding.append(longer[:, column].numpy())
    with torch.no_grad():
        for row, prompt in enumerate(prompts):
            whole = model(torch.tensor([prompt + longer[row].tolist()]))[0, -1]
            torch.testing.assert_close(torch.from_numpy(decoding.logits[row]), whole, atol=TOLERANCE, rtol=0)


def test_rows_that_leave_a_batch_do_not_disturb_the_others() -> None:
    language_model = TorchLanguageModel(Transformer(CONFIG).initialise(seed=0), "test")
    prompts = [ids_of(1, n, n)[0].tolist() for n in (5, 8, 2)]
    decoding = language_model.start(prompts)
    decoding.keep([2, 0])
    alone = [language_model.start([prompts[2]]).logits[0], language_model.start([prompts[0]]).logits[0]]
    for found, expected in zip(decoding.logits, alone, strict=True):
        torch.testing.assert_close(torch.from_numpy(found), torch.from_numpy(expected), atol=TOLERANCE, rtol=0)


def test_log_probs_are_those_of_the_logits(model: Transformer) -> None:
    ids = ids_of(2, 11)
    scores = TorchLanguageModel(Transformer(CONFIG).initialise(seed=0), "test").log_probs(ids.tolist())
    with torch.no_grad():
        expected = model(ids).log_softmax(-1)
    for row in range(2):
        assert scores[row][0] == 0
        for t in range(1, 11):
            assert abs(float(scores[row][t]) - float(expected[row, t - 1, ids[row, t]])) < TOLERANCE


def test_twin_starts_from_the_same_weights() -> None:
    from dataclasses import replace

    twin = Transformer(replace(CONFIG, quantization="none")).initialise(seed=0)
    ours = Transformer(CONFIG).initialise(seed=0)
    for (name, a), (_, b) in zip(ours.named_parameters(), twin.named_parameters(), strict=True):
        assert torch.equal(a, b), name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dim": 300}, "multiple of 256"),
        ({"hidden_dim": 700}, "multiple of 256"),
        ({"n_heads": 3}, "must divide"),
        ({"n_layers": 0}, "at least 1"),
    ],
)
def test_impossible_shapes_are_refused(changes: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ModelConfig(**changes)  # type: ignore[arg-type]
