/** Where an API server is, and as whom to speak to it. */

import type { Dispatcher } from 'undici';

/** Whoever gets one destroys the dispatcher. */
export interface ApiAccess {
  /** Base URL; may have a path. */
  readonly server: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly dispatcher: Dispatcher;
  /** Where we are, if the credentials say so. */
  readonly namespace: string | undefined;
  /** The authority of the API server's certificate (PEM), if the credentials name one. */
  readonly ca?: Buffer | string | undefined;
}
