/** The variants of an export: their files, and what each makes of the weights. */
import { dequantize4, quantize4 } from '../model/quantize.ts';
import { weightSpecs } from '../model/weight-specs.ts';
import { fillParameters } from '../runtime/parameters.ts';
import { mergedWeights, type Policy } from '../runtime/policy.ts';
import { floatToHalf, halfToFloat } from '../base/half.ts';

export const exportVariants = ['fp32', 'fp16', 'q4'] as const;
export type ExportVariant = (typeof exportVariants)[number];

/** The file of a variant below onnx/, in transformers.js's names. */
export const variantFile: Record<ExportVariant, string> = {
  fp32: 'model.onnx',
  fp16: 'model_fp16.onnx',
  q4: 'model_q4.onnx',
};

/** The policy with its weights rounded as a variant stores them: what its file computes, run by the engine. */
export function asStored(policy: Policy, variant: ExportVariant): Policy {
  const specs = weightSpecs(policy.config);
  const roles = new Map(specs.map(({ name, role }) => [name, role]));
  const rounded = new Map(
    [...mergedWeights(policy)].map(([name, { shape, data }]) => {
      if (variant === 'fp16') return [name, data.map((value) => halfToFloat(floatToHalf(value)))] as const;
      if (variant === 'fp32' || roles.get(name) !== 'linear') return [name, data] as const;
      const [rows, columns] = shape;
      return [name, dequantize4(quantize4(data, rows, columns), rows, columns)] as const;
    }),
  );
  return { config: policy.config, base: fillParameters(specs, rounded), lora: null };
}
