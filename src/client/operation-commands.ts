/** Implements `ops send`, `ops get`, `ops list` and `ops watch`; operation-table.ts defines their command lines. */

import { setTimeout as delay } from 'node:timers/promises';
import { parseJson, stringifyJson } from '../documents/exact-json.js';
import { ClientError, exitCodes, type ExitCode } from './exit-code.js';
import type { OperationBody } from './operation-body.js';
import { format, table, type Column } from './output.js';
import { pathOf, type RestClient, type Shape } from './rest-client.js';
import type { ClientSession } from './session.js';

export interface RestOperation {
  readonly operationId: string;
  readonly operationType: string;
  readonly account: string;
  readonly startTime: string;
  readonly totalDurationMs?: number;
  readonly finalOutcome?: string;
  readonly message?: string;
  readonly opReceivedByClouddriver?: { readonly clouddriverId: string };
  readonly opSentToAgent?: { readonly agentId: string };
  readonly caller?: string;
  readonly verb?: string;
  readonly object?: {
    readonly group: string;
    readonly kind?: string;
    readonly resource: string;
    readonly namespace: string;
    readonly name: string;
    readonly selector?: string;
    readonly others?: readonly string[];
  };
  readonly mode?: string;
  readonly reason?: string;
  readonly count?: number;
}

const shape: Shape<RestOperation> = {
  operationId: 'string',
  operationType: 'string',
  account: 'string',
  startTime: 'string',
};

interface Result {
  readonly status?: number;
  readonly message?: string;
  readonly objects?: { readonly manifests?: readonly string[] };
  readonly logs?: { readonly text?: string };
}

/** Query parameters of the list. */
export type ListFilter = Readonly<
  Record<
    | 'account'
    | 'type'
    | 'kind'
    | 'namespace'
    | 'name'
    | 'caller'
    | 'agent'
    | 'replica'
    | 'search'
    | 'since'
    | 'until'
    | 'items'
    | 'page',
    string | undefined
  > & { outcome: readonly string[] | undefined }
>;

const operationsPath = '/armory/agent/operations';
const pollMs = 1_000;
/** Operations remembered by a watch, so that each is printed once when it starts and once when it ends. */
const remembered = 5_000;

const columns: readonly Column<RestOperation>[] = [
  ['OPERATION', ({ operationId }) => operationId],
  ['TYPE', ({ operationType }) => operationType],
  ['ACCOUNT', ({ account }) => account],
  ['STARTED', ({ startTime }) => startTime],
  ['OUTCOME', toldOutcome],
  ['TOOK', ({ totalDurationMs }) => (totalDurationMs === undefined ? '' : `${totalDurationMs} ms`)],
  ['VERB', ({ verb }) => verb ?? ''],
  ['MODE', ({ mode }) => mode ?? ''],
  ['RESOURCE', ({ object }) => object?.resource ?? ''],
  ['OBJECT', objectOf],
  ['CALLER', ({ caller }) => caller ?? ''],
  ['AGENT', ({ opSentToAgent }) => opSentToAgent?.agentId ?? ''],
  ['MESSAGE', messageOf],
];

/**
 * Sends an operation and prints its result.
 * @param waitSeconds for the result; 0: not at all
 */
export async function send(session: ClientSession, operation: OperationBody, waitSeconds: number): Promise<ExitCode> {
  const { client, form, io } = session;
  const headers = {
    accept: 'application/json; form=json',
    ...(waitSeconds === 0 ? {} : { prefer: `wait=${waitSeconds}` }),
  };
  const { id } = operation;
  const { body } = await tellingHowToWatch(session, id, () => client.post(operationsPath, { operation }, headers));
  const result = body['result'] as Result | undefined;
  const underWay = `operation ${id} is under way; ${session.watchCommand(id)}\n`;
  const text = result === undefined ? underWay : resultText(id, result);
  io.stdout.write(form === 'table' ? text : format(form, body, []));
  if (result === undefined) return exitCodes.noResult;
  const { status = 0 } = result;
  return status >= 200 && status < 300 ? exitCodes.done : exitCodes.failed;
}

export async function get({ client, form, io }: ClientSession, id: string): Promise<ExitCode> {
  io.stdout.write(format(form, await find(client, id), columns));
  return exitCodes.done;
}

/** A search for something rare looks only so far back at a time: it goes on for so long while the list is not full. */
const searchMs = 10_000;
const defaultItems = 50;

