/**
 * The user as whom a cluster sees a caller, by the templates of a policy. `{name}` stands for the identity's name,
 * `{principal}` for `policy:` and the rule's name, and `{claims.PATH}` for a claim of its token, `/` leading into nested ones;
 * one that is a list gives several values.
 */

import { GatewayError, TellableError } from '../../core/errors.js';
import { impersonationHeaders } from '../../kubernetes/impersonation.js';
import { claimAt } from './filter.js';
import type { Identity } from './identity.js';

/** As it stands in a policy. */
export interface WrittenImpersonation {
  readonly user: string;
  readonly groups?: readonly string[];
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}

/**
 * The headers (name, value, name, value ...) that impersonate the caller.
 * @throws GatewayError `permission-denied` if its claims do not give what the templates need, or what they may not give
 */
export type Impersonate = (identity: Identity, principal: string) => string[];

/** Of all names and values together: API servers and what stands in front of them refuse longer ones. */
const headersLimit = 32_768;

/** @throws Error that names the template and what is expected */
export function parseImpersonation({ user, groups = [], extra = {} }: WrittenImpersonation): Impersonate {
  const userTemplate = parseTemplate('user', user);
  const groupTemplates = groups.map((text) => parseTemplate('groups', text));
  const extraTemplates = Object.entries(extra).map(
    ([key, texts]) => [key, texts.map((text) => parseTemplate(`extra.${key}`, text))] as const,
  );
  return (identity, principal) => {
    const fill = (templates: readonly Template[]): string[] =>
      templates.flatMap((one) => fillIn(one, identity, principal));
    const users = fill([userTemplate]);
    const [only = ''] = users;
    if (users.length !== 1)
      throw refused(identity, `${user} gives ${String(users.length)} values; a user has one name`);
    refuseSystemUser(userTemplate, only, identity);
    for (const template of groupTemplates) {
      for (const group of fill([template])) refuseSystemGroup(template, group, identity);
    }
    const values = new Map(extraTemplates.map(([key, templates]) => [key, fill(templates)]));
    return headersOf({ user: only, uid: undefined, groups: fill(groupTemplates), extra: values }, identity);
  };
}

function headersOf(impersonated: Parameters<typeof impersonationHeaders>[0], identity: Identity): string[] {
  let headers: string[];
  try {
    headers = Object.entries(impersonationHeaders(impersonated)).flatMap(([name, value]) =>
      [value].flat().flatMap((one) => [name, one]),
    );
  } catch (error) {
    if (error instanceof TellableError) throw refused(identity, 'a value has control characters');
    throw error;
  }
  const length = headers.reduce((sum, text) => sum + text.length, 0);
  if (length <= headersLimit) return headers;
  throw refused(identity, `its groups and values are ${String(length)} bytes, more than ${String(headersLimit)}`);
}

interface Template {
  readonly text: string;
  /** What stands before the first placeholder; all, if there is none. */
  readonly beginning: string;
  /** Texts at even places, placeholders at odd ones. */
  readonly parts: readonly string[];
}

function parseTemplate(where: string, text: string): Template {
  const parts = text.split(/\{([^{}]*)\}/u);
  const unknown = parts.find((part, index) =>
    index % 2 === 0 ? /[{}]/u.test(part) : !/^(?:name|principal|claims\..+)$/u.test(part),
  );
  if (unknown !== undefined || text.trim() !== text || text === '') {
    throw new Error(
      `${where}: expected text in which {name}, {principal} and {claims.PATH} stand for what a caller has`,
    );
  }
  return { text, beginning: parts[0] ?? '', parts };
}

function fillIn(template: Template, identity: Identity, principal: string): string[] {
  const values = template.parts.reduce<string[]>(
    (beginnings, part, index) => {
      const endings = index % 2 === 0 ? [part] : placeholder(part, identity, principal);
      return beginnings.flatMap((beginning) => endings.map((ending) => beginning + ending));
    },
    [''],
  );
  // Readers of headers drop spaces at their ends: " system:masters" would become what was refused.
  if (values.every((value) => value !== '' && !/^[\s\p{Cc}]|[\s\p{Cc}]$/u.test(value))) return values;
  throw refused(identity, `${template.text} gives a value that is empty, or begins or ends with a space`);
}

function placeholder(text: string, identity: Identity, principal: string): readonly string[] {
  if (text === 'name') return [identity.name];
  if (text === 'principal') return [principal];
  const found = claimAt(identity.claims, text.slice('claims.'.length).split('/'));
  const values: readonly unknown[] = Array.isArray(found) ? found : [found];
  if (values.every((value) => ['string', 'number', 'boolean'].includes(typeof value))) return values.map(String);
  throw refused(identity, `its credential has no claim for {${text}}`);
}

/** Who may write claims must not become a part of the cluster by it; who writes the policy may. */
function refuseSystemUser({ beginning, text }: Template, user: string, identity: Identity): void {
  if (!user.startsWith('system:') || beginning.startsWith('system:')) return;
  if (user.startsWith('system:serviceaccount:')) return;
  throw refused(identity, `${text} gives the user ${user}, and a claim may not name a user of the system`);
}

function refuseSystemGroup({ beginning, text, parts }: Template, group: string, identity: Identity): void {
  if (parts.length === 1) return;
  const mayBe = beginning.startsWith('system:') || /^system:(?:serviceaccounts(?::|$)|authenticated$)/u.test(group);
  if (group !== 'system:masters' && (mayBe || !group.startsWith('system:'))) return;
  throw refused(identity, `${text} gives the group ${group}, and a claim may not name a group of the system`);
}

function refused({ name }: Identity, why: string): GatewayError {
  return new GatewayError('permission-denied', `${name} cannot be impersonated: ${why}`);
}
