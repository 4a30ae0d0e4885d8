/** A log line for people. */

/** Time, level, message, then what else there is. @param line of pino, JSON */
export function textLine(line: string): string {
  const { level, time, msg, ...rest } = JSON.parse(line) as Record<string, unknown>;
  const fields = Object.entries(rest)
    .filter(([name]) => name !== 'instance')
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`);
  return `${String(time).slice(11, 23)} ${String(level).padEnd(5)} ${String(msg)}${fields.length === 0 ? '' : `  ${fields.join(' ')}`}\n`;
}
