/** A gateway in this process, on the embedded database and on ports of its own, for tests of what it says to the outside. */

import { pino } from 'pino';
import { loadConfig } from '../../src/gateway/config/config.js';
import { createGateway, type Gateway } from '../../src/gateway/gateway.js';

export interface LogLine {
  readonly level: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface RunningGateway {
  readonly gateway: Gateway;
  readonly agentsPort: number;
  readonly agentsAddress: string;
  readonly restPort: number;
  readonly restUrl: string;
  readonly log: readonly LogLine[];
  request(path: string, init?: RequestInit): Promise<Answer>;
  /** Posts an operation; `prefer` null sends none. Default: wait for the result. */
  operate(operation: unknown, prefer?: string | null): Promise<Answer>;
}

export const gatewayId = 'gateway-under-test';

/** Starts it; it is stopped at the test's teardown, without a drain. */
export async function startGateway(
  t: { teardown(release: () => Promise<void>): unknown },
  settings: Readonly<Record<string, string | number | boolean>> = {},
  environment: Readonly<Record<string, string>> = {},
): Promise<RunningGateway> {
  const all = {
    'instance.id': gatewayId,
    'kubesvc.grpc.server.address': '127.0.0.1',
    'kubesvc.grpc.server.port': 0,
    'server.port': 0,
    'kubesvc.drain.timeoutMs': 0,
    'kubesvc.drain.reconnectSpreadMs': 0,
    'logging.format': 'json',
    ...settings,
  };
  const flags = Object.entries(all).map(([key, value]) => `--${key}=${String(value)}`);
  const { config } = loadConfig({ environment: {}, flags, terminal: false });
  const log: LogLine[] = [];
  const write = (line: string): void => void log.push(JSON.parse(line) as LogLine);
  const logger = pino({ level: 'info', formatters: { level: (level) => ({ level }) } }, { write });
  const gateway = createGateway({ config, version: 'test', logger, environment });
  t.teardown(() => gateway.stop());
  const { agentsPort, restPort } = await gateway.start(AbortSignal.timeout(120_000));
  const restUrl = `${config.server.ssl.enabled ? 'https' : 'http'}://127.0.0.1:${restPort}`;
  const request = (path: string, init: RequestInit = {}): Promise<Answer> => fetchAnswer(restUrl + path, init);
  return {
    gateway,
    agentsPort,
    agentsAddress: `127.0.0.1:${agentsPort}`,
    restPort,
    restUrl,
    log,
    request,
    operate: (operation, prefer = 'wait=60') =>
      request('/armory/agent/operations', {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...(prefer === null ? {} : { prefer }) },
        body: JSON.stringify({ operation }),
      }),
  };
}

/** @returns the answer with its JSON; an empty object where there is no body */
export async function fetchAnswer(url: string, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(url, { signal: AbortSignal.timeout(120_000), ...init });
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    body: text === '' ? {} : (JSON.parse(text) as Answer['body']),
  };
}
