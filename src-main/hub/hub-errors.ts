/** What a hub refuses with and how a host fails, in words that say what to do. A token appears in none of them. */
import { ParetuneError } from '../contract/errors.ts';

/** A host that cannot be reached, breaks off or is out of order: worth another try, unlike a refusal. */
export class HostFailure extends Error {
  readonly host: string;
  readonly reason: string;

  constructor(host: string, reason: string, cause?: unknown) {
    super(`${host}: ${reason}`, { cause });
    this.host = host;
    this.reason = reason;
  }

  /** What fetch throws says little itself; its cause has the system's words. Anything that is not of the network passes. */
  static of(host: string, error: unknown): unknown {
    if (error instanceof ParetuneError || !(error instanceof TypeError || isSystemError(error))) return error;
    const { cause } = error as Error;
    const said = cause instanceof Error ? cause : (error as Error);
    const code = isSystemError(said) ? String(said.code) : '';
    return new HostFailure(host, said.message || code || 'the connection failed', error);
  }
}

function isSystemError(error: unknown): error is Error & { code: unknown } {
  return error instanceof Error && 'code' in error && typeof error.code === 'string';
}

const byHand =
  'Without a network, copy the folder of the model (config.json, model.safetensors, tokenizer.json, chat template) or its ' +
  '.gguf file from a machine that has it, then: paretune import FOLDER_OR_GGUF';

/** The failure of a host as an error of the user's; `kept` says what is there already. */
export function explainHostFailure(error: unknown, kept = ''): unknown {
  if (!(error instanceof HostFailure)) return error;
  const certificate = /certificate|self.signed|unable to verify/i.test(error.reason);
  const proxy = certificate
    ? 'If your network checks traffic with a certificate of its own, name its file in NODE_EXTRA_CA_CERTS.'
    : 'Is this machine online? Behind a proxy: NODE_USE_ENV_PROXY=1 HTTPS_PROXY=http://HOST:PORT.';
  return new ParetuneError('network', `${error.host} cannot be reached (${error.reason}).${kept && ` ${kept}`}`, {
    hint: `${proxy} ${byHand}`,
    cause: error,
  });
}

/** An answer that is no success. Reads no more of it than its headers. */
export async function refusalOf(response: Response, host: string, withToken: boolean): Promise<Error> {
  await response.body?.cancel().catch(() => {});
  const { status, headers } = response;
  const code = headers.get('x-error-code');
  const is = (message: string, hint: string) => new ParetuneError('network', message, { hint });
  if (code === 'GatedRepo' || (status === 403 && code === null)) {
    return is(
      `${host} gives this model only to those who have accepted its conditions (${status}).`,
      withToken
        ? 'Accept them on its page with the account of HF_TOKEN, or use a token that may read gated models.'
        : 'Accept them on its page, make a token that may read, and set it as the environment variable HF_TOKEN.',
    );
  }
  if (status === 401) {
    return withToken
      ? is(`${host} does not accept the token of HF_TOKEN, or knows no such model (401).`, 'Check both.')
      : is(
          `${host} knows no such model, or gives it only to those who may read it (401).`,
          'Check the name (OWNER/NAME). For a private or gated model set the environment variable HF_TOKEN to a token that may read.',
        );
  }
  if (status === 403) return is(`${host} refuses (403).`, 'May the account of HF_TOKEN read this model?');
  if (status === 404) {
    const what =
      code === 'RevisionNotFound'
        ? 'no such revision of the model'
        : code === 'EntryNotFound'
          ? 'no such file in the model'
          : 'no such model, revision or file';
    return new ParetuneError('not-found', `${host} has ${what} (404).`, {
      hint: 'Names are OWNER/NAME or OWNER/NAME@REVISION, as on the page of the model.',
    });
  }
  if (status === 429) {
    const wait = headers.get('retry-after');
    const when = wait !== null && /^\d{1,6}$/.test(wait) ? `in ${wait} s` : 'in some minutes';
    const more = withToken ? '' : ' With a token (HF_TOKEN) the limit is higher.';
    return is(
      `${host} takes no more requests from here for now (429).`,
      `The same command goes on from there: try again ${when}.${more}`,
    );
  }
  if (status >= 500 || status === 408) return new HostFailure(host, `its answer is ${status}`);
  return is(`${host} answers with ${status}.`, 'Is HF_ENDPOINT the address of a hub?');
}
