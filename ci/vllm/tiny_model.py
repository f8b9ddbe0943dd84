"""Make a model that a real engine serves in seconds: a Llama of 5 million random weights.

Usage: python ci/vllm/tiny_model.py FOLDER

The tokenizer is a byte-level BPE trained on this repository's own text, so nothing is downloaded.
What the model says has no sense; how long it takes, and what the engine reports of it, is real.
Runs in the engine's environment, which has torch, tokenizers and transformers.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, logging

__all__ = ["main"]

VOCABULARY = 4096
LAYERS = 4
WIDTH = 256
CONTEXT = 2048
END, TURN, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
TEXTS = ("*.md", "*.py", "*.yaml", "LICENSE")
LEFT_OUT = {"build", "node_modules", "out"}


def texts(root: Path) -> Iterator[str]:
    """The repository's own texts, in a fixed order; links and hidden folders are left out."""
    for path in sorted({path for pattern in TEXTS for path in root.rglob(pattern)}):
        parts = path.relative_to(root).parts
        if not any(part.startswith(".") or part in LEFT_OUT for part in parts):
            yield path.read_text(encoding="utf-8")


def write_tokenizer(root: Path, folder: Path) -> None:
    """Train a tokenizer of exactly ``VOCABULARY`` entries and write it as transformers reads it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[END, TURN, TURN_END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts(root), trainer)
    if tokenizer.get_vocab_size() != VOCABULARY:
        sys.exit(f"tiny_model: {root} has too little text for {VOCABULARY} tokens")
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": END,
        "pad_token": END,
        "additional_special_tokens": [TURN, TURN_END],
        "chat_template": CHAT_TEMPLATE,
        "model_max_length": CONTEXT,
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")


def write_model(folder: Path) -> None:
    """Write the configuration and the random weights, the same ones every time."""
    logging.disable_progress_bar()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=WIDTH // 64,
        num_key_value_heads=WIDTH // 128,
        max_position_embeddings=CONTEXT,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
    )
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder, safe_serialization=True)


def main() -> None:
    """Write the model into the folder that is named on the command line."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    write_tokenizer(Path(__file__).resolve().parents[2], folder)
    write_model(folder)


if __name__ == "__main__":
    main()
