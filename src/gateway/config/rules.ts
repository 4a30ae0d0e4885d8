/** Rules that involve several settings. */

import { messageOf } from '../../core/errors.js';
import { peerIdleMs } from '../peers/forwarding.js';
import { checkAuthentication, checkCallers } from './authentication-rules.js';
import { checkConfigServer } from './config-server-rules.js';
import { parseCron } from './cron.js';
import type { SettingProblem } from '../../configuration/problems.js';
import type { Config, TlsConfig } from './schema.js';
import { checkSpinnaker, isRegularExpression } from './spinnaker-rules.js';
import { tlsDemand } from './url.js';

export interface Findings {
  readonly problems: readonly SettingProblem[];
  readonly warnings: readonly string[];
}

type MustHold = (holds: boolean, key: string, message: string) => void;

/** Every rule that a configuration breaks, although each of its settings is valid. */
export function checkRules(config: Config): Findings {
  const problems: SettingProblem[] = [];
  const warnings: string[] = [];
  const mustHold: MustHold = (holds, key, message) => {
    if (!holds) problems.push({ key, message });
  };
  const advise = (holds: boolean, key: string, message: string) => {
    if (!holds) warnings.push(`${key}: ${message}`);
  };
  const { kubesvc, server, sql, redis } = config;
  const grpc = kubesvc.grpc.server;
  const alone = kubesvc.cluster === 'local';

  checkTimesAndCounts(kubesvc, mustHold);
  const { cron } = kubesvc.jobs['operation-history'].purge;
  const wrong = cron === undefined ? undefined : problemOf(() => parseCron(cron));
  mustHold(
    wrong === undefined,
    'kubesvc.jobs.operation-history.purge.cron',
    `expected a cron expression of six fields, seconds first (0 0 3 * * 0 is Sunday at 3), found "${cron ?? ''}": ${wrong ?? ''}`,
  );

  const { enabled, namePatterns, clouddriverUrl } = kubesvc.dynamicAccounts;
  for (const pattern of namePatterns) {
    mustHold(
      isRegularExpression(pattern),
      'kubesvc.dynamicAccounts.namePatterns',
      `expected regular expressions, found "${pattern}"`,
    );
  }
  mustHold(
    !enabled || namePatterns.length === 0 || clouddriverUrl !== undefined,
    'kubesvc.dynamicAccounts.clouddriverUrl',
    'expected a URL, found nothing, with kubesvc.dynamicAccounts.namePatterns',
  );

  mustHold(
    server.port === 0 || server.port !== grpc.port || !overlap(server.address, grpc.address),
    'kubesvc.grpc.server.port',
    `expected another port than server.port, found ${String(grpc.port)} for both`,
  );
  checkTls('server.ssl', server.ssl, problems, warnings);
  checkTls('kubesvc.grpc.server.security', grpc.security, problems, warnings);
  checkAuthentication('server.auth', server.auth, server.ssl, problems, warnings);
  checkCallers(config, problems, warnings);
  checkSpinnaker(config, problems);
  checkConfigServer(config, problems, warnings);
  checkAuthentication('kubesvc.grpc.auth', kubesvc.grpc.auth, grpc.security, problems, warnings);
  advise(
    server.maxBodySize >= grpc.maxInboundMessageSize,
    'server.maxBodySize',
    'smaller than kubesvc.grpc.server.maxInboundMessageSize: large results cannot be forwarded',
  );

  mustHold(
    kubesvc.cluster !== 'static' || kubesvc['cluster-static'].instances.length > 0,
    'kubesvc.cluster-static.instances',
    'expected at least one base URL, found none, with kubesvc.cluster: static',
  );
  mustHold(
    alone || server.idleTimeoutMs > peerIdleMs,
    'server.idleTimeoutMs',
    `expected more than ${String(peerIdleMs)}, the time that instances keep idle connections to each other, found ${String(server.idleTimeoutMs)}`,
  );
  mustHold(
    alone || !sql.url.startsWith('pglite:'),
    'sql.url',
    `expected a database server that all instances share, found the embedded one, with kubesvc.cluster: ${kubesvc.cluster}`,
  );
  checkSql(sql, mustHold);
  mustHold(
    kubesvc.cluster !== 'redis' || redis.connection !== undefined,
    'redis.connection',
    'expected a URL that starts with redis:// or rediss://, found nothing, with kubesvc.cluster: redis',
  );
  advise(
    alone || kubesvc.cluster === 'redis' || redis.connection !== undefined,
    'redis.connection',
    'not set: instances learn of changes from SQL alone, which is slower',
  );
  return { problems, warnings };
}

