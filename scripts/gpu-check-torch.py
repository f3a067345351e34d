"""The same numbers and speeds as gpu-check.ts, computed by torch on this machine's best device (CUDA, MPS, XPU, else the CPU).

Reads one JSON object from standard input: `model`, a folder of Hugging Face files; `rows` of `tokens` and the `trained`
positions, and the same of `family`, whose gradient is added; `learningRate`; `continued`, greedy tokens wanted after each
row; `speedRows` of 64 tokens. Writes as float32 into `out` the gradient and the change of one AdamW step, all weights one after
the other in the order of `names`, then the logits of the first row that predict a token, and prints one JSON line. Its products
are whole float32 (no TF32), as ours are meant to be.
"""

import json
import sys
import time

import numpy as np
import torch
from transformers import AutoModelForCausalLM


def best_device():
    if torch.cuda.is_available():
        return "cuda", torch.cuda.get_device_name()
    if torch.backends.mps.is_available():
        return "mps", "Apple GPU"
    if hasattr(torch, "xpu") and torch.xpu.is_available():
        return "xpu", torch.xpu.get_device_name()
    return "cpu", "CPU"


def logprobs_of(model, rows, device):
    """Log-probabilities of each row's trained tokens: rows are run one by one, so that nothing is padded."""
    found = []
    for row in rows:
        ids = torch.tensor([row["tokens"]], device=device)
        logits = model(input_ids=ids, use_cache=False).logits[0].float()
        at = torch.tensor([t - 1 for t in row["trained"]], device=device)
        targets = ids[0, torch.tensor(row["trained"], device=device)]
        found.append(torch.log_softmax(logits[at], -1).gather(1, targets[:, None])[:, 0])
    return found


def train(model, optimizer, rows, device):
    """One update on the mean over all trained tokens, the gradient clipped to norm 1; what it computed before that."""
    optimizer.zero_grad(set_to_none=True)
    logprobs = logprobs_of(model, rows, device)
    loss = -torch.cat(logprobs).mean()
    loss.backward()
    return loss, torch.cat(logprobs)


def greedy(model, prompt, count, device):
    ids, cache, tokens = torch.tensor([prompt], device=device), None, []
    for _ in range(count):
        out = model(input_ids=ids, past_key_values=cache, use_cache=True)
        cache, ids = out.past_key_values, out.logits[:, -1].argmax(-1, keepdim=True)
        tokens.append(ids.item())
    return tokens


def finish(device):
    if device == "cuda":
        torch.cuda.synchronize()
    elif device == "mps":
        torch.mps.synchronize()
    elif device == "xpu":
        torch.xpu.synchronize()


def seconds(device, work):
    finish(device)
    start = time.perf_counter()
    work()
    finish(device)
    return time.perf_counter() - start


def speeds(model, optimizer, rows, device):
    """Tokens a second of the second time: an update on rows of equal length, and half of each row sampled after the other."""
    ids = torch.tensor(rows, device=device)
    half = ids.shape[1] // 2

    def update():
        optimizer.zero_grad(set_to_none=True)
        logits = model(input_ids=ids, use_cache=False).logits[:, half - 1 : -1]
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, half:].flatten()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    @torch.no_grad()
    def decode():
        fed, cache = ids[:, :half], None
        for _ in range(half):
            out = model(input_ids=fed, past_key_values=cache, use_cache=True, logits_to_keep=1)
            cache = out.past_key_values
            fed = torch.multinomial(torch.softmax(out.logits[:, -1].float(), -1), 1)

    first = seconds(device, update)
    second = seconds(device, update)
    seconds(device, decode)
    return {
        "trainTokens": round(ids.numel() / second),
        "decodeTokens": round(ids.shape[0] * half / seconds(device, decode)),
        "firstUpdateSeconds": round(first, 2),
    }


def main():
    asked = json.load(sys.stdin)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    if asked.get("threads"):
        torch.set_num_threads(asked["threads"])
    device, name = best_device()
    model = AutoModelForCausalLM.from_pretrained(asked["model"], dtype=torch.float32).to(device).eval()
    weights = dict(model.named_parameters())
    ours = [weights[name] for name in asked["names"]]
    optimizer = torch.optim.AdamW(ours, lr=asked["learningRate"], betas=(0.9, 0.95), eps=1e-8, weight_decay=0.0)
    flat = lambda tensors: torch.cat([tensor.detach().cpu().flatten() for tensor in tensors]).numpy()

    with torch.no_grad():
        tokens = [greedy(model, row["tokens"], asked["continued"], device) for row in asked["rows"]]
        first = torch.tensor([asked["rows"][0]["tokens"]], device=device)
        logits = flat([model(input_ids=first, use_cache=False).logits[:, :-1]])
    family_loss, family_logprobs = train(model, optimizer, asked["family"], device)
    gradient = flat([weight.grad for weight in ours])
    loss, logprobs = train(model, optimizer, asked["rows"], device)
    gradient = gradient + flat([weight.grad for weight in ours])
    before = flat(ours)
    torch.nn.utils.clip_grad_norm_(ours, 1.0)
    optimizer.step()
    np.concatenate([gradient, flat(ours) - before, logits]).astype("<f4").tofile(asked["out"])
    report = {
        "torch": torch.__version__,
        "device": name,
        "loss": loss.item() + family_loss.item(),
        "logprobs": logprobs.tolist() + family_logprobs.tolist(),
        "tokens": [token for row in tokens for token in row],
        "speed": speeds(model, optimizer, asked["speedRows"], device),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
