/** `agent-gateway simulate`: simulated agents, and a load of operations, against a running gateway. */

import { Agent, request } from 'undici';
import { GatewaySecurity } from '../agent/dial-security.js';
import type { DialSecurity } from '../agent/gateway-stream.js';
import { readCredentials, type ClientCredentials } from '../client/credentials.js';
import type { CommandIo } from '../command-line/command.js';
import { UsageError } from '../command-line/usage-error.js';
import { aborted, withDeadline } from '../core/deadline.js';
import { messageOf } from '../core/errors.js';
import { silentLogger } from '../core/logger.js';
import { simulatedAgentId, startSimulatedAgents, type SimulatedAgents } from '../simulate/agents.js';
import {
  readSimulateFlags,
  type LoadFlags,
  type SimulateFlags,
  type SimulateValues,
} from '../simulate/command-line.js';
import type { LoadProgress } from '../simulate/load-report.js';
import { runLoad } from '../simulate/load.js';
import { progressText, reportText } from '../simulate/report-text.js';

/** The report and what to do next go to standard output, progress and problems to standard error. */
type SimulateIo = Pick<CommandIo, 'stdout' | 'stderr' | 'signal' | 'environment'>;

/** Operations that execute when the agents stop have this long, in ms. */
const drainMs = 5_000;

/**
 * @returns the exit code: 0 done or stopped, 1 the gateway could not be reached for the load
 * @throws UsageError
 */
export async function runSimulate(values: SimulateValues, io: SimulateIo): Promise<number> {
  const flags = readSimulateFlags(values);
  const security = readSecurity(flags, io.environment);
  const agents = await startAgents(flags, security.agents, io);
  try {
    return flags.load === undefined
      ? await stay(flags, agents, io)
      : await load(flags, flags.load, security.load, agents, io);
  } finally {
    await agents.stop({ drainMs: io.signal.aborted ? 0 : drainMs });
  }
}

interface Security {
  readonly agents: DialSecurity;
  readonly load: ClientCredentials;
}

/** @throws UsageError naming what cannot be used */
function readSecurity(
  { credentialFiles, agentsTokenFile: tokenFile, agentsTls }: SimulateFlags,
  environment: Readonly<Record<string, string | undefined>>,
): Security {
  const load = readCredentials(credentialFiles, environment);
  const { cacert: cacertFile, cert: clientCertFile, key: clientKeyFile } = credentialFiles;
  const agents = new GatewaySecurity(
    {
      insecure: !agentsTls,
      tls: {
        insecureSkipVerify: false,
        ...(cacertFile === undefined ? {} : { cacertFile }),
        ...(clientCertFile === undefined ? {} : { clientCertFile }),
        ...(clientKeyFile === undefined ? {} : { clientKeyFile }),
      },
      auth: {
        ...(tokenFile === undefined ? {} : { tokenFile }),
        tokenCommand: { args: [], format: '', refreshIntervalSeconds: 0 },
      },
    },
    silentLogger,
    environment,
  );
  try {
    return { load, agents: agents.security() };
  } catch (error) {
    throw new UsageError(`--agents-token-file, --cacert, --cert, --key: ${messageOf(error)}`);
  }
}

function startAgents(flags: SimulateFlags, security: DialSecurity, { stderr }: SimulateIo): Promise<SimulatedAgents> {
  // Each problem is told once, not by every agent at every dial.
  const told = new Set<string>();
  return startSimulatedAgents({
    ...flags,
    addresses: flags.gateways,
    security: () => security,
    onState: (state, agent) => {
      if (state.name === 'active') told.clear();
      if (state.name !== 'backing-off' || told.has(state.cause.message) || told.size >= 10) return;
      told.add(state.cause.message);
      const where = flags.gateways.join(', ');
      stderr.write(`${simulatedAgentId(agent)}: gateway ${where}: ${state.cause.message}; retrying\n`);
    },
  });
}

