/** Paths of the calls that an instance answers for itself when another one asks (every-instance.ts); else for the whole cluster. */

export const resendPath = '/armory/agent/operations/database';
export const disconnectPath = (agentId: string) => `/armory/agent/${agentId}/disconnect`;
export const assignmentsPath = '/armory/agent/assignments';
export const poolSettingsPath = '/armory/clouddrivers/sql/pool/settings';
