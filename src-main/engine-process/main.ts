/** Entry of the engine process: `main.ts DATA_FOLDER`. Answers the requests of protocol.ts with the table of commands.ts. */
import { resolve } from 'node:path';
import { commands } from './commands.ts';
import { connectToParent } from './parent-connection.ts';
import { type CommandTable, serve } from './serve.ts';

serve(commands as CommandTable, connectToParent(), resolve(process.argv[2]));
