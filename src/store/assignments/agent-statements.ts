/** The statement that reads the assignments of agents, in pages. */

import type { Kysely } from 'kysely';

import type { Schema } from '../sql/schema.js';

/** An assignment, as the list of agents reads it. */
export interface AgentAssignmentRow {
  readonly agent_id: string;
  readonly account_name: string;
  readonly cd_id: string;
  readonly caching: boolean | number;
  readonly last_updated: number;
  readonly epoch: number;
}

/**
 * `limit` assignments after a position, in the order of agents and accounts.
 * @param only the one agent to read
 */
export function selectAgentPage(
  db: Kysely<Schema>,
  position: { readonly agentId: string; readonly account: string },
  only: string | undefined,
  limit: number,
): Promise<AgentAssignmentRow[]> {
  let query = db
    .selectFrom('kubesvc_assignments')
    .select(['agent_id', 'account_name', 'cd_id', 'caching', 'last_updated', 'epoch'])
    .orderBy('agent_id')
    .orderBy('account_name')
    .limit(limit);
  if (only !== undefined) {
    query = query.where('agent_id', '=', only).where('account_name', '>', position.account);
  } else {
    // MySQL cannot search an index with (a, b) > (x, y); it searches with the first condition.
    query = query
      .where('agent_id', '>=', position.agentId)
      .where((eb) =>
        eb.or([
          eb('agent_id', '>', position.agentId),
          eb.and([eb('agent_id', '=', position.agentId), eb('account_name', '>', position.account)]),
        ]),
      );
  }
  return query.execute();
}
