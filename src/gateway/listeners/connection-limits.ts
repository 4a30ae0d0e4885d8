/** How many connections a port takes: in all, of one address, and of those that have not said yet what they speak. */

import type { Socket } from 'node:net';

export interface ConnectionLimitSettings {
  readonly maxConnections: number;
  readonly maxConnectionsPerAddress: number;
  /** Connections that have not finished TLS and their first bytes. Beyond it the one that has been at it longest goes. */
  readonly maxHalfOpenConnections: number;
}

export class ConnectionLimits {
  readonly #settings: ConnectionLimitSettings;
  readonly #crowdedOut: (socket: Socket) => void;
  readonly #byAddress = new Map<string, number>();
  /** In the order in which they came. */
  readonly #halfOpen = new Set<Socket>();
  #connections = 0;

  /** @param crowdedOut told of a half-open connection that goes for a newer one; it has to close it */
  constructor(settings: ConnectionLimitSettings, crowdedOut: (socket: Socket) => void) {
    this.#settings = settings;
    this.#crowdedOut = crowdedOut;
  }

  /**
   * Counts a connection until it closes.
   * @returns why it is not taken; undefined when it is
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
    // An honest one is done in milliseconds, so that whoever has waited longest is the likeliest not to be one.
    const [oldest] = this.#halfOpen;
    if (this.#halfOpen.size > maxHalfOpenConnections && oldest !== undefined) {
      this.#halfOpen.delete(oldest);
      this.#crowdedOut(oldest);
    }
    return undefined;
  }

  /** It has said what it speaks, and finished TLS where that is on. */
  opened(socket: Socket): void {
    this.#halfOpen.delete(socket);
  }
}
