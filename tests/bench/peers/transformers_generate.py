"""Peer: sampling with transformers' generate on the CPU, prompts x group sequences in one batch.

Every sequence has prompt-len given tokens and gets exactly new-tokens sampled ones (T = 1, no end token, key-value
cache). Prints one JSON line: sampled tokens a second, the prompt's time included; median of steps rounds after a
warm-up.
"""

import json
import resource
import time
from statistics import median

import torch
import transformers
from transformers import GenerationConfig

from shapes import PAD, parse, random_llama


def main():
    options = parse(__doc__, steps=5)
    model = random_llama(options).eval()
    settings = GenerationConfig(
        do_sample=True, temperature=1.0, top_k=0, max_new_tokens=options.new_tokens, pad_token_id=PAD, eos_token_id=None
    )
    model.generation_config = settings
    batch = options.prompts * options.group
    ids = torch.randint(2, options.vocab, (batch, options.prompt_len))
    times = []
    for _ in range(options.steps + 1):
        start = time.perf_counter()
        result = model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=settings)
        times.append(time.perf_counter() - start)
    assert result.shape == (batch, options.prompt_len + options.new_tokens), result.shape
    tokens = batch * options.new_tokens
    report = {
        "peer": f"transformers {transformers.__version__}",
        "tokens_per_s": round(tokens / median(times[1:]), 1),
        "best_tokens_per_s": round(tokens / min(times[1:]), 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
