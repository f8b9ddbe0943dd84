"""What the simulated engine is: every quantity of the model, with its unit and where it comes from.

The defaults describe roughly an 8B model in 16 bits on one data-centre GPU.  They are rounded
from the arithmetic of such a model (2 x 8e9 operations and 16 GB of weights a token, 128 KiB of
keys and values a token with grouped-query attention), not fitted to a measurement.
"""

from typing import Self

from pydantic import Field, model_validator

from firsttoken.config import Model

__all__ = ["Parameters", "describe"]


class Parameters(Model):
    """Costs in seconds, capacities in tokens, sequences or blocks."""

    prefill_s_per_token: float = Field(
        default=60e-6,
        gt=0,
        description="Cost of one prompt token that is computed; 2 x 8e9 operations at 270 TFLOP/s.",
    )
    decode_base_s: float = Field(
        default=9e-3,
        ge=0,
        description="Cost of any step: reading the weights once (16 GB at 2 TB/s), and launching.",
    )
    decode_s_per_sequence: float = Field(
        default=50e-6,
        ge=0,
        description="Cost of one more sequence in a step: sampling, scheduling, output handling.",
    )
    decode_s_per_context_token: float = Field(
        default=50e-9,
        ge=0,
        description="Cost of attending to one token of context (128 KiB at 2.6 TB/s).",
    )
    block_size: int = Field(
        default=16, ge=1, le=1024, description="Tokens in a KV block; vLLM's default on CUDA."
    )
    kv_blocks: int = Field(
        default=4096,
        ge=2,
        description="KV blocks; the 65,536 tokens of the default are 8 GiB.",
    )
    max_num_seqs: int = Field(
        default=64, ge=1, le=4096, description="Sequences that run at once; vLLM's --max-num-seqs."
    )
    max_num_batched_tokens: int = Field(
        default=2048,
        ge=1,
        description="Tokens computed in a step; vLLM's --max-num-batched-tokens.  Longer prompts"
        " are computed in chunks of what the decoding sequences leave of it.",
    )
    max_model_len: int = Field(
        default=8192, ge=2, description="Tokens of prompt and answer together; --max-model-len."
    )
    prefix_caching: bool = Field(
        default=True, description="Reuse the blocks of a prompt's beginning that was seen before."
    )
    output_tokens_median: float = Field(
        default=128.0,
        ge=1,
        description="Median length of an answer that ends by itself (log-normal distribution).",
    )
    output_tokens_sigma: float = Field(
        default=0.6, ge=0, le=3, description="Standard deviation of the logarithm of that length."
    )

    @model_validator(mode="after")
    def _one_request_fits(self) -> Self:
        # A request that can never hold its blocks would be preempted for ever.  One block is held
        # back because the token that is sampled last needs no entry in the cache.
        if self.kv_blocks * self.block_size < self.max_model_len:
            raise ValueError(
                f"kv_blocks x block_size = {self.kv_blocks * self.block_size} tokens must hold one"
                f" request of max_model_len = {self.max_model_len} tokens"
            )
        if self.max_num_batched_tokens < self.max_num_seqs:
            raise ValueError("max_num_batched_tokens must be at least max_num_seqs")
        return self


def describe() -> str:
    """One line for each parameter, for people: name, default, meaning."""
    rows = []
    for name, field in Parameters.model_fields.items():
        default = str(field.default).lower() if field.default is True else field.default
        rows.append(f"  {f'{name}: {default}':<34} {field.description}")
    return "\n".join(rows)
