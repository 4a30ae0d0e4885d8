/** The log of a command: JSON, or lines for people. */

import { pino, type Logger } from 'pino';

export interface LoggerOptions {
  readonly level: string;
  readonly format: 'text' | 'json';
  /** Fields of every line. */
  readonly base: Readonly<Record<string, string>>;
}

export function createLogger({ level, format, base }: LoggerOptions, stream: { write(line: string): unknown }): Logger {
  return pino(
    {
      level,
      base: { ...base },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    format === 'text'
      ? { write: (line: string) => stream.write(textLine(line)) }
      : { write: (line: string) => stream.write(line) },
  );
}

/** Time, level, message, then the other fields. @param line of pino, JSON */
function textLine(line: string): string {
  const { level, time, msg, ...rest } = JSON.parse(line) as Record<string, unknown>;
  const fields = Object.entries(rest)
    .filter(([name]) => name !== 'instance')
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`);
  return `${String(time).slice(11, 23)} ${String(level).padEnd(5)} ${String(msg)}${fields.length === 0 ? '' : `  ${fields.join(' ')}`}\n`;
}
