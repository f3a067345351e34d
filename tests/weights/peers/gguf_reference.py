"""What the reference programs say of a GGUF file, for tests/weights/gguf.slow.test.ts.

Reads JSON from standard input, writes JSON to standard output:
  {"do": "tokens", "model": path, "pre": name or null, "texts": [...], "special": bool}   ids of each text (llama.cpp)
  {"do": "weights", "model": path}                               SHA-256 of each tensor's float32 values (gguf-py)
  {"do": "plain", "model": path, "to": path}     a copy of the file with its values as float32 (gguf-py)
  {"do": "logits", "model": path, "tokens": [...], "to": path}   float32 logits after each token, to a file (llama.cpp)
"""

import hashlib
import json
import sys


def tokens(ask):
    from llama_cpp import Llama

    overrides = {"tokenizer.ggml.pre": ask["pre"]} if ask["pre"] else None
    model = Llama(ask["model"], vocab_only=True, verbose=False, kv_overrides=overrides)
    return [model.tokenize(text.encode(), add_bos=False, special=ask["special"]) for text in ask["texts"]]


def weights(ask):
    import gguf
    import numpy as np

    hashes = {}
    for tensor in gguf.GGUFReader(ask["model"]).tensors:
        floats = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        hashes[tensor.name] = hashlib.sha256(np.ascontiguousarray(floats).tobytes()).hexdigest()
    return hashes


def plain(ask):
    import gguf
    import numpy as np

    reader = gguf.GGUFReader(ask["model"])
    writer = gguf.GGUFWriter(ask["to"], reader.fields["general.architecture"].contents())
    for key, field in reader.fields.items():
        if not key.startswith("GGUF.") and key != "general.architecture":
            writer.add_key_value(key, field.contents(), field.types[0], field.types[1] if len(field.types) > 1 else None)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return len(reader.tensors)


def logits(ask):
    from llama_cpp import Llama

    count = len(ask["tokens"])
    # keys and values in F32: what is left is what llama.cpp rounds to compute with blocks
    model = Llama(ask["model"], n_ctx=count + 8, logits_all=True, verbose=False, n_threads=2, type_k=0, type_v=0)
    model.eval(ask["tokens"])
    model.scores[:count].astype("float32").tofile(ask["to"])
    return count


ask = json.load(sys.stdin)
json.dump({"tokens": tokens, "weights": weights, "plain": plain, "logits": logits}[ask["do"]](ask), sys.stdout)
