"""What the peer scripts share: the shape of the model and of a batch as options, and a random Llama of that shape.

The defaults are the shapes that `npm run bench` uses for Paretune itself. torch and transformers are imported only where
they are used: llama.cpp's peer is measured without them.
"""

import argparse

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


def options_of(description, defaults):
    """Options --hidden, --layers, ... (whole numbers) with these defaults."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    for name, default in defaults.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=default)
    return parser.parse_args()


def parse(description, **more):
    """`options_of` the defaults and those in `more`; sets torch's threads and seed."""
    import torch

    options = options_of(description, {**DEFAULTS, **more})
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    return options


def random_llama(options):
    """A Llama with a tied head and random weights, float32."""
    from transformers import LlamaConfig, LlamaForCausalLM

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


def with_adapter(model, rank):
    """The model under a LoRA adapter of this rank on every linear layer, as peft makes it; rank 0 leaves it as it is."""
    if rank == 0:
        return model
    from peft import get_peft_model

    return get_peft_model(model, adapter_settings(rank))


def adapter_settings(rank):
    from peft import LoraConfig

    return LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")
