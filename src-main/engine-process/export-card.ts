/** The README.md of an exported folder: what it is, what was measured, how it was made, how to run it. */
import { variantFile } from '../engine/run/export-variants.ts';
import type { CardFacts } from './export-run.ts';

const percent = (share: number) => `${(100 * share).toFixed(1)} %`;

export function exportCard({ runId, step, config, model, point, points }: CardFacts): string {
  const prices = Object.entries(config.prices).map(([tool, price]) => `${tool} ${price}`);
  const variants = [...points].map(
    ([variant, { success, cost }]) =>
      `| ${variant} | onnx/${variantFile[variant]} | ${percent(success)} | ${cost.toFixed(3)} |`,
  );
  return `# ${runId}, step ${step}

A tool-using language model tuned by [Paretune](https://www.npmjs.com/package/paretune) for success at a low tool cost.

| | value | 95 % interval |
| --- | --- | --- |
| success | ${percent(point.success)} | ${percent(point.successLow)} to ${percent(point.successHigh)} |
| tool cost a problem | ${point.cost.toFixed(3)} | ${point.costLow.toFixed(3)} to ${point.costHigh.toFixed(3)} |
| tool calls a problem | ${point.calls.toFixed(2)} | |
| sampled tokens a problem | ${point.responseLength.toFixed(1)} | |

Measured on ${point.n} report problems that no training or selection saw, one answer a problem, sampled at temperature 1.

| variant | file | success | cost |
| --- | --- | --- | --- |
${variants.join('\n')}

fp16 stores weights in 16 bits and computes in 32; q4 stores linear layers in 4 bits (blocks of 32).

## How it was made

- start model: ${model.split(/[\\/]/).at(-1)}
- tasks: ${config.tasks.map((task) => task.split(/[\\/]/).at(-1)).join(', ')}
- method: ${config.method}, ${step} of ${config.steps} steps, ${config.problemsPerStep} problems x ${config.groupSize} rollouts a step, seed ${config.seed}
- trained: ${config.train.parameters === 'lora' ? `LoRA of rank ${config.train.lora.rank}, merged` : 'all weights'}, learning rate ${config.train.learningRate}
- price of a call: ${prices.join(', ') || '1 for every tool'}

## How to run it

    // transformers.js
    env.localModelPath = 'the folder above this one';
    const model = await AutoModelForCausalLM.from_pretrained('the name of this folder', { dtype: '${[...points.keys()][0]}' });

    # onnxruntime-genai
    model = onnxruntime_genai.Model('this folder')

A turn of the model that calls a tool ends like any other; append the tool's answer as a message of role \`tool\` and go on.
`;
}
