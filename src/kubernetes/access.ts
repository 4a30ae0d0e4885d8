/** Where an API server is, and as whom to speak to it. */

import type { Dispatcher } from 'undici';

/** Several values are several lines. */
export type Headers = Readonly<Record<string, string | string[]>>;

/** Whoever gets one destroys the dispatcher. */
export interface ApiAccess {
  /** Base URL; may have a path. */
  readonly server: string;
  readonly headers: Headers;
  readonly dispatcher: Dispatcher;
  /** Where we are, if the credentials say so. */
  readonly namespace: string | undefined;
  /** The authority of the API server's certificate (PEM), if the credentials name one. */
  readonly ca?: Buffer | string | undefined;
  /** Unix ms from which the credentials are worth nothing, where they say so. */
  readonly expiresAt?: number | undefined;
}
