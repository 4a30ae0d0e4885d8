/** Whether this instance takes new work, and what it lacks. */

export type ReadinessStatus = 'starting' | 'ready' | 'draining' | 'degraded';

export interface Check {
  readonly ok: boolean;
  readonly detail?: string;
}

export interface ReadinessReport {
  readonly ready: boolean;
  readonly status: ReadinessStatus;
  readonly checks: Readonly<Record<string, Check>>;
}

export interface DependencyCheck {
  readonly name: string;
  /** Without it operations cannot be taken; others only cost speed. */
  readonly required: boolean;
  readonly check: () => Check;
}

export class Readiness {
  readonly #dependencies: readonly DependencyCheck[];
  #phase: 'starting' | 'serving' | 'draining' = 'starting';

  constructor(dependencies: readonly DependencyCheck[]) {
    this.#dependencies = dependencies;
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
    return { ready, status: ready ? 'ready' : this.#phase === 'serving' ? 'degraded' : this.#phase, checks };
  }
}

/** What a replica depends on: SQL, by the lease that it keeps there; Redis and discovery, which only cost speed. */
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
