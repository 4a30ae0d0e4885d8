/** What the code asks of a logger: a structural subset of pino's, so that only telemetry imports pino. */

/** Writes one line: fields a machine can search, and one sentence for a reader. */
export type LogLine = (fields: object, message: string) => void;

export interface Logger {
  readonly debug: LogLine;
  readonly info: LogLine;
  readonly warn: LogLine;
  readonly error: LogLine;
  /** A logger that adds `fields` to each of its lines. */
  child(fields: object): Logger;
}
