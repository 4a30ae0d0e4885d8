/** Completion scripts for shells, made of the table of commands. */

import { commands, type Command, type shells } from './command-table.js';

/** Commands that are completed by name alone. */
const others = ['serve', 'agent', 'migrate', 'doctor', 'simulate', 'version', 'help'];

export function completion(shell: (typeof shells)[number]): string {
  switch (shell) {
    case 'bash':
      return bash();
    case 'zsh':
      // zsh runs bash's completions.
      return `autoload -U +X bashcompinit && bashcompinit\n${bash()}`;
    case 'fish':
      return fish();
  }
}

function bash(): string {
  const cases = commands.map(
    (command) =>
      `    "${command.name}"*) words="${[...(command.choices ?? []), ...flagNames(command)].join(' ')}" ;;\n`,
  );
  const flagCases = choiceFlags().map(
    ([flag, choices]) =>
      `    ${flag}) mapfile -t COMPREPLY < <(compgen -W "${choices.join(' ')}" -- "$current"); return ;;\n`,
  );
  return `_agent_gateway() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" words
  case "$previous" in
    -f|--file) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
${flagCases.join('')}  esac
  case "\${COMP_WORDS[*]:1:COMP_CWORD-1}" in
    "") words="${[...topLevel(), ...others].join(' ')}" ;;
    ops) words="${subcommands('ops').join(' ')}" ;;
${cases.join('')}  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -F _agent_gateway agent-gateway
`;
}

function fish(): string {
  const lines = [`complete -c agent-gateway -f`];
  const top = [...topLevel(), ...others];
  lines.push(`complete -c agent-gateway -n __fish_use_subcommand -a '${top.join(' ')}'`);
  const subs = subcommands('ops');
  lines.push(
    `complete -c agent-gateway -n '__fish_seen_subcommand_from ops; and not __fish_seen_subcommand_from ${subs.join(' ')}' -a '${subs.join(' ')}'`,
  );
  for (const command of commands) {
    const seen = command.name
      .split(' ')
      .map((word) => `__fish_seen_subcommand_from ${word}`)
      .join('; and ');
    if (command.choices !== undefined)
      lines.push(`complete -c agent-gateway -n '${seen}' -a '${command.choices.join(' ')}'`);
    for (const { name, short, value, help, choices } of command.flags) {
      const values = choices === undefined ? '' : ` -a '${choices.join(' ')}'`;
      const file = name === 'file' ? ' -F' : '';
      lines.push(
        `complete -c agent-gateway -n '${seen}' -l ${name}${short === undefined ? '' : ` -s ${short}`}${value === undefined ? '' : ' -r'}${values}${file} -d ${quoted(help)}`,
      );
    }
  }
  return `${lines.join('\n')}\n`;
}

function topLevel(): string[] {
  return [...new Set(commands.map(({ name }) => name.split(' ')[0] ?? name))];
}

function subcommands(first: string): string[] {
  return commands.flatMap(({ name }) => (name.startsWith(`${first} `) ? [name.slice(first.length + 1)] : []));
}

function flagNames({ flags }: Command): string[] {
  return flags.map(({ name }) => `--${name}`);
}

/** Flags with a fixed set of values without blanks, as bash's case patterns. */
function choiceFlags(): [string, readonly string[]][] {
  const found = new Map<string, readonly string[]>();
  for (const { flags } of commands) {
    for (const { name, short, choices } of flags) {
      if (choices === undefined || choices.some((choice) => choice.includes(' '))) continue;
      found.set(short === undefined ? `--${name}` : `-${short}|--${name}`, choices);
    }
  }
  return [...found];
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`\'`)}'`;
}
