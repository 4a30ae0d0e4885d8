/** What every phase of the start is given. */

import type { Logger as PinoLogger } from 'pino';
import type { Environment } from '../../core/environment.js';
import type { Discovery } from '../../discovery/discovery.js';
import type { Config } from '../config/config.js';
import type { GatewayLifetime } from './gateway-lifetime.js';

export interface StartContext {
  readonly config: Config;
  readonly version: string;
  /** Pino itself, which Fastify needs. */
  readonly logger: PinoLogger;
  readonly environment: Environment;
  /** In place of the one that the configuration names. */
  readonly discovery: Discovery | undefined;
  /** Wall clock, Unix ms. */
  readonly now: () => number;
  readonly lifetime: GatewayLifetime;
}

/** For what measures, in ms: the wall clock may be set at any moment. */
export function steadyTime(): number {
  return performance.now();
}