async function stay(flags: SimulateFlags, agents: SimulatedAgents, io: SimulateIo): Promise<number> {
  const { signal, stdout } = io;
  try {
    await agents.ready(signal);
    if (flags.output === 'text') stdout.write(whatNext(flags, agents));
    await aborted(signal);
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  const { executed, failed } = agents.stats();
  stdout.write(
    flags.output === 'json'
      ? `${JSON.stringify(agents.stats())}\n`
      : `\nexecuted ${executed} operations, ${failed} of them failed as asked; agents stop\n`,
  );
  return 0;
}

function whatNext(
  { gateways, restUrls: [rest = ''] }: SimulateFlags,
  { connections, accounts }: SimulatedAgents,
): string {
  const [account] = accounts;
  const named =
    account === undefined ? 'no accounts' : `${accounts.length} accounts: ${account} ... ${accounts.at(-1)}`;
  const head = `${connections.length} agents connected to ${gateways.join(', ')}, ${named}. Ctrl-C stops them.\n`;
  if (account === undefined) return head;
  const object = { apiVersion: 'apps/v1', kind: 'Deployment', namespace: 'default', name: 'web' };
  const operation = JSON.stringify({ operation: { account, get: { object } } });
  return `${head}
Try in another terminal:
  curl -s ${rest}/armory/agents
  curl -s ${rest}/armory/agent/operations \\
    -H 'Content-Type: application/json' -H 'Prefer: wait=10' \\
    -d '${operation}'
`;
}

async function load(
  flags: SimulateFlags,
  options: LoadFlags,
  { token, ...tls }: ClientCredentials,
  agents: SimulatedAgents,
  io: SimulateIo,
): Promise<number> {
  const { signal, stdout, stderr } = io;
  const unreachable = await unreachableRest(flags.restUrls, tls, signal);
  if (signal.aborted) return 0;
  if (unreachable !== undefined) {
    stderr.write(
      `REST cannot be reached: ${unreachable}; is the gateway running (agent-gateway serve), is --rest right?\n`,
    );
    return 1;
  }
  try {
    await withDeadline(options.readyTimeoutMs, signal, 'connecting the agents', (within) => agents.ready(within));
  } catch {
    if (signal.aborted) return 0;
    const { connected } = agents.stats();
    const seconds = options.readyTimeoutMs / 1000;
    stderr.write(
      `only ${connected} of ${flags.agents} agents connected to ${flags.gateways.join(', ')} in ${seconds} s\n`,
    );
    return 1;
  }
  const progress = new ProgressLine(stderr);
  const { operations, durationMs, concurrency, rate } = options;
  const report = await runLoad(
    {
      baseUrls: flags.restUrls,
      accounts: options.accounts.length > 0 ? options.accounts : agents.accounts,
      kinds: options.kinds,
      waitSeconds: options.waitSeconds,
      payloadBytes: options.payloadBytes,
      seed: flags.seed,
      token,
      tls,
      onProgress: (now) => progress.show(now),
      progressMs: stderr.isTTY === true ? 500 : 5_000,
      ...(operations === undefined ? {} : { operations }),
      ...(durationMs === undefined ? {} : { durationMs }),
      ...(concurrency === undefined ? {} : { concurrency }),
      ...(rate === undefined ? {} : { rate }),
    },
    signal,
  );
  progress.clear();
  stdout.write(flags.output === 'json' ? `${JSON.stringify(report)}\n` : reportText(report));
  const answered = report.sent - report.outcomes.unreachable - report.dropped;
  return answered > 0 || report.dropped > 0 ? 0 : 1;
}

/** The first base URL that gives no HTTP answer, and why. */
async function unreachableRest(
  urls: readonly string[],
  tls: Pick<ClientCredentials, 'ca' | 'cert' | 'key'>,
  signal: AbortSignal,
): Promise<string | undefined> {
  const dispatcher = new Agent({ connect: tls });
  try {
    for (const url of urls) {
      try {
        await withDeadline(5_000, signal, `${url}/healthz`, async (within) => {
          const response = await request(`${url}/healthz`, { signal: within, dispatcher });
          await response.body.dump();
        });
      } catch (error) {
        return `${url}: ${messageOf(error) || String((error as { code?: unknown }).code)}`;
      }
    }
    return undefined;
  } finally {
    await dispatcher.destroy();
  }
}

/** A terminal shows one line that changes; a log gets a line each time. */
class ProgressLine {
  readonly #stream: CommandIo['stderr'];

  constructor(stream: CommandIo['stderr']) {
    this.#stream = stream;
  }

  show(progress: LoadProgress): void {
    const line = progressText(progress);
    this.#stream.write(this.#stream.isTTY === true ? `\r\x1b[K${line}` : `${line}\n`);
  }

  clear(): void {
    if (this.#stream.isTTY === true) this.#stream.write('\r\x1b[K');
  }
}
