/**
 * Which requests change the protocol of their connection: those of the Kubernetes API. Anywhere else the header is ignored
 * (RFC 9110, 7.8), because Java's HTTP client and curl offer HTTP/2 with it on every cleartext connection.
 */

import { IncomingMessage } from 'node:http';
import { isKubernetesApi } from '../kubernetes-api/path.js';

/**
 * Node.js asks each request for `upgrade` before it hands the connection over; if it is false, the request is served as any
 * other. (`shouldUpgradeCallback` does the same, and is not there before Node.js 22.21.)
 */
export class MaybeUpgrade extends IncomingMessage {
  /** Not a private field: the constructor of the base class sets `upgrade` before there are any. */
  declare offersUpgrade: boolean;

  get upgrade(): boolean {
    return this.offersUpgrade && isKubernetesApi(this.url) && !/^h2c?$/iu.test(this.headers.upgrade ?? '');
  }

  set upgrade(value: boolean) {
    this.offersUpgrade = value;
  }
}
