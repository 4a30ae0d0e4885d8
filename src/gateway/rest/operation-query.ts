/** The filters of lists of operations, as REST and the console take them in a query. */

import Type, { type Static } from 'typebox';
import { GatewayError } from '../../core/errors.js';
import { resourceOfKind } from '../../kubernetes/resource-of-kind.js';
import {
  finalOutcomes,
  type FinalOutcome,
  type OperationFilter,
  type OperationPosition,
} from '../../store/operations/operation-record.js';
import { nameSchema } from './names.js';

const name = (description: string, example: string) =>
  Type.Optional(nameSchema(255, { description, examples: [example] }));
const time = (description: string) =>
  Type.Optional(Type.String({ format: 'date-time', description, examples: ['2026-03-01T00:00:00.000Z'] }));
const outcome = Type.Enum(['pending', ...finalOutcomes]);

/** Properties of a query. */
export const operationQuery = {
  account: name('Of this account.', 'prod-eu'),
  outcome: Type.Optional(
    Type.Union([outcome, Type.Array(outcome, { minItems: 1, maxItems: finalOutcomes.length + 1 })], {
      description:
        'With this outcome; pending: in progress, without an outcome yet; refused: not accepted. Repeat it for several.',
    }),
  ),
  type: name('Of this type: deploy, scale ...; kubernetes-api for requests of the Kubernetes API.', 'deploy'),
  kind: name('About objects of this kind: Deployment, deployments.', 'Deployment'),
  namespace: name('About objects in this namespace.', 'shop'),
  name: name('About the object of this name.', 'web'),
  caller: name('Of this caller: its principal, or "anonymous" and its address.', 'policy:deployers'),
  agent: name('Sent to this agent.', 'agent-5c9f-7h2kq'),
  replica: name('Received by this instance, or sent to an agent by it.', 'gateway-7d9c5b8f6-x2x9k'),
  search: Type.Optional(
    nameSchema(100, {
      description: 'Part of the account, of the name of the object, or of the message; in any case.',
      examples: ['timeout'],
    }),
  ),
  since: time('Started at this time or later.'),
  until: time('Started before this time.'),
  after: Type.Optional(
    nameSchema(160, { description: 'What comes after this position in the list, as `Link` has it.' }),
  ),
};
export type OperationQuery = Static<Type.TObject<typeof operationQuery>>;

/** @throws GatewayError `invalid-argument` with the field */
export function readFilter(query: OperationQuery): Omit<OperationFilter, 'items' | 'page'> {
  const { account, type, namespace, caller, search, kind } = query;
  return {
    account,
    type,
    namespace,
    caller,
    search,
    name: query.name,
    agentId: query.agent,
    instanceId: query.replica,
    outcomes: outcomesOf(query.outcome),
    // A resource may be named otherwise than its kind suggests.
    resources: kind === undefined ? undefined : [...new Set([resourceOfKind(kind), kind.toLowerCase()])],
    since: query.since === undefined ? undefined : timeOf('since', query.since),
    until: query.until === undefined ? undefined : timeOf('until', query.until),
    after: query.after === undefined ? undefined : readPosition(query.after),
  };
}

/** The position as `after` takes it. */
export function writePosition({ time: at, id }: OperationPosition): string {
  return `${String(at)}.${id}`;
}

/** @throws GatewayError `invalid-argument` */
function readPosition(text: string): OperationPosition {
  const [, at = '', id = ''] = /^(\d{1,15})\.(.*)$/u.exec(text) ?? [];
  if (at !== '') return { time: Number(at), id };
  throw invalid('after', `not a position of this list: "${text.slice(0, 64)}"; take it from Link`);
}

function outcomesOf(given: OperationQuery['outcome']): readonly (FinalOutcome | 'pending')[] | undefined {
  return typeof given === 'string' ? [given] : given && [...new Set(given)];
}

/** @throws GatewayError `invalid-argument` for leap seconds, which RFC 3339 allows and Unix time does not have */
function timeOf(field: string, text: string): number {
  const ms = Date.parse(text);
  if (!Number.isNaN(ms)) return ms;
  throw invalid(field, `not a time: "${text.slice(0, 64)}"`);
}

function invalid(field: string, message: string): GatewayError {
  return new GatewayError('invalid-argument', `query.${field}: ${message}`, { field: `query.${field}` });
}
