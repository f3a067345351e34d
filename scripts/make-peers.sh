#!/usr/bin/env bash
# Makes the Python environment of the peers we measure ourselves against (tests/bench/peers) and load our exports with.
# Nothing of Paretune needs it at run time. About 6 GB and 2 minutes on Linux x86-64: the registry serves torch with its
# CUDA libraries only, and it cannot be imported without them.
#
#   scripts/make-peers.sh                       into .peers (git-ignored)
#   PARETUNE_PEERS=DIR scripts/make-peers.sh    into DIR
#   PYTHON=python3.12 scripts/make-peers.sh     with another Python, 3.11 or newer
#
# A finished environment is left as it is: a second call costs nothing.
set -euo pipefail

folder=${PARETUNE_PEERS:-$(cd "$(dirname "$0")/.." && pwd)/.peers}
python=${PYTHON:-python3}
packages=(
  torch==2.15.0
  transformers==5.23.0
  tokenizers==0.23.3
  accelerate==1.15.0
  peft==0.21.2
  trl==1.16.0
  datasets==5.2.0
  onnx==1.23.2
  onnxruntime==1.32.0
  onnxruntime-genai==0.18.0
  numpy==2.4.6
  gguf==0.19.0
  moocore==0.3.2
  pymoo==0.6.2
  scipy==1.17.1
  statsmodels==0.15.0
)
# compiled on the spot: needs a C++ compiler and cmake; without them llama.cpp's cells stay empty
compiled=llama-cpp-python==0.3.36
done_mark=$folder/.made-of
if [[ -f $done_mark && $(<"$done_mark") == "${packages[*]}" ]]; then
  echo "peers: $folder is complete"
  exit 0
fi

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "peers: Python 3.11 or newer is needed; set PYTHON to one" >&2
  exit 1
}
"$python" -m venv "$folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check "${packages[@]}"
"$folder/bin/python" -c 'import torch, transformers, peft, trl, datasets, onnx, onnxruntime_genai'
CMAKE_ARGS=-DGGML_NATIVE=ON "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$compiled" ||
  echo "peers: $compiled could not be built; its measurements are left out" >&2
echo "${packages[*]}" >"$done_mark"
echo "peers: $folder is complete"
