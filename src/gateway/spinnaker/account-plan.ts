/** What has to be done at Clouddriver for each account, from what agents serve and what Clouddriver has. Pure. */

import type { ClouddriverState } from '../../store/accounts/clouddriver-account-record.js';
import { gatewaysIn } from '../kubernetes-api/kubeconfig.js';
import { definitionOf, isAsWanted, type ClouddriverDefinition } from './account-definition.js';
import type { PublishedAccountList } from './published-accounts.js';

export type AccountStep =
  | { readonly step: 'create' | 'save'; readonly definition: ClouddriverDefinition }
  | { readonly step: 'delete' }
  | { readonly step: 'none'; readonly state: ClouddriverState; readonly message?: string };

export interface PlanOptions {
  readonly published: PublishedAccountList;
  /** By name. */
  readonly stored: ReadonlyMap<string, ClouddriverDefinition>;
  /** Name of this cluster of gateways. */
  readonly gateways: string;
  /** Whether an account that is gone has been so for the clean-up time. */
  readonly isOver: (name: string) => boolean;
}

/** By name. */
export function planAccounts({ published, stored, gateways, isOver }: PlanOptions): Map<string, AccountStep> {
  const steps = new Map<string, AccountStep>();
  for (const account of published.accounts) {
    const definition = definitionOf(account);
    const there = stored.get(account.name);
    if (there !== undefined) steps.set(account.name, existing(there, definition, gateways));
    else if (account.answering) steps.set(account.name, { step: 'create', definition });
    else steps.set(account.name, { step: 'none', state: 'waiting', message: waiting });
  }
  for (const { name, problem } of published.unpublished)
    steps.set(name, { step: 'none', state: 'invalid', message: problem });
  for (const [name, there] of stored) {
    if (steps.has(name) || !isMadeBy(gateways, there)) continue;
    steps.set(name, isOver(name) ? { step: 'delete' } : { step: 'none', state: 'leaving', message: leaving });
  }
  return steps;
}

/** Whether an account is of this cluster of gateways: no other one is ever changed. */
export function isMadeBy(gateways: string, there: ClouddriverDefinition): boolean {
  return gatewaysIn(there['kubeconfigContents']) === gateways;
}

const waiting = 'no agent serves it, or its cluster has not answered its agent yet; it is registered when it answers';
const leaving = 'no agent serves it any longer; Clouddriver loses it after the clean-up time';

function existing(there: ClouddriverDefinition, wanted: ClouddriverDefinition, gateways: string): AccountStep {
  // The same kubeconfig has the same mark.
  if (there['kubeconfigContents'] !== wanted['kubeconfigContents']) {
    const other = gatewaysIn(there['kubeconfigContents']);
    if (other !== gateways) return { step: 'none', state: 'conflict', message: conflictWith(other) };
  }
  return isAsWanted(there, wanted) ? { step: 'none', state: 'registered' } : { step: 'save', definition: wanted };
}

function conflictWith(other: string | undefined): string {
  const maker = other === undefined ? 'which this gateway did not make' : `which the gateways "${other}" made`;
  const rename = other === undefined ? '' : `, or set spinnaker.gateways to "${other}"`;
  return `Clouddriver has an account of this name, ${maker}, so it is left alone: remove it there, or rename one of the two${rename}`;
}
