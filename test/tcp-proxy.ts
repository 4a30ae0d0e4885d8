/** A TCP proxy for tests, which breaks a connection in the ways that networks do. */

import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

export interface ProxyTarget {
  readonly host?: string;
  readonly port: number;
}

/** Starts a proxy on a free port of 127.0.0.1 that forwards to `target` (host default: 127.0.0.1). */
export async function startTcpProxy(target: ProxyTarget): Promise<TcpProxy> {
  const server = createServer({ allowHalfOpen: true, noDelay: true });
  const proxy = new TcpProxy(server, target);
  await proxy.heal();
  return proxy;
}

interface Pair {
  readonly sockets: readonly [client: Socket, upstream: Socket];
  /** One per direction: passes on what is due. */
  readonly pumps: (() => void)[];
}

/** Data, or the end of the connection, and when it may pass, by performance.now(). */
interface Held {
  readonly data: Buffer | undefined;
  readonly dueAt: number;
}

export class TcpProxy {
  readonly host = '127.0.0.1';
  readonly #server: Server;
  readonly #target: ProxyTarget;
  readonly #pairs = new Set<Pair>();
  #port = 0;
  #stalled = false;
  #delayMs = 0;

  /** Use startTcpProxy(). */
  constructor(server: Server, target: ProxyTarget) {
    this.#server = server;
    this.#target = target;
    server.on('connection', (client) => {
      this.#accept(client);
    });
  }

  /** The same before and after cut() and heal(). */
  get port(): number {
    return this.#port;
  }

  /** Connections that are open now. */
  get connections(): number {
    return this.#pairs.size;
  }

  /** Resets every connection and refuses new ones (ECONNREFUSED), until heal(). */
  async cut(): Promise<void> {
    const closed = this.#server.listening ? once(this.#server, 'close') : undefined;
    this.#server.close();
    this.#reset();
    await closed;
  }

  /**
   * Resets every connection towards the target, while clients believe that theirs is whole: they hear nothing more, and
   * new ones are refused. At heal() they are reset as well.
   */
  cutUnnoticed(): void {
    this.#server.close();
    for (const { sockets } of this.#pairs) reset(sockets[1]);
  }

  /** Ends cut(), cutUnnoticed() and stall(): what was held back flows on. */
  async heal(): Promise<void> {
    this.#stalled = false;
    for (const { sockets, pumps } of this.#pairs) {
      if (sockets[1].destroyed) reset(sockets[0]);
      for (const socket of sockets) socket.resume();
      for (const pump of pumps) pump();
    }
    if (this.#server.listening) return;
    this.#server.listen(this.#port, this.host);
    await once(this.#server, 'listening');
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  /**
   * Half-open, as when a network drops every packet: sockets stay open, no byte passes in either direction, not even the
   * end of a connection. New connections are taken by the listening side and stall too. Until heal() or cut().
   */
  stall(): void {
    this.#stalled = true;
    for (const { sockets } of this.#pairs) for (const socket of sockets) socket.pause();
  }

  /** From now on every piece of data passes `ms` later, in order; 0 ends it. */
  delay(ms: number): void {
    this.#delayMs = ms;
  }

  /** Resets every connection and stops listening for good. */
  close(): Promise<void> {
    return this.cut();
  }

  #reset(): void {
    for (const { sockets } of this.#pairs) for (const socket of sockets) reset(socket);
    this.#pairs.clear();
  }

  #accept(client: Socket): void {
    // The kernel may have taken this connection just before cut().
    if (!this.#server.listening) {
      reset(client);
      return;
    }
    const { host = '127.0.0.1', port } = this.#target;
    const upstream = connect({ host, port, noDelay: true, allowHalfOpen: true });
    const pair: Pair = { sockets: [client, upstream], pumps: [] };
    this.#pairs.add(pair);
    this.#forward(client, upstream, pair);
    this.#forward(upstream, client, pair);
    if (this.#stalled) for (const socket of pair.sockets) socket.pause();
  }

  #forward(from: Socket, to: Socket, pair: Pair): void {
    const held: Held[] = [];
    let timer: NodeJS.Timeout | undefined;
    const pump = (): void => {
      clearTimeout(timer);
      for (let next = held[0]; next !== undefined && !this.#stalled; next = held[0]) {
        const waitMs = next.dueAt - performance.now();
        if (waitMs > 0) {
          timer = setTimeout(pump, Math.ceil(waitMs));
          return;
        }
        held.shift();
        if (next.data === undefined && to.destroyed) reset(from);
        else if (next.data === undefined) to.end();
        else if (to.writable && !to.write(next.data)) from.pause();
      }
    };
    const hold = (data: Buffer | undefined): void => {
      held.push({ data, dueAt: performance.now() + this.#delayMs });
      pump();
    };
    pair.pumps.push(pump);
    from.on('data', hold);
    from.on('end', () => {
      hold(undefined);
    });
    to.on('drain', () => {
      if (!this.#stalled) from.resume();
    });
    from.on('error', () => {
      reset(to);
    });
    from.on('close', () => {
      clearTimeout(timer);
      if (pair.sockets.every((socket) => socket.destroyed)) this.#pairs.delete(pair);
    });
  }
}

/** Node 20 spins at its exit after resetAndDestroy() on a socket that is ending. */
function reset(socket: Socket): void {
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}
