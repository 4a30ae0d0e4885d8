/** Completion scripts for shells. They ask the command itself for completions, like those of kubectl. */

export const shells = ['bash', 'zsh', 'fish'] as const;

export type Shell = (typeof shells)[number];

/** Marks an answer for which the shell itself completes file names. */
export const filesMark = ':files';

/** @returns a script to be sourced */
export function completionScript(shell: Shell): string {
  return scripts[shell];
}

const scripts: Readonly<Record<Shell, string>> = {
  // If the answer is empty, bash completes file names (-o default).
  bash: `_agent_gateway() {
  local IFS=$'\\n'
  COMPREPLY=($(COMP_LINE="$COMP_LINE" COMP_POINT="$COMP_POINT" "$1" __complete bash "$2" 2>/dev/null))
}
complete -o default -F _agent_gateway agent-gateway
`,
  zsh: `#compdef agent-gateway
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
_agent_gateway() {
  local -a found
  found=(\${(f)"$("\${(Q)words[1]}" __complete zsh "\${(@Q)words[2,CURRENT]}" 2>/dev/null)"})
  if (( \${found[(I)${filesMark}]} )); then
    compset -P '--*='
    _files
  else
    compadd -- $found
  fi
}
compdef _agent_gateway agent-gateway
`,
  fish: `function __agent_gateway_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l prefix (string match -r -- '^--[^=]*=' $current)
    for found in ($words[1] __complete fish $words[2..-1] "$current" 2>/dev/null)
        if test "$found" = ${filesMark}
            for path in (__fish_complete_path (string replace -- "$prefix" '' "$current"))
                echo "$prefix$path"
            end
        else
            echo $found
        end
    end
end
complete -c agent-gateway -f -a '(__agent_gateway_complete)'
`,
};

/**
 * The words of bash's line up to its cursor, and what bash itself replaces: the part of the last word after = and :.
 * @param environment with COMP_LINE and COMP_POINT
 */
export function bashWords(environment: Readonly<Record<string, string | undefined>>): readonly string[] {
  const { COMP_LINE: line = '', COMP_POINT: point = '' } = environment;
  const typed = Buffer.from(line).subarray(0, Number(point)).toString();
  const words = typed.match(/(?:[^\s'"\\]|\\.|'[^']*'?|"(?:[^"\\]|\\.)*"?)+/gu) ?? [];
  const plain = words.map((word) =>
    word.replaceAll(
      /'([^']*)'?|"((?:[^"\\]|\\.)*)"?|\\(.)/gu,
      (_, single?: string, double?: string, one?: string) => single ?? double?.replaceAll(/\\(.)/gu, '$1') ?? one ?? '',
    ),
  );
  return [...plain.slice(1), ...(/\s$/u.test(typed) ? [''] : [])];
}
