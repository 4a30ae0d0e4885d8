/** The address of an API server, and the credentials for it. */

import type { Dispatcher } from 'undici';

/** Several values become several header lines. */
export type Headers = Readonly<Record<string, string | string[]>>;

/** The receiver must destroy the dispatcher. */
export interface ApiAccess {
  /** Base URL; may have a path. */
  readonly server: string;
  readonly headers: Headers;
  readonly dispatcher: Dispatcher;
  /** Our own namespace, if the credentials name it. */
  readonly namespace: string | undefined;
  /** The CA certificate for the API server (PEM), if the credentials name one. */
  readonly ca?: Buffer | string | undefined;
  /** When the credentials expire, Unix ms, if they say so. */
  readonly expiresAt?: number | undefined;
}
