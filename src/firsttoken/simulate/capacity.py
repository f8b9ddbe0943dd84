"""The throughput at which the simulated engine saturates, worked out from its parameters."""

from dataclasses import dataclass
from typing import Literal

from firsttoken.simulate.parameters import Parameters

__all__ = ["Capacity", "Limit", "capacity"]

Limit = Literal["max_num_seqs", "kv_blocks", "max_num_batched_tokens"]


@dataclass(frozen=True, slots=True)
class Capacity:
    """Steady state under more load than can be served."""

    requests_per_s: float
    output_tokens_per_s: float
    sequences: float
    step_s: float
    limited_by: Limit


def capacity(parameters: Parameters, prompt_tokens: int, output_tokens: int) -> Capacity:
    """Capacity for requests of one size whose prompts share nothing.

    With B sequences in a step and G output tokens a request, B/G requests end in a step, so that
    B/G prompts of P tokens are computed in it and B - B/G sequences decode over P + G/2 tokens of
    context on average.  B is the least of three limits: the sequences allowed; the blocks, each
    request holding P + G/2 tokens and half a block on average; and the token budget, which one
    request uses up at a rate of P/G + (G - 1)/G a step.  Near the limit of blocks, preemptions
    cost some of it.
    """
    p, g = prompt_tokens, output_tokens
    held = p + g / 2 + parameters.block_size / 2
    limits: dict[Limit, float] = {
        "max_num_seqs": float(parameters.max_num_seqs),
        "kv_blocks": parameters.kv_blocks * parameters.block_size / held,
        "max_num_batched_tokens": parameters.max_num_batched_tokens / (p / g + (g - 1) / g),
    }
    limit, sequences = min(limits.items(), key=lambda item: item[1])
    ended = sequences / g
    decoding = sequences - ended
    step = (
        parameters.decode_base_s
        + parameters.decode_s_per_sequence * decoding
        + parameters.decode_s_per_context_token * decoding * (p + g / 2)
        + parameters.prefill_s_per_token * ended * p
    )
    return Capacity(ended / step, sequences / step, sequences, step, limit)
