/** Options for opening a database. */

export interface DatabaseOptions {
  /**
   * `mysql://`, `mariadb://`, `postgresql://` or `postgres://` host:port/name; `pglite:memory` or `pglite:/directory`.
   */
  readonly url: string;
  /** In place of the one in `url`. */
  readonly user?: string;
  /** In place of the one in `url`. */
  readonly password?: string;
  readonly maxPoolSize: number;
  /** Time limit for opening a connection, and for waiting for a free one, in ms. */
  readonly connectionTimeoutMs: number;
  /** Time limit for one statement, in ms. */
  readonly queryTimeoutMs: number;
  /** PEM texts; absent: no TLS. */
  readonly ssl?: {
    readonly ca?: string;
    readonly cert?: string;
    readonly key?: string;
    /** Default true. */
    readonly rejectUnauthorized?: boolean;
  };
}
