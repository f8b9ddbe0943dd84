"""The labels of ``vllm:cache_config_info``: the fields of vLLM 0.32's cache configuration."""

from firsttoken.simulate.parameters import Parameters

__all__ = ["cache_config"]

# What a default configuration shows; the rest follows from the parameters.
_DEFAULTS = {
    "user_specified_block_size": "False",
    "kv_cache_layout": "None",
    "prefix_match_unit": "None",
    "gpu_memory_utilization": "0.92",
    "cache_dtype": "auto",
    "is_attention_free": "False",
    "num_gpu_blocks_override": "None",
    "sliding_window": "None",
    "prefix_caching_hash_algo": "sha256",
    "prefix_cache_retention_interval": "0",
    "kv_cache_dtype_skip_layers": "[]",
    "mamba_page_size_padded": "None",
    "skip_page_size_padded": "None",
    "mamba_block_size": "None",
    "mamba_cache_dtype": "auto",
    "mamba_ssm_cache_dtype": "auto",
    "mamba_cache_mode": "none",
    "enable_mamba_shared_prefix_checkpoint": "False",
    "replayssm_buffer_len": "16",
    "use_replayssm": "False",
    "use_kda_recoverssm": "False",
    "num_cpu_blocks": "None",
    "hash_block_size": "None",
    "cache_hit_alignment_tokens": "None",
    "kv_sharing_fast_prefill": "False",
    "swa_bounded_replay": "True",
    "kv_cache_memory_bytes": "None",
    "kv_offloading_size": "None",
    "kv_offloading_backend": "native",
    "_block_size_resolved": "True",
}


def cache_config(parameters: Parameters) -> dict[str, str]:
    """Label names and values, without ``engine``."""
    tokens = parameters.kv_blocks * parameters.block_size
    return _DEFAULTS | {
        "block_size": str(parameters.block_size),
        "effective_attention_block_size": str(parameters.block_size),
        "num_gpu_blocks": str(parameters.kv_blocks),
        "kv_cache_size_tokens": str(tokens),
        "kv_cache_max_concurrency": str(tokens / parameters.max_model_len),
        "enable_prefix_caching": str(parameters.prefix_caching),
    }
