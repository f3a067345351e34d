/** `paretune doctor`: can this machine do it? */
import type { Command } from 'commander';
import { act, examples } from '../command-line.ts';
import { table } from '../table.ts';

export function doctorCommand(program: Command): void {
  program
    .command('doctor')
    .description('checks this machine and this installation')
    .addHelpText('after', examples('doctor', 'doctor --json'))
    .action(
      act(async (session) => {
        const result = await session.engine('doctor', {});
        const words = { ok: 'ok', warning: 'WARNING', failed: 'FAILED' };
        session.print(
          table(
            [{ title: 'check' }, { title: '' }, { title: '' }],
            result.checks.map(({ name, state, message }) => [name, words[state], message]),
          ),
        );
        for (const { name, hint } of result.checks) if (hint !== '') session.print(`${name}: ${hint}`);
        session.failed = !result.ok;
        return result;
      }),
    );
}
