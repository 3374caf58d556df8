"""Learning rate and weight decay as functions of the step."""

from tritcoder.train.config import TrainConfig


def lr_share(config: TrainConfig, step: int) -> float:
    """The learning rate of a step (0-based) as a share of its peak.

    wsd (Hu et al. 2024, arXiv:2404.06395): rise over `warmup`, stay at 1, fall linearly over `decay` to `final_lr`.
    two_stage (The Era of 1-bit LLMs: Training Tips, 2024, section 3.2): fall linearly from 1 towards final_lr
    over all steps, but from half-way on along the line that starts at `second_stage`.
    """
    warmup_steps = max(1, round(config.warmup * config.steps))
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    if config.schedule == "two_stage":
        done = step / config.steps
        peak = 1.0 if done < 0.5 else config.second_stage
        return config.final_lr + (peak - config.final_lr) * (1.0 - done)
    decay_steps = round(config.decay * config.steps)
    left = config.steps - step
    if left > decay_steps:
        return 1.0
    return config.final_lr + (1.0 - config.final_lr) * left / (decay_steps + 1)


def weight_decay(config: TrainConfig, step: int) -> float:
    """Weight decay of a step: the configured one in the first half, 0 in the second.

    Decay on latent weights lowers their confidence and flips trits late in training (Training Tips, section 3.2).
    """
    return config.weight_decay if step < config.steps / 2 else 0.0
