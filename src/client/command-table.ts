/** The terminal's commands with their flags: what is parsed, helped with and completed comes from this one table. */

import { requestNames } from './operation-body.js';
import { outputForms } from './output.js';

export interface Flag {
  readonly name: string;
  readonly short?: string;
  /** What stands for the value in help; absent: a switch. */
  readonly value?: string;
  readonly help: string;
  /** Values that can be completed. */
  readonly choices?: readonly string[];
}

export interface Command {
  /** "ops send" */
  readonly name: string;
  /** What stands for its arguments in help. */
  readonly usage: string;
  readonly summary: string;
  readonly flags: readonly Flag[];
  /** Arguments at least and at most. */
  readonly arguments: readonly [number, number];
  readonly choices?: readonly string[];
}

export const shells = ['bash', 'zsh', 'fish'] as const;

export const outcomes = ['pending', 'completed', 'failed', 'timed out', 'cancelled', 'agent lost'] as const;

const output: Flag = {
  ...{ name: 'output', short: 'o', value: 'FORM', choices: outputForms },
  help: 'table, json or yaml (default table)',
};
const rest: Flag = {
  ...{ name: 'rest', value: 'URL' },
  help: 'base URL of any replica (default $AGENT_GATEWAY_REST, or http://127.0.0.1:7002)',
};
const help: Flag = { name: 'help', short: 'h', help: 'print this help' };
const credentials: readonly Flag[] = [
  {
    ...{ name: 'token-file', value: 'FILE' },
    help: 'file with a bearer token (default $AGENT_GATEWAY_TOKEN_FILE, or the token itself in $AGENT_GATEWAY_TOKEN)',
  },
  { name: 'cacert', value: 'FILE', help: 'authorities of the certificate of the gateway, as PEM' },
  { name: 'cert', value: 'FILE', help: 'certificate to show, as PEM' },
  { name: 'key', value: 'FILE', help: 'its private key' },
];
const everywhere = [output, rest, ...credentials, help];

const account: Flag = { name: 'account', short: 'a', value: 'NAME', help: 'the account' };
const wait: Flag = {
  name: 'wait',
  value: 'SECONDS',
  help: 'how long to wait for the result; 0: not at all (default 30)',
};

export const commands: readonly Command[] = [
  {
    ...{ name: 'ops send', usage: '[REQUEST [KIND [NAME]]]', arguments: [0, 3], choices: requestNames },
    summary:
      `Send an operation and wait for its result. REQUEST: ${requestNames.join(', ')}; KIND: Pod, apps/v1/Deployment ...\n` +
      'Without REQUEST, --file has a whole operation as protobuf JSON, YAML or text format. A FILE of - is standard input.',
    flags: [
      account,
      { name: 'namespace', short: 'n', value: 'NAME', help: 'namespace of the object' },
      {
        name: 'file',
        short: 'f',
        value: 'FILE',
        help: 'manifest (deploy, run-job) or patch as YAML or JSON, or the whole operation',
      },
      { name: 'selector', short: 'l', value: 'LABELS', help: 'label selector, for list and delete' },
      { name: 'replicas', value: 'N', help: 'for scale' },
      { name: 'container', short: 'c', value: 'NAME', help: 'for logs' },
      { name: 'tail', value: 'LINES', help: 'for logs: only the last lines' },
      { name: 'id', value: 'ULID', help: 'id of the operation, so that sending it twice does it once' },
      { name: 'timeout', value: 'SECONDS', help: 'time that the operation has (default: the gateway decides)' },
      wait,
      ...everywhere,
    ],
  },
  {
    ...{ name: 'ops get', usage: 'ID', arguments: [1, 1], summary: 'Show the record of an operation.' },
    flags: everywhere,
  },
  {
    ...{ name: 'ops list', usage: '', arguments: [0, 0], summary: 'List pending and recent operations, newest first.' },
    flags: [
      { ...account, help: 'only those of this account' },
      { name: 'outcome', value: 'OUTCOME', help: `only ${outcomes.join(', ')}`, choices: outcomes },
      {
        name: 'since',
        value: 'TIME',
        help: 'started at this time (ISO 8601) or later, or so long ago: 90s, 10m, 2h, 1d',
      },
      { name: 'until', value: 'TIME', help: 'started before this time, likewise' },
      { name: 'items', value: 'N', help: 'records on a page, 1 to 500 (default 50)' },
      { name: 'page', value: 'N', help: '0 is the first page' },
      ...everywhere,
    ],
  },
  {
    ...{ name: 'ops watch', usage: '[ID]', arguments: [0, 1] },
    summary:
      'With ID: wait until the operation has ended. Without: print operations as they start and end, until Ctrl-C.',
    flags: [
      { ...account, help: 'only those of this account' },
      { ...wait, help: 'with ID: how long (default 300)' },
      ...everywhere,
    ],
  },
  {
    ...{ name: 'agents', usage: '[ID]', arguments: [0, 1], summary: 'List connected agents, or show one.' },
    flags: everywhere,
  },
  {
    ...{ name: 'accounts', usage: '[NAME]', arguments: [0, 1] },
    summary: 'List accounts with the agents that serve them, or show one.',
    flags: everywhere,
  },
  {
    ...{
      name: 'instances',
      usage: '[ID]',
      arguments: [0, 1],
      summary: 'List the replicas of the cluster, or show one.',
    },
    flags: everywhere,
  },
  {
    ...{ name: 'completion', usage: shells.join('|'), arguments: [1, 1], choices: shells },
    summary: 'Print the completion script of a shell: source <(agent-gateway completion bash)',
    flags: [help],
  },
];

export function helpText({ name, usage, summary, flags }: Command): string {
  const rows = flags.map((flag) => {
    const short = flag.short === undefined ? '    ' : `-${flag.short}, `;
    return [`  ${short}--${flag.name}${flag.value === undefined ? '' : ` ${flag.value}`}`, flag.help] as const;
  });
  const width = Math.max(...rows.map(([left]) => left.length));
  const lines = rows.map(([left, right]) => `${left.padEnd(width)}  ${right}\n`);
  return (
    `Usage: agent-gateway ${[name, usage].filter((part) => part !== '').join(' ')} [FLAGS]\n\n${summary}\n\n${lines.join('')}\n` +
    'Exit code: 0 done; 1 the operation failed; 2 a flag is wrong; 3 not found; 4 refused; 5 not available now; 6 no result in time.\n'
  );
}
