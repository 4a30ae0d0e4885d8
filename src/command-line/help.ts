/** Help, made of the commands themselves. */

import { startsWith, usageOf, type Command } from './command.js';
import type { Flag } from './flags.js';

/** Of all commands: a line for each first word. @param groups what commands of several words have in common */
export function overview(commands: readonly Command[], groups: Readonly<Record<string, string>>): string {
  const lines = new Map<string, string>();
  for (const { name, summary, hidden } of commands) {
    const [first = ''] = name.split(' ');
    if (hidden !== true && !lines.has(first)) lines.set(first, groups[first] ?? firstLine(summary));
  }
  const rows = [...lines].map(([name, summary]) => [name, summary] as const);
  return `Usage: agent-gateway COMMAND [FLAGS]\n\nCommands:\n${columns(rows)}
Run agent-gateway COMMAND --help for more about a command, or --version for the version.
`;
}

const settingsHelp = `
Every setting (docs/configuration.md) is a flag too: --kubesvc.grpc.server.port=9091
`;

/**
 * Of the commands whose names begin with `start`.
 * @param exitCodes what they mean where a command does not say it itself
 */
export function helpText(commands: readonly Command[], start: string, exitCodes: string): string {
  const meant = commands.filter(({ name, hidden }) => hidden !== true && startsWith(name, start));
  const usages = meant.map(
    (one) => `agent-gateway ${[one.name, usageOf(one)].filter((part) => part !== '').join(' ')}`,
  );
  const named = meant.filter(({ name }) => name === start);
  const rows =
    meant.length === 1 ? [] : meant.map((one, index) => [usages[index] ?? '', firstLine(one.summary)] as const);
  const usage = usages.map((one) => `${one} [FLAGS]\n`).join('       ');
  const described = meant.length === 1 ? `${meant[0]?.summary ?? ''}\n` : columns(rows);
  const said = named[0]?.exitCodes ?? exitCodes;
  const head = meant.length === 1 ? `Usage: ${usage}` : `Usage: agent-gateway ${start} ... [FLAGS]\n`;
  const settings = meant.some((one) => one.settings !== undefined) ? settingsHelp : '';
  return `${head}\n${described}\n${flagsOf(meant)}${settings}${said === '' ? '' : `\n${said}\n`}`;
}

/** Every flag once, with the commands that have it where not all do. */
function flagsOf(commands: readonly Command[]): string {
  const found = new Map<string, { readonly flag: Flag; readonly names: Set<string> }>();
  for (const { name, flags } of commands)
    for (const [flagName, flag] of Object.entries(flags)) {
      const seen = found.get(flagName) ?? { flag, names: new Set() };
      seen.names.add(name.split(' ').at(-1) ?? name);
      found.set(flagName, seen);
    }
  const count = new Set(commands.map(({ name }) => name)).size;
  const rows = [...found].map(([name, { flag, names }]) => {
    const { short, value, help } = flag;
    const left = `${short === undefined ? '    ' : `-${short}, `}--${name}${value === undefined ? '' : ` ${value}`}`;
    return [left, names.size < count ? `${help} (${[...names].join(', ')})` : help] as const;
  });
  return columns(rows);
}

function columns(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(0, ...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`.trimEnd() + '\n').join('');
}

function firstLine(text: string): string {
  return text.split('\n')[0] ?? '';
}
