"""Peer: sampling with llama.cpp on the CPU, all sequences in one batch.

The model is random and has the asked shape, written as a GGUF file of the asked type. Prompts are run once a group and
their cache is shared by the group's sequences; every sequence then gets exactly new-tokens tokens drawn at T = 1. Prints
one JSON line: sampled tokens a second (with --new-tokens 1: prompt tokens a second); median of steps rounds after a
warm-up.
"""

import ctypes
import json
import os
import resource
import sys
import tempfile
import time
from statistics import median

import gguf
import llama_cpp as ll
import numpy as np

from shapes import DEFAULTS, options_of

TYPES = {"f32": gguf.GGMLQuantizationType.F32, "q4_0": gguf.GGMLQuantizationType.Q4_0, "q8_0": gguf.GGMLQuantizationType.Q8_0}


def write_random(path, options, kind, rng):
    """A llama with a tied head. Norms are 1; matrices are normal with deviation 0.02."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_vocab_size(options.vocab)
    writer.add_tokenizer_model("no_vocab")
    writer.add_context_length(2048)
    writer.add_embedding_length(options.hidden)
    writer.add_block_count(options.layers)
    writer.add_feed_forward_length(options.ff)
    writer.add_head_count(options.heads)
    writer.add_head_count_kv(options.kv)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_dimension_count(options.hidden // options.heads)
    narrow = options.hidden // options.heads * options.kv

    def matrix(name, rows, columns):
        values = rng.standard_normal((rows, columns), dtype=np.float32) * np.float32(0.02)
        if kind == "f32":
            writer.add_tensor(name, values)
        else:
            writer.add_tensor(name, gguf.quants.quantize(values, TYPES[kind]), raw_dtype=TYPES[kind])

    def norm(name):
        writer.add_tensor(name, np.ones(options.hidden, dtype=np.float32))

    matrix("token_embd.weight", options.vocab, options.hidden)
    norm("output_norm.weight")
    for layer in range(options.layers):
        block = f"blk.{layer}"
        norm(f"{block}.attn_norm.weight")
        matrix(f"{block}.attn_q.weight", options.hidden, options.hidden)
        matrix(f"{block}.attn_k.weight", narrow, options.hidden)
        matrix(f"{block}.attn_v.weight", narrow, options.hidden)
        matrix(f"{block}.attn_output.weight", options.hidden, options.hidden)
        norm(f"{block}.ffn_norm.weight")
        matrix(f"{block}.ffn_gate.weight", options.ff, options.hidden)
        matrix(f"{block}.ffn_up.weight", options.ff, options.hidden)
        matrix(f"{block}.ffn_down.weight", options.hidden, options.ff)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class Batch:
    """Tokens of one llama_decode call: (token, position, sequence, whether its logits are wanted)."""

    def __init__(self, capacity):
        self.inner = ll.llama_batch_init(capacity, 0, 1)

    def fill(self, entries):
        self.inner.n_tokens = len(entries)
        for i, (token, position, sequence, wanted) in enumerate(entries):
            self.inner.token[i] = token
            self.inner.pos[i] = position
            self.inner.n_seq_id[i] = 1
            self.inner.seq_id[i][0] = sequence
            self.inner.logits[i] = 1 if wanted else 0
        return self.inner


def main():
    kind = sys.argv.pop(1) if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else "f32"
    options = options_of(__doc__, {**DEFAULTS, "steps": 5})
    sequences = options.prompts * options.group
    length = options.prompt_len + options.new_tokens
    rng = np.random.default_rng(0)
    silent = ll.llama_log_callback(lambda level, text, data: None)
    ll.llama_log_set(silent, ctypes.c_void_p(0))
    ll.llama_backend_init()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "random.gguf")
        write_random(path, options, kind, rng)
        model = ll.llama_model_load_from_file(path.encode(), ll.llama_model_default_params())
    assert model, "llama.cpp does not load the random model"
    settings = ll.llama_context_default_params()
    settings.n_ctx = -(-(sequences * length + 256) // 256) * 256
    settings.n_batch = settings.n_ubatch = 512
    settings.n_seq_max = sequences
    settings.n_threads = settings.n_threads_batch = options.threads
    settings.kv_unified = True
    context = ll.llama_init_from_model(model, settings)
    assert context, "llama.cpp makes no context"
    memory = ll.llama_get_memory(context)
    sampler = ll.llama_sampler_init_dist(0)
    batch = Batch(max(512, sequences))

    def decode(entries):
        code = ll.llama_decode(context, batch.fill(entries))
        assert code == 0, f"llama_decode answered {code}"

    def rollouts():
        ll.llama_memory_clear(memory, True)
        tokens = [0] * sequences
        entries = []
        firsts = []
        for prompt in range(options.prompts):
            ids = rng.integers(2, options.vocab, options.prompt_len)
            leader = prompt * options.group
            if len(entries) + len(ids) > 512:
                decode(entries)
                draw(firsts, tokens)
                entries, firsts = [], []
            last = len(entries) + len(ids) - 1
            entries += [(int(token), i, leader, i == len(ids) - 1) for i, token in enumerate(ids)]
            firsts.append((last, [leader + sample for sample in range(options.group)]))
        decode(entries)
        draw(firsts, tokens)
        for prompt in range(options.prompts):
            leader = prompt * options.group
            for sample in range(1, options.group):
                ll.llama_memory_seq_cp(memory, leader, leader + sample, 0, options.prompt_len)
        for made in range(1, options.new_tokens):
            position = options.prompt_len + made - 1
            decode([(tokens[row], position, row, True) for row in range(sequences)])
            draw([(row, [row]) for row in range(sequences)], tokens)

    def draw(wanted, tokens):
        for index, rows in wanted:
            for row in rows:
                tokens[row] = ll.llama_sampler_sample(sampler, context, index)

    times = []
    for _ in range(options.steps + 1):
        start = time.perf_counter()
        rollouts()
        times.append(time.perf_counter() - start)
    tokens = options.prompts * options.prompt_len if options.new_tokens == 1 else sequences * options.new_tokens
    report = {
        "peer": f"llama.cpp ({kind}, llama-cpp-python {ll.__version__})",
        "tokens_per_s": round(tokens / median(times[1:]), 1),
        "best_tokens_per_s": round(tokens / min(times[1:]), 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
