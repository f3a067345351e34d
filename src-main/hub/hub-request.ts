/** How a user names a model of a hub, and which names of files are fit to become files here. */
import { ParetuneError } from '../contract/errors.ts';

/** What is asked for: `OWNER/NAME`, a branch, tag or commit, and one GGUF file instead of a model folder. */
export type HubRequest = { repo: string; revision: string; file: string | null };

/** A file format that runs what it holds. */
export const pickle = /\.(bin|pt|pth|ckpt|pkl|pickle)$/i;
/** A name that leads nowhere else, on any system. */
export const bareName = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,199}$/;

/** `OWNER/NAME` or `OWNER/NAME@REVISION`, and a file of it. Throws `usage`. */
export function parseHubRequest(text: string, file: string | undefined): HubRequest {
  const [repo, revision = 'main', ...more] = text.split('@');
  const part = '[A-Za-z0-9][A-Za-z0-9._-]{0,95}';
  const good =
    new RegExp(`^(${part}/)?${part}$`).test(repo) &&
    /^[A-Za-z0-9][A-Za-z0-9._/-]{0,199}$/.test(revision) &&
    more.length === 0 &&
    !text.includes('..');
  if (!good) {
    throw new ParetuneError('usage', `${JSON.stringify(text)} does not name a model of a hub.`, {
      hint: 'Write OWNER/NAME as on the page of the model, or OWNER/NAME@REVISION with a branch, tag or commit.',
    });
  }
  if (file !== undefined) checkGgufName(file);
  return { repo, revision, file: file ?? null };
}

/** Throws `usage`, or `unsupported` for a kind of file that is never fetched. */
export function checkGgufName(file: string): void {
  if (pickle.test(file)) throw refusePickles([file]);
  const safe = file.split('/').every((part) => bareName.test(part) && !part.includes('..'));
  if (!safe || !/\.gguf$/i.test(file)) {
    throw new ParetuneError('usage', `--file is ${JSON.stringify(file)}; it names one .gguf file of the model.`);
  }
  if (/-\d{5}-of-\d{5}\.gguf$/i.test(file)) {
    throw new ParetuneError(
      'unsupported',
      `${file} is a part of a model in several GGUF files, which cannot be read.`,
      {
        hint: 'Choose a model in one file, or one in safetensors.',
      },
    );
  }
}

/** `unsupported`: these files are not fetched, and why. */
export function refusePickles(names: readonly string[]): ParetuneError {
  return new ParetuneError(
    'unsupported',
    `${names.slice(0, 5).join(', ')}: pickle files are never fetched, since reading one can run any program.`,
    {
      hint: 'Look for the same model in safetensors or GGUF, or convert it where you trust it, then: paretune import FOLDER',
    },
  );
}
