/** Settings from the command line: `--kubesvc.grpc.server.port 9091`, `--kubesvc.grpc.server.port=9091`, `--config F`. */

import { leaves } from './leaves.js';
import { canonical } from './spelling.js';
import type { Entry, SettingProblem } from '../../configuration/problems.js';

/**
 * Splits arguments into settings. A setting that is true or false may stand alone, which means true. Whether a key
 * exists is not decided here. Nothing but names is repeated in problems: a value may be a password.
 */
export function readFlags(flags: readonly string[]): {
  readonly file?: string;
  readonly entries: readonly Entry[];
  readonly problems: readonly SettingProblem[];
} {
  const entries: Entry[] = [];
  const problems: SettingProblem[] = [];
  let file: string | undefined;
  for (let index = 0; index < flags.length; index += 1) {
    const argument = flags[index] ?? '';
    if (!argument.startsWith('--') || argument === '--') {
      problems.push({ key: `argument ${String(index + 1)}`, message: 'expected --KEY=VALUE or --KEY VALUE' });
      continue;
    }
    const equals = argument.indexOf('=');
    const key = argument.slice(2, equals === -1 ? undefined : equals);
    let value = equals === -1 ? undefined : argument.slice(equals + 1);
    if (value === undefined) {
      const next = flags[index + 1];
      const alone = leaves.get(canonical(key))?.kind === 'boolean' && next !== 'true' && next !== 'false';
      if (alone) {
        value = 'true';
      } else if (next === undefined || next.startsWith('--')) {
        problems.push({ key: `--${key}`, message: 'expected a value after it' });
        continue;
      } else {
        value = next;
        index += 1;
      }
    }
    if (key === 'config') file = value;
    else entries.push({ key, value, origin: { kind: 'flag', text: `--${key}` } });
  }
  return { ...(file === undefined ? {} : { file }), entries, problems };
}
