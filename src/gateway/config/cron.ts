/** Times written as a cron expression of Spring's CronExpression: six fields, seconds first, or a macro. */

import { Cron } from 'croner';

export interface Schedule {
  /** The first time after `time` (Unix ms), in Unix ms; undefined if there is none. */
  next(time: number): number | undefined;
}

const macros: Readonly<Record<string, string>> = {
  '@yearly': '0 0 0 1 1 *',
  '@annually': '0 0 0 1 1 *',
  '@monthly': '0 0 0 1 * *',
  '@weekly': '0 0 0 * * 0',
  '@daily': '0 0 0 * * *',
  '@midnight': '0 0 0 * * *',
  '@hourly': '0 0 * * * *',
};

/** In UTC. @throws Error that says what is wrong with the expression */
export function parseCron(expression: string): Schedule {
  const fields = macros[expression.trim()] ?? expression;
  // In Spring the day of the month and the day of the week must both match, unlike in cron(8).
  const cron = new Cron(fields, { timezone: 'UTC', mode: '6-part', domAndDow: true, paused: true });
  if (cron.nextRun() === null) throw new Error('it never matches');
  return { next: (time) => cron.nextRun(new Date(time))?.getTime() };
}
