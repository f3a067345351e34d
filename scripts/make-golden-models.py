"""Makes golden folders of small random models: what transformers, PEFT and torch compute with them.

    .peers/bin/python scripts/make-golden-models.py [FAMILY ...]     into tests/fixtures/golden/models (make-peers.sh)

Each holds the model, golden.json with golden.safetensors (logits, greedy tokens, log-probabilities and entropies at two
temperatures, a masked loss), grads.safetensors (its gradient), and lora/: an adapter, three AdamW steps on it, and the logits
before, merged and after. float64_check says how far float32 is from float64. tests/golden/models.test.ts compares with all.
"""

import copy
import json
import sys
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import (
    Gemma2Config, Gemma2ForCausalLM, Gemma3ForCausalLM, Gemma3TextConfig, MistralConfig, MistralForCausalLM, Olmo2Config, Olmo2ForCausalLM, Phi3Config, Phi3ForCausalLM, SmolLM3Config, SmolLM3ForCausalLM,
)  # fmt: skip

OUT = Path(__file__).parent.parent / "tests" / "fixtures" / "golden" / "models"
VOCABULARY = 160
SIZES = dict(
    vocab_size=VOCABULARY, hidden_size=48, intermediate_size=80, num_attention_heads=4, num_key_value_heads=2,
    max_position_embeddings=512, bos_token_id=1, eos_token_id=2, pad_token_id=0, attn_implementation="eager",
)  # fmt: skip
FAMILIES = {
    "mistral": lambda: MistralForCausalLM(MistralConfig(**SIZES, num_hidden_layers=2, head_dim=20, sliding_window=9)),
    "smollm3": lambda: SmolLM3ForCausalLM(
        SmolLM3Config(**SIZES, num_hidden_layers=3, no_rope_layers=[1, 0, 1], tie_word_embeddings=True)
    ),
    "olmo2": lambda: Olmo2ForCausalLM(Olmo2Config(**SIZES, num_hidden_layers=2)),
    # a window shorter than the sequences; three quarters of each head turned, by LongRoPE's short factors
    "phi3": lambda: Phi3ForCausalLM(Phi3Config(**{**SIZES, "hidden_size": 64}, num_hidden_layers=2, sliding_window=9,
        original_max_position_embeddings=128, rope_parameters=dict(rope_type="longrope", rope_theta=10000.0, partial_rotary_factor=0.75,
        short_factor=[1.0, 1.05, 1.1, 1.3, 1.6, 2.0], long_factor=[1.0, 1.5, 2.0, 3.0, 4.0, 4.0]))),
    # caps low enough to bend the numbers, scores divided by another number than the head size, every other layer with a window
    "gemma2": lambda: Gemma2ForCausalLM(Gemma2Config(**SIZES, num_hidden_layers=3, head_dim=20, query_pre_attn_scalar=28,
        attn_logit_softcapping=3.0, final_logit_softcapping=12.0, sliding_window=9)),
    # stretched angles in the layer that sees everything, a base of their own in those with a window
    "gemma3": lambda: Gemma3ForCausalLM(Gemma3TextConfig(**SIZES, num_hidden_layers=3, head_dim=20, query_pre_attn_scalar=28,
        sliding_window=9, layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        rope_parameters=dict(full_attention=dict(rope_type="linear", factor=4.0, rope_theta=50000.0),
            sliding_attention=dict(rope_type="default", rope_theta=500.0)))),
}  # fmt: skip
TARGETS = ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]
FUSED = ["down_proj", "gate_up_proj", "o_proj", "qkv_proj"]
LR, BETAS, EPS, DECAY, MAX_NORM, RANK, ALPHA = 0.01, (0.9, 0.999), 1e-8, 0.01, 1.0, 2, 4
LENGTHS, PROMPTS, LONG = [18, 13, 21], [8, 6, 10], 100


def batch_of(generator):
    ids = torch.randint(3, VOCABULARY, (len(LENGTHS), max(LENGTHS)), generator=generator)
    mask = torch.zeros_like(ids)
    trained = torch.zeros_like(ids)
    for row, (length, prompt) in enumerate(zip(LENGTHS, PROMPTS)):
        ids[row, length:] = 0
        mask[row, :length] = 1
        trained[row, prompt:length] = 1
    trained[0, 12] = 0  # a gap, as where a tool's answer stands
    return ids, mask, trained


