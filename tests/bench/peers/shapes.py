"""What the peer scripts share: the shape of the model and of a batch as options, and a random Llama of that shape.

The defaults are the shapes that `npm run bench` uses for Paretune itself.
"""

import argparse

import torch
from transformers import LlamaConfig, LlamaForCausalLM

DEFAULTS = {
    "hidden": 192,
    "layers": 6,
    "heads": 6,
    "kv": 3,
    "ff": 512,
    "vocab": 512,
    "prompts": 8,
    "group": 8,
    "prompt_len": 32,
    "new_tokens": 64,
    "steps": 6,
    "lora": 0,
    "threads": 2,
}
PAD, EOS = 0, 1


def parse(description, **more):
    """Options --hidden, --layers, ... (whole numbers) and those in `more`, with their defaults; sets torch's threads."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    for name, default in {**DEFAULTS, **more}.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=default)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    return options


def random_llama(options):
    """A Llama with a tied head and random weights, float32."""
    config = LlamaConfig(
        hidden_size=options.hidden,
        num_hidden_layers=options.layers,
        num_attention_heads=options.heads,
        num_key_value_heads=options.kv,
        intermediate_size=options.ff,
        vocab_size=options.vocab,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        pad_token_id=PAD,
        eos_token_id=EOS,
        bos_token_id=None,
    )
    return LlamaForCausalLM(config)


def parameters(model):
    return sum(p.numel() for p in model.parameters())