function checkTimesAndCounts(kubesvc: Config['kubesvc'], mustHold: MustHold): void {
  const { heartbeatMs, leaseMs } = kubesvc.instances;
  mustHold(
    leaseMs > 2 * heartbeatMs,
    'kubesvc.instances.leaseMs',
    `expected more than twice kubesvc.instances.heartbeatMs (${String(heartbeatMs)}), found ${String(leaseMs)}`,
  );
  const { timeoutMs, endpointRemovalMs, reconnectSpreadMs } = kubesvc.drain;
  mustHold(
    endpointRemovalMs + reconnectSpreadMs <= timeoutMs,
    'kubesvc.drain.timeoutMs',
    `expected at least kubesvc.drain.endpointRemovalMs and kubesvc.drain.reconnectSpreadMs together ` +
      `(${String(endpointRemovalMs)} + ${String(reconnectSpreadMs)}), found ${String(timeoutMs)}`,
  );
  const { maxPending, maxPendingPerAgent, maxTimeoutMs } = kubesvc.operations;
  mustHold(
    maxPendingPerAgent <= maxPending,
    'kubesvc.operations.maxPendingPerAgent',
    `expected no more than kubesvc.operations.maxPending (${String(maxPending)}), found ${String(maxPendingPerAgent)}`,
  );
  const { operationWaitMs } = kubesvc.cache;
  mustHold(
    operationWaitMs <= maxTimeoutMs,
    'kubesvc.cache.operationWaitMs',
    `expected no more than kubesvc.operations.maxTimeoutMs (${String(maxTimeoutMs)}), found ${String(operationWaitMs)}`,
  );
}

function checkSql(sql: Config['sql'], mustHold: MustHold): void {
  mustHold(
    sql.url.startsWith('pglite:') || sql.user !== undefined || /^\w+:\/\/[^/@]+@/.test(sql.url),
    'sql.user',
    'expected a user, here or in sql.url, found nothing',
  );
  for (const [key, url] of [
    ['sql.url', sql.url],
    ['sql.migration.url', sql.migration.url ?? ''],
  ] as const) {
    const demand = tlsDemand(url);
    mustHold(
      demand === undefined || (sql.ssl.enabled && (sql.ssl.verify || !demand.verified)),
      key,
      `its parameter ${demand?.parameter ?? ''} asks for TLS${demand?.verified === true ? ' with a verified certificate' : ''}; ` +
        `write sql.ssl.enabled: true${demand?.verified === true ? ' and sql.ssl.verify: true' : ''}`,
    );
  }
  mustHold(
    (sql.ssl.certificateChain === undefined) === (sql.ssl.privateKey === undefined),
    'sql.ssl.privateKey',
    'expected both sql.ssl.certificateChain and sql.ssl.privateKey, or neither',
  );
}

function problemOf(task: () => unknown): string | undefined {
  try {
    task();
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

function checkTls(section: string, tls: TlsConfig, problems: SettingProblem[], warnings: string[]): void {
  if (!tls.enabled) {
    const set = tls.certificateChain !== undefined || tls.privateKey !== undefined || tls.clientAuth !== 'NONE';
    if (set) warnings.push(`${section}.enabled: false, so nothing else in ${section} has an effect`);
    return;
  }
  for (const name of ['certificateChain', 'privateKey'] as const) {
    if (tls[name] !== undefined) continue;
    problems.push({
      key: `${section}.${name}`,
      message: `expected a PEM file, found nothing, with ${section}.enabled`,
    });
  }
  if (tls.revocationList !== undefined && tls.clientAuth === 'NONE')
    warnings.push(`${section}.revocationList: no effect with ${section}.clientAuth: NONE`);
  if (tls.clientAuth !== 'NONE' && tls.trustCertCollection === undefined) {
    problems.push({
      key: `${section}.trustCertCollection`,
      message: `expected a PEM file, found nothing, with ${section}.clientAuth: ${tls.clientAuth}`,
    });
  }
}

function overlap(one: string, other: string): boolean {
  return one === other || isWildcard(one) || isWildcard(other);
}

function isWildcard(address: string): boolean {
  return address === '*' || address === '0.0.0.0' || address === '::';
}
