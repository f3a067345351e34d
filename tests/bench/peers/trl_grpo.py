"""Peer: whole GRPO steps of TRL on the CPU.

A step is prompts x group sequences of prompt-len given and exactly new-tokens sampled tokens, their rewards, and one
optimiser update; the first step warms up and is not counted. `generate_s` runs from the start of the trainer's step to
the call of the reward function, the rest of a step is `train_s`. Prints one JSON line, medians in seconds.
"""

import json
import resource
import tempfile
import time
import zlib
from statistics import median

import torch
import trl
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from trl import GRPOConfig, GRPOTrainer

from shapes import adapter_settings, parameters, parse, random_llama


def word_tokenizer(size):
    """Ids 0 and 1 are padding and end, every other id is one word."""
    vocabulary = {"<pad>": 0, "<eos>": 1} | {f"w{i}": i + 2 for i in range(size - 2)}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="w0"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", eos_token="<eos>", padding_side="left"
    )


def random_prompts(options, count=512):
    draws = torch.randint(0, options.vocab - 2, (count, options.prompt_len))
    return Dataset.from_dict({"prompt": [" ".join(f"w{i}" for i in row) for row in draws.tolist()]})


class Clock:
    """When each step began, when its completions were ready, when it ended."""

    def __init__(self):
        self.began, self.sampled, self.ended = [], [], []

    def reward(self, completions, **_):
        self.sampled.append(time.perf_counter())
        return [zlib.crc32(completion.encode()) % 7 for completion in completions]

    def watch(self, trainer):
        step = trainer.training_step

        def timed(*arguments, **named):
            self.began.append(time.perf_counter())
            loss = step(*arguments, **named)
            self.ended.append(time.perf_counter())
            return loss

        trainer.training_step = timed


def main():
    options = parse(__doc__)
    model = random_llama(options)
    count = parameters(model)
    sequences = options.prompts * options.group
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        trainer = GRPOTrainer(
            model=model,
            reward_funcs=clock.reward,
            train_dataset=random_prompts(options),
            processing_class=word_tokenizer(options.vocab),
            peft_config=adapter_settings(options.lora) if options.lora else None,
            args=GRPOConfig(
                output_dir=folder,
                per_device_train_batch_size=sequences,
                num_generations=options.group,
                max_completion_length=options.new_tokens,
                generation_kwargs={"min_new_tokens": options.new_tokens},
                max_steps=options.steps,
                learning_rate=1e-4,
                beta=0.0,
                bf16=False,
                use_cpu=True,
                gradient_checkpointing=False,
                save_strategy="no",
                logging_steps=1000,
                report_to=[],
                disable_tqdm=True,
            ),
        )
        clock.watch(trainer)
        trainer.train()
    assert len(clock.sampled) == len(clock.ended) == options.steps, "one round of sampling a step was expected"
    step = median(later - earlier for earlier, later in zip(clock.ended, clock.ended[1:]))
    generate = median(ready - start for start, ready in list(zip(clock.began, clock.sampled))[1:])
    tokens = sequences * options.new_tokens
    report = {
        "peer": f"TRL {trl.__version__}" + (" + peft" if options.lora else ""),
        "step_s": round(step, 3),
        "generate_s": round(generate, 3),
        "train_s": round(step - generate, 3),
        "sampled_tokens": tokens,
        "sampled_tokens_per_s": round(tokens / generate, 1),
        "steps_per_min": round(60 / step, 2),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "params": count,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