def all_logits(model, ids):
    return torch.cat([model(ids[row : row + 1, :length]).logits[0] for row, length in enumerate(LENGTHS)])


def loss_of(model, ids, mask, trained):
    logp = torch.log_softmax(model(ids, attention_mask=mask).logits[:, :-1], -1)
    picked = logp.gather(-1, ids[:, 1:, None])[..., 0]
    return -(picked * trained[:, 1:]).sum() / trained[:, 1:].sum()


def norm_of(tensors):
    return torch.sqrt(sum((tensor**2).sum() for tensor in tensors)).item()


def greedy(model, prompt, count):
    ids = prompt[None]
    for _ in range(count):
        ids = torch.cat([ids, model(ids).logits[:, -1:].argmax(-1)], 1)
    return ids[0, len(prompt) :].tolist()


def completion(logits, ids, start, end):
    """Log-probabilities and entropies of tokens start..end of one sequence, whose logits are [T, V]."""
    result = {}
    for temperature in (1, 0.7):
        logp = torch.log_softmax(logits[start - 1 : end - 1] / temperature, -1)
        result[f"logp_t{temperature}"] = logp.gather(-1, ids[start:end, None])[:, 0].tolist()
        result[f"entropy_t{temperature}"] = (-(logp.exp() * logp).sum(-1)).tolist()
    return result


def targets_of(model):
    return FUSED if any("qkv_proj" in name for name, _ in model.named_modules()) else TARGETS


