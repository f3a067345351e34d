"""Makes tests/fixtures/gguf: small GGUF models, and what the reference programs say of them.

    .peers/bin/python scripts/make-gguf-fixtures.py      (the environment of scripts/make-peers.sh)

blocks.json    bytes of every number format with the floats of gguf-py's dequantizer
tiny-*.gguf    random models: llama with a SentencePiece vocabulary and Llama 3's rotary factors in F32, qwen2 with
               byte-level BPE in blocks of 32, qwen3 in blocks of 256, smollm3 in Q8_0, olmo2 in BF16, phi3 in F16 with
               fused matrices, rotary positions on a part of each head by LongRoPE's factors, and Phi-3's markup, gemma2 in
               F16 with caps, windows and Gemma's SentencePiece vocabulary, gemma3 in F16 with seven layers, one of which
               sees everything and turns by stretched angles
expected.json  by llama.cpp: the ids of texts, the logits after each token of one; by gguf-py: SHA-256 of each tensor's floats
"""

import base64
import hashlib
import json
import math
import os
import tempfile
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"  # its threads and a fork of ours would wait for each other

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Q
from llama_cpp import Llama
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

OUT = Path(__file__).parent.parent / "tests" / "fixtures" / "gguf"
RANDOM = np.random.default_rng(7)
PLAIN = {Q.F32: np.float32, Q.F16: np.float16}
TEXTS = [
    "The quick brown fox jumps over 12345 lazy dogs, doesn't it?",
    "  two spaces,\ttab\n\nlines \r\n end ",
    "naïve café Straße — “ok” 😀 世界 Привет ½ ٣",
    "aaaaaaa abababab thethethe theother",
    "x",
    " ",
    "<|im_start|>user\nhi<|im_end|>",
    "▁ a▁b <0x0A> ",
    "<|im_start|>user \n\n hi <|im_end|>\n  <|im_start|> x",
]
CORPUS = """The tool answers the question. The other tool does not. There is nothing that the thing in there would do
with those numbers: 1 + 2, 12 * 34, 100 - 7. An agent asks the tool, the tool returns the result, and the agent thinks
about the result. Then the agent answers, or asks another question. Does it end? It doesn't, and the other thing in the
room is that another agent is there, thinking about numbers, asking and answering the others in turn.""" * 4
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def random_blocks(kind, count):
    """Blocks of any bits, but with scales and minima that are ordinary halves."""
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = RANDOM.integers(0, 256, (count, size), dtype=np.uint8)
    halves = {Q.Q4_K: [0, 2], Q.Q5_K: [0, 2], Q.Q6_K: [208], Q.Q4_1: [0, 2], Q.Q5_1: [0, 2]}.get(kind, [0])
    spread = {Q.Q4_K: 2e-4, Q.Q5_K: 1e-4, Q.Q6_K: 5e-5}.get(kind, 0.01)
    for at in halves:
        blocks[:, at : at + 2] = (RANDOM.standard_normal((count, 1)) * spread).astype(np.float16).view(np.uint8)
    return blocks