export async function list({ client, form, io }: ClientSession, filter: ListFilter): Promise<ExitCode> {
  const wanted = Number(filter.items ?? defaultItems);
  const until = performance.now() + searchMs;
  const found: RestOperation[] = [];
  let after: string | undefined;
  do {
    const query = after === undefined ? filter : { ...filter, items: String(wanted - found.length), after };
    const page = await client.page<RestOperation>(operationsPath, shape, query);
    found.push(...page.rows);
    after = filter.page === undefined ? page.after : undefined;
  } while (after !== undefined && found.length < wanted && performance.now() < until);
  io.stdout.write(format(form, found, columns));
  if (after !== undefined && found.length < wanted) {
    // Positions begin with the time, Unix ms. Others may have started at the same one.
    const reached = new Date(Number.parseInt(after, 10) + 1).toISOString();
    io.stderr.write(`agent-gateway: the search has reached ${reached}; to go on, add --until ${reached}\n`);
  }
  return exitCodes.done;
}

/** Waits until the operation has ended, and prints its record. */
export async function watchOne(session: ClientSession, id: string, waitSeconds: number): Promise<ExitCode> {
  const { client, form, io } = session;
  const until = performance.now() + waitSeconds * 1_000;
  const record = await tellingHowToWatch(session, id, async () => {
    for (;;) {
      const found = await find(client, id);
      if (found.finalOutcome !== undefined || performance.now() >= until) return found;
      await delay(Math.min(pollMs, until - performance.now()), undefined, { signal: io.signal });
    }
  });
  io.stdout.write(format(form, record, columns));
  if (record.finalOutcome === undefined) return exitCodes.noResult;
  return record.finalOutcome === 'completed' ? exitCodes.done : exitCodes.failed;
}

/** A user who stops waiting must know that the operation continues, and how to watch it again. */
async function tellingHowToWatch<T>(
  { io, watchCommand }: ClientSession,
  id: string,
  wait: () => Promise<T>,
): Promise<T> {
  try {
    return await wait();
  } catch (error) {
    const unknown = error instanceof ClientError && error.exitCode === exitCodes.noResult;
    if (io.signal.aborted) io.stderr.write(`agent-gateway: stopped; operation ${id} may still be under way\n`);
    if (io.signal.aborted || unknown) io.stderr.write(`To watch it: ${watchCommand(id)}\n`);
    throw error;
  }
}

/** Writes each operation when it has started and again when it has ended, until the signal aborts. */
export async function watchAll({ client, form, io }: ClientSession, account: string | undefined): Promise<never> {
  const seen = new Map<string, string>();
  let headings = true;
  for (;;) {
    const newest = await client.list<RestOperation>(operationsPath, shape, { account, items: '100' });
    const changed = newest.filter((record) => seen.get(record.operationId) !== outcomeOf(record)).toReversed();
    for (const record of changed) {
      seen.delete(record.operationId);
      seen.set(record.operationId, outcomeOf(record));
    }
    for (const id of [...seen.keys()].slice(0, Math.max(0, seen.size - remembered))) seen.delete(id);
    if (form === 'table' && (headings || changed.length > 0)) {
      const text = table(changed, columns);
      io.stdout.write(headings ? text : text.slice(text.indexOf('\n') + 1));
      headings = false;
    } else if (form === 'json') for (const record of changed) io.stdout.write(`${stringifyJson(record)}\n`);
    else for (const record of changed) io.stdout.write(`---\n${format(form, record, [])}`);
    await delay(pollMs, undefined, { signal: io.signal });
  }
}

function toldOutcome(record: RestOperation): string {
  const { reason, count = 1 } = record;
  if (reason === undefined) return outcomeOf(record);
  return `${outcomeOf(record)} (${reason}${count === 1 ? '' : `, ${String(count)} times`})`;
}

function objectOf({ object }: RestOperation): string {
  if (object === undefined) return '';
  const { namespace, selector = '', others = [] } = object;
  const name = object.name === '' && selector !== '' ? `(${selector})` : object.name;
  const text = namespace === '' ? name : `${namespace}/${name}`;
  return others.length === 0 ? text : `${text}, ${others.join(', ')}`;
}

function messageOf({ message = '' }: RestOperation): string {
  return message.split('\n')[0] ?? '';
}

function find(client: RestClient, id: string): Promise<RestOperation> {
  return client.one<RestOperation>(pathOf(operationsPath, id), shape);
}

function outcomeOf({ finalOutcome }: RestOperation): string {
  return finalOutcome ?? 'pending';
}

/** The part of a result for people: its message, then the objects or the log. */
function resultText(id: string, result: Result): string {
  const { status = 0, message = '', objects, logs } = result;
  const decode = (text: string) => Buffer.from(text, 'base64').toString();
  const manifests = (objects?.manifests ?? []).map((one) => `${pretty(decode(one))}\n`);
  const head = `operation ${id}: ${status}${message === '' ? '' : ` ${message}`}\n`;
  return `${head}${manifests.join('')}${logs?.text === undefined ? '' : decode(logs.text)}`;
}

function pretty(json: string): string {
  try {
    return stringifyJson(parseJson(json), 2);
  } catch {
    return json;
  }
}
