/** Whether this instance accepts new work, and which dependencies it lacks. */

export type ReadinessStatus = 'starting' | 'ready' | 'draining' | 'degraded';

export interface Check {
  readonly ok: boolean;
  readonly detail?: string;
}

export interface ReadinessReport {
  readonly ready: boolean;
  readonly status: ReadinessStatus;
  /** Since when it has this status, or rather since it was asked for first, Unix ms. */
  readonly since: number;
  readonly checks: Readonly<Record<string, Check>>;
}

export interface DependencyCheck {
  readonly name: string;
  /** Without a required dependency no operations are accepted; others only cost speed. */
  readonly required: boolean;
  readonly check: () => Check;
}

export class Readiness {
  readonly #dependencies: readonly DependencyCheck[];
  readonly #now: () => number;
  #phase: 'starting' | 'serving' | 'draining' = 'starting';
  #status: ReadinessStatus | undefined;
  #since = 0;

  /** @param now wall clock, Unix ms */
  constructor(dependencies: readonly DependencyCheck[], now: () => number) {
    this.#dependencies = dependencies;
    this.#now = now;
  }

  serving(): void {
    this.#phase = 'serving';
  }

  draining(): void {
    this.#phase = 'draining';
  }

  report(): ReadinessReport {
    let missing = false;
    const checks: Record<string, Check> = {};
    for (const { name, required, check } of this.#dependencies) {
      const result = check();
      checks[name] = result;
      if (required && !result.ok) missing = true;
    }
    const ready = this.#phase === 'serving' && !missing;
    const status = ready ? 'ready' : this.#phase === 'serving' ? 'degraded' : this.#phase;
    if (status !== this.#status) this.#since = this.#now();
    this.#status = status;
    return { ready, status, since: this.#since, checks };
  }
}

/**
 * The dependencies of a replica: SQL, judged by the lease that it keeps there; Redis and discovery, which only cost
 * speed.
 */
export function dependencyChecks(observed: {
  readonly lease: { readonly held: boolean; readonly failure: string | undefined };
  readonly database: { readonly lack: string | undefined };
  readonly mirror: () => { readonly live: boolean; readonly reason?: string | undefined } | undefined;
  readonly discovery: () => { readonly status: 'known' | 'unknown'; readonly error?: string };
}): readonly DependencyCheck[] {
  const withDetail = (ok: boolean, detail: string | undefined): Check => ({
    ok,
    ...(detail === undefined ? {} : { detail }),
  });
  return [
    {
      name: 'sql',
      required: true,
      check: () => {
        const { held, failure } = observed.lease;
        const { lack } = observed.database;
        if (lack !== undefined) return { ok: false, detail: `${lack} (sql.url)` };
        if (held) return { ok: true };
        const detail = 'no heartbeat was written to the database within the lease (sql.url)';
        return withDetail(false, failure === undefined ? detail : `${detail}: ${failure}`);
      },
    },
    {
      name: 'redis',
      required: false,
      check: () => {
        const mirror = observed.mirror();
        return mirror === undefined ? withDetail(true, 'not configured') : withDetail(mirror.live, mirror.reason);
      },
    },
    {
      name: 'discovery',
      required: false,
      check: () => {
        const { status, error } = observed.discovery();
        return withDetail(status === 'known', error);
      },
    },
  ];
}
