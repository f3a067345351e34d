"""Peer: the training step of torch, eager, on the CPU: of all parameters, or of an adapter by peft (--lora RANK).

A step is forward, backward, clipping to norm 1 and a fused AdamW update, on prompts x group sequences of prompt-len +
new-tokens tokens, of which the last new-tokens are targets; logits are made only where they are needed. Prints one JSON
line, seconds; the first two steps warm up and are not counted.
"""

import json
import resource
import time
from statistics import median

import torch
from torch.nn.functional import cross_entropy

from shapes import parameters, parse, random_llama, with_adapter

WARM_UP = 2


def main():
    options = parse(__doc__, steps=12)
    model = with_adapter(random_llama(options), options.lora).train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, fused=True)
    sequences = options.prompts * options.group
    ids = torch.randint(2, options.vocab, (sequences, options.prompt_len + options.new_tokens))
    targets = ids[:, options.prompt_len :]
    times, losses = [], []
    for _ in range(WARM_UP + options.steps):
        start = time.perf_counter()
        # one position more: the last prompt token predicts the first target
        logits = model(input_ids=ids, use_cache=False, logits_to_keep=options.new_tokens + 1).logits[:, :-1]
        loss = cross_entropy(logits.flatten(0, 1), targets.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        times.append(time.perf_counter() - start)
    counted = times[WARM_UP:]
    report = {
        "peer": f"torch {torch.__version__}" + (" + peft" if options.lora else ""),
        "step_s": round(median(counted), 4),
        "fastest_s": round(min(counted), 4),
        "tokens_per_s": round(ids.numel() / median(counted), 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "first_loss": round(losses[0], 4),
        "last_loss": round(losses[-1], 4),
        "params": parameters(model),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