def adapted(base, folder):
    """The base with a random adapter, saved where a folder is given."""
    torch.manual_seed(5)
    targets = targets_of(base)
    model = get_peft_model(base, LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=targets, task_type="CAUSAL_LM"))
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = torch.randn(parameter.shape, dtype=torch.float64).to(parameter.dtype) * 0.1
    if folder is not None:
        model.save_pretrained(folder)
        config = json.loads((folder / "adapter_config.json").read_text())
        config["base_model_name_or_path"] = ".."
        config["target_modules"] = targets
        (folder / "adapter_config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
        (folder / "README.md").unlink(missing_ok=True)
    return model


def merged_logits(model, ids):
    return all_logits(copy.deepcopy(model).merge_and_unload(), ids)


def everything(base, data, folder=None):
    """All numbers of a model in its own precision, as tensors and as lists."""
    ids, mask, trained = data
    tensors, steps, lists = {}, {}, {}
    with torch.no_grad():
        tensors["logits"] = all_logits(base, ids)
    loss = loss_of(base, ids, mask, trained)
    loss.backward()
    grads = {name: parameter.grad.clone() for name, parameter in base.named_parameters()}
    lists["loss"] = dict(mean_ce=loss.item(), grad_norm=norm_of(grads.values()))
    base.zero_grad()

    model = adapted(copy.deepcopy(base), folder)
    with torch.no_grad():
        tensors["lora_logits"] = all_logits(model, ids)
        tensors["merged_logits"] = merged_logits(model, ids)
    named = {name.replace(".default", ""): p for name, p in model.named_parameters() if p.requires_grad}
    optimizer = torch.optim.AdamW(named.values(), lr=LR, betas=BETAS, eps=EPS, weight_decay=DECAY)
    losses, norms = [], []
    for step in (1, 2, 3):
        optimizer.zero_grad()
        loss = loss_of(model, ids, mask, trained)
        loss.backward()
        losses.append(loss.item())
        norms.append(norm_of([p.grad for p in named.values()]))
        for name, parameter in named.items():
            steps[f"step{step}.grad.{name}"] = parameter.grad.clone()
        torch.nn.utils.clip_grad_norm_(named.values(), MAX_NORM)
        optimizer.step()
        for name, parameter in named.items():
            if step != 2:
                steps[f"step{step}.param.{name}"] = parameter.detach().clone()
            if step == 3:
                steps[f"step3.exp_avg.{name}"] = optimizer.state[parameter]["exp_avg"].clone()
                steps[f"step3.exp_avg_sq.{name}"] = optimizer.state[parameter]["exp_avg_sq"].clone()
    with torch.no_grad():
        losses.append(loss_of(model, ids, mask, trained).item())
        tensors["trained_merged_logits"] = merged_logits(model, ids)
    lists["lora"] = dict(loss_before_step_1_2_3_and_after_3=losses, grad_norm_step_1_2_3=norms)
    return tensors, grads, steps, lists


def legacy_spelling(config):
    """The same configuration as transformers 4 wrote it."""
    config = dict(config)
    rope = config.pop("rope_parameters")
    if "full_attention" in rope:
        config["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
        rope = rope["full_attention"]
    config["rope_theta"] = rope["rope_theta"]
    config["rope_scaling"] = None
    if rope["rope_type"] == "linear":
        config["rope_scaling"] = dict(rope_type="linear", factor=rope["factor"])
    if rope["rope_type"] == "longrope":
        config["rope_scaling"] = dict(type="longrope", short_factor=rope["short_factor"], long_factor=rope["long_factor"])
    if rope.get("partial_rotary_factor", 1) != 1:
        config["partial_rotary_factor"] = rope["partial_rotary_factor"]
    return config


def make(family):
    torch.manual_seed(3)
    model = FAMILIES[family]().eval()
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape)
        center = 0 if "gemma" in family else 1  # Gemma's norms multiply by 1 plus their weight
        parameter.data = center + 0.2 * noise if "norm" in name else (0.5 if "embed" in name or "lm_head" in name else 0.2) * noise
    folder = OUT / family
    (folder / "lora").mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config_legacy.json").write_text(json.dumps(legacy_spelling(config), indent=2) + "\n")

    generator = torch.Generator().manual_seed(4)
    data = ids, mask, trained = batch_of(generator)
    long = torch.randint(3, VOCABULARY, (LONG,), generator=generator)
    tensors, grads, steps, lists = everything(copy.deepcopy(model), data, folder / "lora")
    exact, *_ = everything(copy.deepcopy(model).double(), data)
    with torch.no_grad():
        last = model(long[None]).logits[0, -4:]
        prompts = [ids[row, :length] for row, length in enumerate(PROMPTS)]
        continuations = [greedy(model, prompt, 12) for prompt in prompts]
    tensors["long.logits"] = last
    starts = torch.tensor([0, *LENGTHS]).cumsum(0).tolist()
    golden = {
        "arch": family,
        "model_type": model.config.model_type,
        "batch": dict(input_ids=ids.tolist(), attention_mask=mask.tolist(), lengths=LENGTHS, prompt_lengths=PROMPTS),
        "long": dict(input_ids=long.tolist(), positions=list(range(LONG - 4, LONG)), argmax=last.argmax(-1).tolist()),
        "greedy": [dict(prompt=p.tolist(), tokens=t) for p, t in zip(prompts, continuations)],
        "completions": [
            dict(row=row, start=prompt, end=length, **completion(tensors["logits"][starts[row] : starts[row + 1]], ids[row], prompt, length))
            for row, (prompt, length) in enumerate(zip(PROMPTS, LENGTHS))
        ],
        "loss": dict(loss_mask=trained.tolist(), n_tokens=int(trained[:, 1:].sum()), **lists["loss"]),
        "lora": dict(
            r=RANK, alpha=ALPHA, target_modules=targets_of(model),
            optimizer=dict(name="AdamW", lr=LR, beta1=BETAS[0], beta2=BETAS[1], eps=EPS, weight_decay=DECAY, max_grad_norm=MAX_NORM),
            **lists["lora"],
        ),
        "float64_check": {name: (tensors[name] - exact[name]).abs().max().item() for name in exact},
    }  # fmt: skip
    (folder / "golden.json").write_text(json.dumps(golden) + "\n")
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "golden.safetensors")
    save_file(grads, folder / "grads.safetensors")
    save_file(steps, folder / "lora" / "train.safetensors")
    print(family, {name: f"{value:.1e}" for name, value in golden["float64_check"].items()})


for name in sys.argv[1:] or FAMILIES:
    make(name)
