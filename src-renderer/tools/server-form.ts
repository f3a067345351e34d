/** The form of an MCP server: its fields as typed, the payload they make, and what is wrong by field. Pure. */
import type { CallPayload } from '../../src-main/contract/window-api.ts';
import { calls } from '../../src-main/contract/window-api.ts';
import { words } from '../words.ts';

export type ServerFields = {
  name: string;
  kind: 'stdio' | 'http';
  command: string;
  /** one a line: no shell and no quoting */
  args: string;
  env: string;
  url: string;
};
/** field -> what is wrong with it */
export type ServerErrors = Partial<Record<keyof ServerFields, string>>;
export type ServerPayload = CallPayload<'addServer'>;

export const noServer: ServerFields = { name: '', kind: 'stdio', command: '', args: '', env: '', url: '' };

/** What the fields say, whether or not it can be used. */
export function serverOf({ kind, command, args, env, url }: ServerFields): ServerPayload['server'] {
  if (kind === 'http') return { kind, url: url.trim() };
  return {
    kind,
    command: command.trim(),
    args: args.split(/\r?\n/).filter((line) => line !== ''),
    env: env.split(/[\s,]+/).filter((name) => name !== ''),
  };
}

/** The payload of `addServer`, or what is wrong with it: field -> message. `taken` are the names of the servers there are. */
export function payloadOf(
  fields: ServerFields,
  taken: readonly string[],
): { payload: ServerPayload; errors: null } | { payload: null; errors: ServerErrors } {
  const w = words.ownTools.form;
  const payload = { name: fields.name.trim(), server: serverOf(fields) };
  const errors: ServerErrors = {};
  const { error } = calls.addServer.safeParse(payload);
  for (const { path, message } of error?.issues ?? []) {
    const field = (path[0] === 'name' ? 'name' : path[1]) as keyof ServerFields;
    errors[field] ??= `${message}.`;
  }
  if (taken.includes(payload.name)) errors.name = w.nameTaken(payload.name);
  const { server } = payload;
  if (server.kind === 'http' && !/^https?:$/.test(URL.canParse(server.url) ? new URL(server.url).protocol : '')) errors.url = w.noAddress;
  for (const field of ['name', server.kind === 'http' ? 'url' : 'command'] as const) if (fields[field].trim() === '') errors[field] = w.needed;
  return Object.keys(errors).length > 0 ? { payload: null, errors } : { payload, errors: null };
}