def as_type(floats, kind):
    """(bytes, numpy type) of a matrix in a number format; blocks of 256 have no quantizer in Python: theirs are random."""
    if kind in PLAIN:
        return floats.astype(PLAIN[kind])
    if kind in (Q.Q4_K, Q.Q5_K, Q.Q6_K):
        rows, columns = floats.shape
        return random_blocks(kind, rows * columns // 256).reshape(rows, -1)
    return gguf.quantize(floats, kind)


def blocks():
    table = {}
    for kind in (Q.F32, Q.F16, Q.BF16, Q.Q4_0, Q.Q4_1, Q.Q5_0, Q.Q5_1, Q.Q8_0, Q.Q4_K, Q.Q5_K, Q.Q6_K):
        elements, size = gguf.GGML_QUANT_SIZES[kind]
        if elements == 1:
            data = RANDOM.standard_normal(64).astype(np.float32)
            raw = data.view(np.uint8) if kind == Q.F32 else as_type(data.reshape(1, -1), kind).view(np.uint8)
        else:
            raw = random_blocks(kind, 6)
            raw[4, :2] = np.array([6e-8], np.float16).view(np.uint8)  # a subnormal scale
            raw[5, :2] = np.array([-65504], np.float16).view(np.uint8)  # the largest
            raw = raw.reshape(-1)
        floats = gguf.dequantize(raw.view(np.float32) if kind == Q.F32 else raw.view(np.float16) if kind == Q.F16 else raw, kind)
        table[kind.name] = [base64.b64encode(x.tobytes()).decode() for x in (raw, floats.astype(np.float32))]
    return table


def byte_level(writer):
    base = Tokenizer(models.BPE())
    base.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    base.train_from_iterator([CORPUS], trainers.BpeTrainer(vocab_size=286, initial_alphabet=alphabet, show_progress=False))
    state = json.loads(base.to_str())["model"]
    tokens = sorted(state["vocab"], key=state["vocab"].get)
    tokens = [*tokens, "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool_call>"]
    count = len(tokens)
    types = [1] * (count - 4) + [3, 3, 3, 4]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges([" ".join(pair) if isinstance(pair, list) else pair for pair in state["merges"]])
    writer.add_bos_token_id(count - 4)
    writer.add_eos_token_id(count - 2)
    writer.add_add_bos_token(False)
    return count


def sentence_piece(writer, first=("<unk>", "<s>", "</s>"), markup=("<|im_start|>", "<|im_end|>"), users=()):
    """`first` begins with the unknown token and BOS, whatever their order in the file; `users` are found in text as they are."""
    base = Tokenizer(models.BPE())
    base.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    base.train_from_iterator([CORPUS], trainers.BpeTrainer(vocab_size=110, show_progress=False))
    state = json.loads(base.to_str())["model"]
    words = sorted(state["vocab"], key=state["vocab"].get)
    letters, joined = [w for w in words if len(w) == 1], [w for w in words if len(w) > 1]
    extra = ["▁▁", "▁▁▁▁", "é", "ï", "世"]
    pieces = joined + extra[:2] + letters + extra[2:]
    controls = sorted(first, key=["<pad>", "<eos>", "<bos>", "<unk>", "<s>", "</s>"].index)
    tokens = [*controls, *(f"<0x{byte:02X}>" for byte in range(256)), *pieces, *users, *markup]
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    scores = [0.0] * (len(controls) + 256) + [-float(i) for i in range(len(pieces))]
    writer.add_token_scores(scores + [0.0] * (len(users) + len(markup)))
    types = [2 if token == "<unk>" else 3 for token in controls] + [6] * 256 + [1] * len(pieces)
    writer.add_token_types(types + [4] * len(users) + [3] * len(markup))
    writer.add_bos_token_id(tokens.index(first[1]))
    writer.add_eos_token_id(len(tokens) - 1)
    writer.add_unk_token_id(tokens.index("<unk>"))
    return len(tokens)


def phi_pieces(writer):
    return sentence_piece(writer, markup=("<|endoftext|>", "<|im_start|>", "<|im_end|>"))


def gemma_pieces(writer):
    """No space before a text, other ids of the special tokens, runs of spaces and lines that are tokens of the user."""
    writer.add_add_space_prefix(False)
    first, markup = ("<unk>", "<bos>", "<pad>", "<eos>"), ("<start_of_turn>", "<end_of_turn>", "<|im_start|>", "<|im_end|>")
    return sentence_piece(writer, first, markup, users=("\n\n", "  ", "   ", "<table>"))


def model(family, vocabulary, width, heads, kv_heads, head, feed, layers, kinds, tied):
    """Writes the model, and beside it for llama.cpp's logits the same numbers in F32: it rounds activations for blocks."""
    path, plain = OUT / f"tiny-{family}.gguf", Path(tempfile.mkdtemp()) / "plain.gguf"
    random_state = RANDOM.bit_generator.state
    for target in (path, plain):
        RANDOM.bit_generator.state = random_state
        hashes = write(target, family, vocabulary, width, heads, kv_heads, head, feed, layers, kinds, tied)
    return path, plain, hashes


def write(path, family, vocabulary, width, heads, kv_heads, head, feed, layers, kinds, tied):
    writer = gguf.GGUFWriter(path, family)
    count = vocabulary(writer)
    writer.add_chat_template(TEMPLATE)
    writer.add_context_length(512)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(feed)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    if family != "phi3":
        writer.add_key_length(head)
        writer.add_value_length(head)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(500000.0)
    if family == "phi3":
        writer.add_name("Phi-3 tiny")
        writer.add_rope_dimension_count(head * 3 // 4)
        writer.add_rope_scaling_orig_ctx_len(256)
        writer.add_rope_scaling_attn_factors(math.sqrt(1 + math.log(512 / 256) / math.log(256)))
        writer.add_sliding_window(0)
        for length, top in (("short", 2.0), ("long", 4.0)):
            writer.add_tensor(f"rope_factors_{length}.weight", np.linspace(1, top, head * 3 // 8, dtype=np.float32))
    else:
        writer.add_rope_dimension_count(head)
    if family == "gemma3":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(8.0)
        writer.add_sliding_window(12)
    if family == "gemma2":
        writer.add_attn_logit_softcapping(50.0)
        writer.add_final_logit_softcapping(30.0)
        writer.add_sliding_window(12)
    hashes = {}
    kinds = iter(kinds * 100)

    def add(name, shape, kind=None):
        floats = RANDOM.standard_normal(shape).astype(np.float32) * (0.4 if len(shape) > 1 else 0.1)
        floats = floats + 1 if "norm" in name else floats
        if len(shape) == 1:
            kind = Q.F32
        kind = next(kinds) if kind is None else kind
        data = as_type(floats, kind)
        read = gguf.dequantize(data, kind).astype(np.float32).reshape(shape)
        hashes[name] = hashlib.sha256(read.tobytes()).hexdigest()
        if path.name == "plain.gguf":
            data, kind = read, Q.F32
        writer.add_tensor(name, data, raw_dtype=None if kind in PLAIN else kind)

    add("token_embd.weight", (count, width))
    if family == "llama":
        turns = [8192 / (2 * math.pi * 500000.0 ** (2 * i / head)) for i in range(head // 2)]
        smooth = lambda x: 1 / ((1 - (x - 1) / 3) / 8 + (x - 1) / 3)
        factors = np.array([1.0 if x > 4 else 8.0 if x < 1 else smooth(x) for x in turns], np.float32)
        writer.add_tensor("rope_freqs.weight", factors)
    for i in range(layers):
        if family != "olmo2":
            add(f"blk.{i}.attn_norm.weight", (width,))
        if family == "phi3":
            add(f"blk.{i}.attn_qkv.weight", ((heads + 2 * kv_heads) * head, width))
        for name, rows in () if family == "phi3" else (("q", heads * head), ("k", kv_heads * head), ("v", kv_heads * head)):
            add(f"blk.{i}.attn_{name}.weight", (rows, width))
            if family == "qwen2":
                add(f"blk.{i}.attn_{name}.bias", (rows,))
        if family in ("qwen3", "olmo2", "gemma3"):
            add(f"blk.{i}.attn_q_norm.weight", (head * (heads if family == "olmo2" else 1),))
            add(f"blk.{i}.attn_k_norm.weight", (head * (kv_heads if family == "olmo2" else 1),))
        add(f"blk.{i}.attn_output.weight", (width, heads * head), Q.Q8_0 if family == "qwen3" else None)
        if family in ("olmo2", "gemma2", "gemma3"):
            add(f"blk.{i}.post_attention_norm.weight", (width,))
        if family != "olmo2":
            add(f"blk.{i}.ffn_norm.weight", (width,))
        if family != "phi3":
            add(f"blk.{i}.ffn_gate.weight", (feed, width))
        add(f"blk.{i}.ffn_up.weight", (feed * (2 if family == "phi3" else 1), width))
        add(f"blk.{i}.ffn_down.weight", (width, feed))
        if family in ("olmo2", "gemma2", "gemma3"):
            add(f"blk.{i}.post_ffw_norm.weight", (width,))
    add("output_norm.weight", (width,))
    if not tied:
        add("output.weight", (count, width))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return hashes


def by_llama(path, plain, hashes):
    # keys and values in F32 too
    llama = Llama(str(plain), n_ctx=256, logits_all=True, verbose=False, n_threads=1, type_k=0, type_v=0)
    ids = [[llama.tokenize(text.encode(), add_bos=False, special=special) for text in TEXTS] for special in (False, True)]
    prompt = llama.tokenize(CORPUS[:300].encode(), add_bos=False, special=False)[:96]
    llama.eval(prompt)
    logits = llama.scores[: len(prompt)].astype(np.float32)
    shown = logits[:: len(prompt) // 6]
    return {
        "plain": ids[0],
        "special": ids[1],
        "prompt": prompt,
        "positions": list(range(0, len(prompt), len(prompt) // 6)),
        "logits": base64.b64encode(shown.tobytes()).decode(),
        "sha256": hashes,
    }


OUT.mkdir(parents=True, exist_ok=True)
(OUT / "blocks.json").write_text(json.dumps(blocks(), indent=1) + "\n")
small = [Q.Q8_0, Q.Q4_0, Q.Q5_1, Q.Q4_1, Q.Q5_0, Q.BF16, Q.F16]
models_made = {
    "llama": model("llama", sentence_piece, 32, 4, 2, 8, 48, 2, [Q.F32], tied=False),
    "qwen2": model("qwen2", byte_level, 64, 4, 2, 16, 96, 2, small, tied=True),
    "qwen3": model("qwen3", byte_level, 256, 2, 1, 64, 256, 1, [Q.Q6_K, Q.Q4_K, Q.Q5_K], tied=True),
    "smollm3": model("smollm3", byte_level, 32, 4, 2, 8, 32, 4, [Q.Q8_0], tied=True),
    "olmo2": model("olmo2", byte_level, 32, 4, 2, 8, 32, 2, [Q.BF16], tied=False),
    "phi3": model("phi3", phi_pieces, 64, 4, 2, 16, 48, 2, [Q.F16], tied=False),
    "gemma2": model("gemma2", gemma_pieces, 32, 4, 2, 16, 48, 3, [Q.F16], tied=True),
    "gemma3": model("gemma3", gemma_pieces, 32, 4, 1, 8, 32, 7, [Q.F16], tied=True),
}
expected = {"texts": TEXTS, **{name: by_llama(*made) for name, made in models_made.items()}}
(OUT / "expected.json").write_text(json.dumps(expected) + "\n")
