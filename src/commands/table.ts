/** All commands of `agent-gateway`. Modules that few of them need are loaded on demand. */

import { clusterCommands } from '../client/cluster-commands.js';
import { completionAnswer } from '../client/complete.js';
import { completionScript, shells } from '../client/completion.js';
import { exitCodesHelp } from '../client/exit-code.js';
import { help } from '../client/flags.js';
import { kubeconfigCommand } from '../client/kubeconfig-command.js';
import { operationCommands } from '../client/operation-table.js';
import { command, type Command, type CommandIo } from '../command-line/command.js';
import { choice, file, readFlag } from '../command-line/flags.js';
import { helpText, overview } from '../command-line/help.js';
import { knownStart } from '../command-line/parse.js';
import { simulateExitCodes, simulateFlags, simulateSummary } from '../simulate/command-line.js';

/** What the commands of several words have in common. */
const groups = { ops: 'Send operations to a running gateway, and list, show or watch them.' };

const config = file({ help: 'configuration file (default $AGENT_GATEWAY_CONFIG, or none)' });
const settings = {
  arguments: [],
  settings: async () => [...(await import('../gateway/config/leaves.js')).leaves.keys()],
};
const ofServer = 'Exit code: 0 stopped or done; 1 failed; 2 the configuration is wrong.';

async function load(flags: readonly string[], { environment }: CommandIo) {
  const { loadConfig } = await import('../gateway/config/config.js');
  return loadConfig({ environment, flags });
}

export const commands: readonly Command[] = [
  command({
    name: 'serve',
    ...settings,
    exitCodes: ofServer,
    summary: 'Run one replica of the gateway.',
    flags: { config, help },
    run: async (input, io) => {
      const [{ serve }, loaded] = await Promise.all([import('./serve.js'), load(input.settings, io)]);
      return serve({ ...io, loaded });
    },
  }),
  command({
    name: 'agent',
    summary: 'Run an agent that serves accounts to the gateway (docs/agent-configuration.md).',
    arguments: [],
    exitCodes: ofServer,
    flags: {
      config: file({ help: 'configuration file (default $AGENT_GATEWAY_AGENT_CONFIG)' }),
      help,
    },
    run: async ({ flags }, io) => (await import('./agent.js')).runAgent(flags.config, io),
  }),
  command({
    name: 'migrate',
    ...settings,
    exitCodes: ofServer,
    summary: "Bring the database's tables up to date.",
    flags: { config, help },
    run: async (input, io) => {
      const [{ runMigrate }, { config: loaded }] = await Promise.all([
        import('./migrate.js'),
        load(input.settings, io),
      ]);
      return runMigrate(loaded, io);
    },
  }),
  command({
    name: 'doctor',
    ...settings,
    exitCodes: 'Exit code: 0 nothing failed; 1 a check failed; 2 a flag is wrong.',
    summary: 'Check configuration, SQL, Redis, Kubernetes, ports and TLS files, and say how to fix them.',
    flags: {
      config,
      output: choice(['text', 'json'], { value: 'FORM', help: 'text or json (default text)' }),
      help,
    },
    run: async (input, { environment, signal, stdout }) => {
      const { doctor } = await import('./doctor.js');
      return doctor({ environment, flags: input.settings }, { write: (text) => stdout.write(text), signal });
    },
  }),
  command({
    name: 'simulate',
    summary: simulateSummary,
    arguments: [],
    exitCodes: simulateExitCodes,
    flags: simulateFlags,
    run: async ({ flags }, io) => (await import('./simulate.js')).runSimulate(flags, io),
  }),
  ...operationCommands,
  ...clusterCommands,
  kubeconfigCommand,
  command({
    name: 'completion',
    summary: 'Print the completion script of a shell: source <(agent-gateway completion bash).',
    arguments: [{ name: 'SHELL', completes: shells }],
    flags: { help },
    run: ({ words: [shell = ''] }, { stdout }) => {
      const flag = choice(shells, { value: 'SHELL', help: '' });
      stdout.write(completionScript(readFlag('SHELL', flag, shell)));
      return 0;
    },
  }),
  command({
    name: '__complete',
    summary: 'What the completion scripts call; its name is that of Cobra.',
    arguments: [],
    hidden: true,
    flags: {},
    run: async ({ settings: words }, io) => {
      io.stdout.write(await completionAnswer(commands, words, io));
      return 0;
    },
  }),
  command({
    name: 'version',
    summary: 'Print the version.',
    arguments: [],
    exitCodes: '',
    flags: { help },
    run: (_, { stdout, version }) => {
      stdout.write(`${version}\n`);
      return 0;
    },
  }),
  command({
    name: 'help',
    summary: 'Print the help of a command.',
    arguments: ['COMMAND', 'SUBCOMMAND', 'REQUEST'].map((name) => ({ name, optional: true })),
    exitCodes: '',
    flags: { help },
    run: ({ words }, { stdout }) => {
      stdout.write(helpOf(words));
      return 0;
    },
  }),
];

/** @throws UsageError if the words are not a command */
export function helpOf(words: readonly string[]): string {
  const start = knownStart(commands, words);
  return start === '' ? overview(commands, groups) : helpText(commands, start, exitCodesHelp);
}
