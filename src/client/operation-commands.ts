/** `ops send`, `ops get`, `ops list` and `ops watch`. */

import { setTimeout as delay } from 'node:timers/promises';
import { exitCodes, usageError, type ExitCode } from './exit-code.js';
import type { OperationBody } from './operation-body.js';
import { format, table, type Column, type OutputForm } from './output.js';
import type { RestClient } from './rest-client.js';

export interface OperationRecord {
  readonly operationId: string;
  readonly operationType: string;
  readonly account: string;
  readonly startTime: string;
  readonly totalDurationMs?: number;
  readonly finalOutcome?: string;
  readonly message?: string;
  readonly opReceivedByClouddriver?: { readonly clouddriverId: string };
  readonly opSentToAgent?: { readonly agentId: string };
}

interface Result {
  readonly status?: number;
  readonly message?: string;
  readonly objects?: { readonly manifests?: readonly string[] };
  readonly logs?: { readonly text?: string };
}

export interface ListFilter {
  readonly account?: string | undefined;
  readonly outcome?: string | undefined;
  readonly since?: string | undefined;
  readonly until?: string | undefined;
  readonly items?: string | undefined;
  readonly page?: string | undefined;
}

const operationsPath = '/armory/agent/operations';
const pollMs = 1_000;
/** Operations remembered by a watch, so that each is printed once when it starts and once when it ends. */
const remembered = 5_000;

const columns: readonly Column<OperationRecord>[] = [
  ['OPERATION', ({ operationId }) => operationId],
  ['TYPE', ({ operationType }) => operationType],
  ['ACCOUNT', ({ account }) => account],
  ['STARTED', ({ startTime }) => startTime],
  ['OUTCOME', outcomeOf],
  ['TOOK', ({ totalDurationMs }) => (totalDurationMs === undefined ? '' : `${totalDurationMs} ms`)],
  ['AGENT', ({ opSentToAgent }) => opSentToAgent?.agentId ?? ''],
  ['MESSAGE', ({ message }) => (message ?? '').split('\n')[0] ?? ''],
];

export interface Printed {
  readonly text: string;
  readonly exitCode: ExitCode;
}

/** @param waitSeconds for the result; 0: not at all */
export async function send(
  client: RestClient,
  form: OutputForm,
  operation: OperationBody,
  waitSeconds: number,
): Promise<Printed> {
  const headers = {
    accept: 'application/json; form=json',
    ...(waitSeconds === 0 ? {} : { prefer: `wait=${waitSeconds}` }),
  };
  const { body } = await client.post(operationsPath, { operation }, headers);
  const { id } = body['operation'] as { readonly id: string };
  const result = body['result'] as Result | undefined;
  const text = form === 'table' ? resultText(id, result) : format(form, body, []);
  if (result === undefined) return { text, exitCode: waitSeconds === 0 ? exitCodes.done : exitCodes.noResult };
  const { status = 0 } = result;
  return { text, exitCode: status >= 200 && status < 300 ? exitCodes.done : exitCodes.failed };
}

export async function get(client: RestClient, form: OutputForm, id: string): Promise<string> {
  return format(form, await find(client, id), columns);
}

export async function list(client: RestClient, form: OutputForm, filter: ListFilter, now: number): Promise<string> {
  const { since, until } = filter;
  const query = { ...filter, since: timeOf('since', since, now), until: timeOf('until', until, now) };
  return format(form, (await client.get(operationsPath, query)) as readonly OperationRecord[], columns);
}

/** Waits until the operation has ended. */
export async function watchOne(
  client: RestClient,
  form: OutputForm,
  id: string,
  waitSeconds: number,
  signal: AbortSignal,
): Promise<Printed> {
  const until = performance.now() + waitSeconds * 1_000;
  for (;;) {
    const record = await find(client, id);
    const { finalOutcome } = record;
    if (finalOutcome !== undefined) {
      const exitCode = finalOutcome === 'completed' ? exitCodes.done : exitCodes.failed;
      return { text: format(form, record, columns), exitCode };
    }
    if (performance.now() >= until) return { text: format(form, record, columns), exitCode: exitCodes.noResult };
    await delay(pollMs, undefined, { signal });
  }
}

/** Writes each operation when it has started and again when it has ended, until the signal aborts. */
export async function watchAll(
  client: RestClient,
  form: OutputForm,
  account: string | undefined,
  write: (text: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const seen = new Map<string, string>();
  let headings = true;
  for (;;) {
    const newest = (await client.get(operationsPath, { account, items: '100' })) as readonly OperationRecord[];
    const changed = newest.filter((record) => seen.get(record.operationId) !== outcomeOf(record)).toReversed();
    for (const record of changed) {
      seen.delete(record.operationId);
      seen.set(record.operationId, outcomeOf(record));
    }
    for (const id of [...seen.keys()].slice(0, Math.max(0, seen.size - remembered))) seen.delete(id);
    if (form === 'table' && (headings || changed.length > 0)) {
      const text = table(changed, columns);
      write(headings ? text : text.slice(text.indexOf('\n') + 1));
      headings = false;
    } else if (form === 'json') for (const record of changed) write(`${JSON.stringify(record)}\n`);
    else for (const record of changed) write(`---\n${format(form, record, [])}`);
    await delay(pollMs, undefined, { signal });
  }
}

async function find(client: RestClient, id: string): Promise<OperationRecord> {
  return (await client.get(`${operationsPath}/${encodeURIComponent(id)}`)) as OperationRecord;
}

function outcomeOf({ finalOutcome }: OperationRecord): string {
  return finalOutcome ?? 'pending';
}

/** What a person wants to see of a result: its message, then the objects or the log. */
function resultText(id: string, result: Result | undefined): string {
  if (result === undefined) return `operation ${id} is under way; agent-gateway ops watch ${id}\n`;
  const { status = 0, message = '', objects, logs } = result;
  const decode = (text: string) => Buffer.from(text, 'base64').toString();
  const manifests = (objects?.manifests ?? []).map((one) => `${pretty(decode(one))}\n`);
  const head = `operation ${id}: ${status}${message === '' ? '' : ` ${message}`}\n`;
  return `${head}${manifests.join('')}${logs?.text === undefined ? '' : decode(logs.text)}`;
}

function pretty(json: string): string {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json;
  }
}

const units: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A time, or how long ago. @throws ClientError */
function timeOf(flag: string, text: string | undefined, now: number): string | undefined {
  if (text === undefined) return undefined;
  const [, amount, unit] = /^(\d+)([smhd])$/u.exec(text) ?? [];
  const ms = amount === undefined ? Date.parse(text) : now - Number(amount) * (units[unit ?? ''] ?? 0);
  if (Number.isNaN(ms))
    throw usageError(`--${flag} must be a time such as 2026-03-01T12:00:00Z, or 10m, 2h, 1d; not "${text}"`);
  return new Date(ms).toISOString();
}
