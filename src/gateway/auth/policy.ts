/**
 * The permissions of identities, from a YAML file: the first rule that matches an identity applies, and an identity
 * that no rule matches may do nothing.
 */

import Type from 'typebox';
import { GatewayError, messageOf } from '../../core/errors.js';
import { parseImpersonation, type Impersonate } from './impersonation-template.js';
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

/** What a caller may do with the API of some clusters, and as whom. */
export interface KubernetesGrant {
  readonly account: (name: string) => boolean;
  readonly access: 'read' | 'full';
  /** Absent: the cluster sees the agent's own credentials. */
  readonly impersonate: Impersonate | undefined;
}

export interface CallerGrant {
  readonly role: Role;
  /** The first one whose accounts match applies. */
  readonly kubernetes: readonly KubernetesGrant[];
  /** Whether it may read kubeconfigs with the tokens that the gateway makes for accounts; no role includes it. */
  readonly accountTokens: boolean;
}

export interface Rule<Grant> {
  readonly name: string;
  readonly matches: (identity: Identity) => boolean;
  readonly grant: Grant;
}

export type AgentPolicy = readonly Rule<AgentGrant>[];
export type CallerPolicy = readonly Rule<CallerGrant>[];

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
const texts = Type.Array(Type.String({ minLength: 1 }), { minItems: 1 });
const kubernetesSchema = Type.Object(
  {
    accounts: texts,
    access: Type.Enum(['read', 'full']),
    as: Type.Union([
      Type.Literal('agent'),
      Type.Object(
        {
          user: Type.String(),
          groups: Type.Optional(texts),
          extra: Type.Optional(Type.Record(Type.String({ minLength: 1 }), texts)),
        },
        { additionalProperties: false },
      ),
    ]),
  },
  { additionalProperties: false },
);
const callerSchema = Type.Object(
  {
    ...ruleFields,
    role: Type.Enum([...roles]),
    kubernetes: Type.Optional(Type.Array(kubernetesSchema)),
    // Scalars of these files are read as text.
    accountTokens: Type.Optional(Type.Enum(['true', 'false'])),
  },
  { additionalProperties: false },
);

const expected = {
  name: 'expected 1 to 200 printable characters without spaces',
  match: 'expected a list of filters such as "CN=agent,O=Acme", "URI:spiffe://...", "token:NAME", "claim:sub=..."',
  zones: 'expected a list of zone ids, * standing for any text',
  accounts: 'expected a list of account names, * standing for any text',
  role: `expected one of ${roles.join(', ')}`,
  kubernetes:
    'expected a list of {accounts: [PATTERN ...], access: read or full, as: agent or {user: TEMPLATE, groups: [TEMPLATE ...], extra: {KEY: [TEMPLATE ...]}}}',
  accountTokens: 'expected true or false',
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

/**
 * `callers: [{name, match: [FILTER ...], role: read|operate|admin, kubernetes?: [{accounts: [PATTERN ...],
 * access: read|full, as: agent|{user: TEMPLATE, groups?, extra?}}], accountTokens?: BOOLEAN}]`.
 * @throws as parseAgentPolicy()
 */
export function parseCallerPolicy(text: string): CallerPolicy {
  const rules = readYamlList(text, 'callers', callerSchema, expected);
  return withFilters('callers', rules, ({ role, kubernetes = [], accountTokens }, where) => ({
    role,
    accountTokens: accountTokens === 'true',
    kubernetes: kubernetes.map(({ accounts, access, as }, index) => ({
      account: anyOf(accounts.map(pattern)),
      access,
      impersonate:
        as === 'agent' ? undefined : at(`${where}.kubernetes[${String(index)}].as`, () => parseImpersonation(as)),
    })),
  }));
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
  grantOf: (rule: Written, where: string) => Grant,
): readonly Rule<Grant>[] {
  return written.map((rule, index) => {
    const { name, match } = rule;
    const filters = match.map((text, position): Filter => {
      const filter = parseFilter(text);
      if (typeof filter !== 'string') return filter;
      throw new Error(`${key}[${String(index)}].match[${String(position)}]: ${filter}`);
    });
    return { name, matches: anyOf(filters), grant: grantOf(rule, `${key}[${String(index)}]`) };
  });
}

/** @throws what the task throws, saying where */
function at<T>(where: string, task: () => T): T {
  try {
    return task();
  } catch (error) {
    throw new Error(`${where}.${messageOf(error)}`, { cause: error });
  }
}

function anyOf<T>(conditions: readonly ((value: T) => boolean)[]): (value: T) => boolean {
  return (value) => conditions.some((condition) => condition(value));
}
