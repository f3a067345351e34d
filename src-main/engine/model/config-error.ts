/** The two ways in which a config.json can be refused. */
import { ParetuneError } from '../../contract/errors.ts';
import { familyTitles } from './model-families.ts';

const CHOOSE = `Choose a ${familyTitles} model in its plain, dense, unquantized form.`;

/** What the file describes is no model of ours: the key, its value, and what would be. */
export function unsupported(key: string, value: unknown, supported: string, hint = CHOOSE): ParetuneError {
  return new ParetuneError(
    'unsupported',
    `config.json: ${key} is ${JSON.stringify(value)}; supported is ${supported}.`,
    { hint },
  );
}

/** The file is malformed or contradicts itself. */
export function badConfig(message: string): ParetuneError {
  return new ParetuneError('bad-file', `config.json: ${message}.`, {
    hint: 'Download the model again, or compare the file with the one of the original model.',
  });
}
