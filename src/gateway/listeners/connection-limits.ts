/** How many connections a port takes: in total, from one address, and before their protocol is known. */

import type { Socket } from 'node:net';

export interface ConnectionLimitSettings {
  readonly maxConnections: number;
  readonly maxConnectionsPerAddress: number;
  /** Connections that have not finished TLS and their first bytes. Beyond this number the oldest of them is closed. */
  readonly maxHalfOpenConnections: number;
}

export class ConnectionLimits {
  readonly #settings: ConnectionLimitSettings;
  readonly #crowdedOut: (socket: Socket) => void;
  readonly #byAddress = new Map<string, number>();
  /** In the order in which they came. */
  readonly #halfOpen = new Set<Socket>();
  #connections = 0;

  /** @param crowdedOut called for a half-open connection that must give way to a newer one; it must close it */
  constructor(settings: ConnectionLimitSettings, crowdedOut: (socket: Socket) => void) {
    this.#settings = settings;
    this.#crowdedOut = crowdedOut;
  }

  /**
   * Counts a connection until it closes.
   * @returns why it is refused; undefined if it is accepted
   */
  take(socket: Socket): string | undefined {
    const { maxConnections, maxConnectionsPerAddress, maxHalfOpenConnections } = this.#settings;
    const address = socket.remoteAddress ?? '';
    const ofAddress = this.#byAddress.get(address) ?? 0;
    if (this.#connections >= maxConnections) return 'too many connections (maxConnections)';
    if (ofAddress >= maxConnectionsPerAddress)
      return 'too many connections from its address (maxConnectionsPerAddress)';
    this.#connections += 1;
    this.#byAddress.set(address, ofAddress + 1);
    this.#halfOpen.add(socket);
    socket.once('close', () => {
      this.#connections -= 1;
      this.#halfOpen.delete(socket);
      const left = (this.#byAddress.get(address) ?? 1) - 1;
      if (left === 0) this.#byAddress.delete(address);
      else this.#byAddress.set(address, left);
    });
    // An honest client is done in milliseconds, so the one that has waited longest is most likely an attacker.
    const [oldest] = this.#halfOpen;
    if (this.#halfOpen.size > maxHalfOpenConnections && oldest !== undefined) {
      this.#halfOpen.delete(oldest);
      this.#crowdedOut(oldest);
    }
    return undefined;
  }

  /** Its protocol is known, and TLS, if on, is finished. */
  opened(socket: Socket): void {
    this.#halfOpen.delete(socket);
  }
}
