/**
 * What identities may do, from a YAML file: the first rule that matches an identity applies, and an identity that no
 * rule matches may do nothing.
 */

import Type from 'typebox';
import { GatewayError } from '../../core/errors.js';
import { parseFilter, pattern, type Filter } from './filter.js';
import type { Identity } from './identity.js';
import { readYamlList } from './yaml-list.js';

/** The zones and accounts that a rule for agents allows. */
export interface AgentGrant {
  readonly zone: (zoneId: string) => boolean;
  readonly account: (name: string) => boolean;
}

export const roles = ['read', 'operate', 'admin'] as const;
/** Each role includes those before it. */
export type Role = (typeof roles)[number];

export interface Rule<Grant> {
  readonly name: string;
  readonly matches: (identity: Identity) => boolean;
  readonly grant: Grant;
}

export type AgentPolicy = readonly Rule<AgentGrant>[];
export type CallerPolicy = readonly Rule<Role>[];

const ruleFields = {
  name: Type.String({ pattern: '^[\\w.:@/+-]{1,200}$' }),
  match: Type.Array(Type.String(), { minItems: 1 }),
};
const agentSchema = Type.Object(
  {
    ...ruleFields,
    zones: Type.Optional(Type.Array(Type.String({ minLength: 1 }), { minItems: 1 })),
    accounts: Type.Array(Type.String({ minLength: 1 }), { minItems: 1 }),
  },
  { additionalProperties: false },
);
const callerSchema = Type.Object({ ...ruleFields, role: Type.Enum([...roles]) }, { additionalProperties: false });

const expected = {
  name: 'expected 1 to 200 printable characters without spaces',
  match: 'expected a list of filters such as "CN=agent,O=Acme", "URI:spiffe://...", "token:NAME", "claim:sub=..."',
  zones: 'expected a list of zone ids, * standing for any text',
  accounts: 'expected a list of account names, * standing for any text',
  role: `expected one of ${roles.join(', ')}`,
};

/**
 * `agents: [{name, match: [FILTER ...], zones?: [PATTERN ...], accounts: [PATTERN ...]}]`. Without `zones` every zone.
 * @throws Error that names the rule and the expected value
 */
export function parseAgentPolicy(text: string): AgentPolicy {
  const rules = readYamlList(text, 'agents', agentSchema, expected);
  return withFilters('agents', rules, ({ zones = ['*'], accounts }) => ({
    zone: anyOf(zones.map(pattern)),
    account: anyOf(accounts.map(pattern)),
  }));
}

/** `callers: [{name, match: [FILTER ...], role: read|operate|admin}]`. @throws as parseAgentPolicy() */
export function parseCallerPolicy(text: string): CallerPolicy {
  return withFilters('callers', readYamlList(text, 'callers', callerSchema, expected), ({ role }) => role);
}

/**
 * The rule that applies to the identity.
 * @throws GatewayError `permission-denied` if there is none
 */
export function ruleFor<Grant>(policy: readonly Rule<Grant>[], identity: Identity): Rule<Grant> {
  const rule = policy.find(({ matches }) => matches(identity));
  if (rule === undefined) throw new GatewayError('permission-denied', `no rule of the policy matches ${identity.name}`);
  return rule;
}

function withFilters<Written extends { readonly name: string; readonly match: readonly string[] }, Grant>(
  key: string,
  written: readonly Written[],
  grantOf: (rule: Written) => Grant,
): readonly Rule<Grant>[] {
  return written.map((rule, index) => {
    const { name, match } = rule;
    const filters = match.map((text, position): Filter => {
      const filter = parseFilter(text);
      if (typeof filter !== 'string') return filter;
      throw new Error(`${key}[${String(index)}].match[${String(position)}]: ${filter}`);
    });
    return { name, matches: anyOf(filters), grant: grantOf(rule) };
  });
}

function anyOf<T>(conditions: readonly ((value: T) => boolean)[]): (value: T) => boolean {
  return (value) => conditions.some((condition) => condition(value));
}
