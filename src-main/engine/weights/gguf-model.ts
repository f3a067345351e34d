/**
 * The model in a GGUF file, checked as a whole before any weight is read: its configuration, and its weights under Hugging
 * Face's names, in Hugging Face's order of rows. They are read one at a time and dequantized a few megabytes at a time.
 */
import type { ModelConfig } from '../model/model-config.ts';
import { parseModelConfig } from '../model/model-config.ts';
import { weightSpecs } from '../model/weight-specs.ts';
import { checkShapes } from './check-shapes.ts';
import { damagedFile } from './file-ranges.ts';
import { type GgufFile, openGguf, rowsOf } from './gguf.ts';
import { dequantize } from './gguf-blocks.ts';
import { ggufRowOrder, ggufWeightName, type RopeFactors, ropeFactorNames } from './gguf-architectures.ts';
import { ggufConfigJson } from './gguf-config.ts';
import type { FloatTensor, TensorSource } from './safetensors.ts';

export type GgufModel = {
  file: GgufFile;
  config: ModelConfig;
  readWeight(name: string): FloatTensor;
  /** What a .safetensors file of these weights is written from: 16-bit floats as they are, everything else as float32. */
  sources(): Map<string, TensorSource>;
};

/** Opens a GGUF file as a model. Throws `not-found`, `bad-file` or `unsupported`, each with the key or tensor it is about. */
export function openGgufModel(path: string): GgufModel {
  const file = openGguf(path);
  const config = parseModelConfig(ggufConfigJson(file, readRopeFactors(file)));
  /** ours -> the file's */
  const places = new Map<string, string>();
  for (const name of file.tensors.keys()) {
    const ours = ggufWeightName(config.family, name);
    if (ours === null) continue;
    if (places.has(ours)) throw damagedFile(path, 'GGUF', `${places.get(ours)} and ${name} are the same weight`);
    places.set(ours, name);
  }
  const shapes = [...places].map(([ours, name]) => [ours, file.tensors.get(name)!.shape] as const);
  checkShapes(path, 'metadata', config, new Map(shapes));

  const orderOf = (name: string) =>
    ggufRowOrder(config.family, name, file.tensors.get(places.get(name)!)!.shape[0], config.headDim);
  // what norms multiply by is stored as one number, which is what comes on top of the weight and the weight
  const roles = new Map(weightSpecs(config).map(({ name, role }) => [name, role]));
  const offsetOf = (name: string) => (roles.get(name) === 'norm' ? config.normOffset : 0);
  return {
    file,
    config,
    readWeight(name) {
      const place = places.get(name)!;
      return { shape: file.tensors.get(place)!.shape, data: readFloats(file, place, orderOf(name), offsetOf(name)) };
    },
    sources() {
      const names = [...roles.keys()];
      const sourceFor = (name: string) => sourceOf(file, places.get(name)!, () => orderOf(name), offsetOf(name));
      return new Map(names.map((name) => [name, sourceFor(name)]));
    },
  };
}

function readRopeFactors(file: GgufFile): RopeFactors {
  const present = ropeFactorNames.filter((name) => file.tensors.has(name));
  for (const name of present) {
    const { begin, end, shape } = file.tensors.get(name)!;
    if (end - begin > 65_536) throw damagedFile(file.path, 'GGUF', `${name} has the shape [${shape}]`);
  }
  return Object.fromEntries(present.map((name) => [name, readFloats(file, name, null, 0)]));
}

function readFloats(file: GgufFile, place: string, order: Uint32Array | null, offset: number): Float32Array {
  const { type, shape } = file.tensors.get(place)!;
  const data = new Float32Array(shape.reduce((product, size) => product * size, 1));
  let to = 0;
  for (const rows of rowsOf(file, place, order)) {
    const floats = less(dequantize(type, rows), offset);
    data.set(floats, to);
    to += floats.length;
  }
  return data;
}

function less(floats: Float32Array, offset: number): Float32Array {
  return offset === 0 ? floats : floats.map((value) => value - offset);
}

function sourceOf(file: GgufFile, place: string, order: () => Uint32Array | null, offset: number): TensorSource {
  const { type, shape } = file.tensors.get(place)!;
  const kept = offset === 0 && (type === 'F16' || type === 'BF16');
  function* chunks() {
    for (const rows of rowsOf(file, place, order())) {
      yield kept ? rows : new Uint8Array(less(dequantize(type, rows), offset).buffer);
    }
  }
  return { type: kept ? type : 'F32', shape, chunks };
}
