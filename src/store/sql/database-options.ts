/** What it takes to open a database. */

export interface DatabaseOptions {
  /** `mysql://`, `mariadb://`, `postgresql://` or `postgres://` host:port/name; `pglite:memory` or `pglite:/directory`. */
  readonly url: string;
  /** In place of the one in `url`. */
  readonly user?: string;
  /** In place of the one in `url`. */
  readonly password?: string;
  readonly maxPoolSize: number;
  /** Bound of opening a connection, and of waiting for a free one, in ms. */
  readonly connectionTimeoutMs: number;
  /** Bound of one statement, in ms. */
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
