/** Worker: clients that make a TLS connection for each request, as kubectl does. */

import { connect } from 'node:tls';
import { answerCalls } from './child.js';

export interface TlsVisits {
  /** Ports on 127.0.0.1, taken in turn. */
  readonly ports: readonly number[];
  readonly path: string;
  /** How a connection begins. `kept`: all requests of a client go over one. */
  readonly kind: 'full' | 'resumed' | 'kept';
  readonly forMs: number;
  /** Clients that come again as soon as they are answered; or how many come each second. */
  readonly arrival: { readonly clients: number } | { readonly perSecond: number };
}

export interface TlsReport {
  readonly answered: number;
  readonly failed: number;
  /** What the first failure was. */
  readonly failure: string | undefined;
  /** Of those with `resumed`. */
  readonly resumed: number;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const timeoutMs = 20_000;

class Visitors {
  readonly #visits: TlsVisits;
  readonly #times: number[] = [];
  /** As the last visitor got it from a server. */
  #session: Buffer | undefined;
  #turn = 0;
  #failed = 0;
  #failure: string | undefined;
  #resumed = 0;

  constructor(visits: TlsVisits) {
    this.#visits = visits;
  }

  async run(): Promise<TlsReport> {
    const { arrival, forMs, kind } = this.#visits;
    if (kind === 'resumed') await this.#visit();
    this.#times.length = 0;
    this.#resumed = 0;
    const begin = performance.now();
    const isOver = (): boolean => performance.now() - begin >= forMs;
    if ('clients' in arrival) {
      const client = async (): Promise<void> => {
        while (!isOver()) await this.#visit(isOver);
      };
      await Promise.all(Array.from({ length: arrival.clients }, client));
    } else await this.#arrive(arrival.perSecond, begin, isOver);
    const seconds = (performance.now() - begin) / 1_000;
    const sorted = this.#times.toSorted((one, other) => one - other);
    const at = (part: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
    return {
      answered: sorted.length,
      failed: this.#failed,
      failure: this.#failure,
      resumed: this.#resumed,
      seconds,
      p50Ms: at(0.5),
      p99Ms: at(0.99),
    };
  }

  /** Whether or not those before have been answered. */
  async #arrive(perSecond: number, begin: number, isOver: () => boolean): Promise<void> {
    const visits: Promise<void>[] = [];
    await new Promise<void>((resolve) => {
      const timer = setInterval(() => {
        const due = Math.floor(((performance.now() - begin) / 1_000) * perSecond);
        while (visits.length < due) visits.push(this.#visit());
        if (!isOver()) return;
        clearInterval(timer);
        resolve();
      }, 5);
    });
    await Promise.all(visits);
  }

  /** One connection; @param isOver with `kept`: when it is closed */
  #visit(isOver: () => boolean = () => true): Promise<void> {
    const { ports, path, kind } = this.#visits;
    const port = ports[(this.#turn += 1) % ports.length] ?? 0;
    const session = kind === 'resumed' && this.#session !== undefined ? { session: this.#session } : {};
    return new Promise((resolve) => {
      let begin = performance.now();
      const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...session });
      const ask = (): void => {
        const last = kind !== 'kept' ? 'connection: close\r\n' : '';
        socket.write(`GET ${path} HTTP/1.1\r\nhost: gateway\r\n${last}\r\n`);
      };
      let isDone = false;
      const answered = (): void => {
        this.#times.push(performance.now() - begin);
        begin = performance.now();
      };
      const end = (failure?: string): void => {
        if (isDone) return;
        isDone = true;
        if (failure !== undefined) this.#failed += 1;
        this.#failure ??= failure;
        socket.destroy();
        resolve();
      };
      let text = '';
      socket.on('session', (given: Buffer) => (this.#session = given));
      socket.on('secureConnect', () => {
        if (socket.isSessionReused()) this.#resumed += 1;
        ask();
      });
      socket.on('data', (data: Buffer) => {
        text += data.toString('latin1');
        // All answers are chunked, or small and whole.
        const isWhole = text.endsWith('0\r\n\r\n') || /content-length/iu.test(text);
        if (kind !== 'kept' || !isWhole) return;
        answered();
        text = '';
        if (isOver()) end();
        else ask();
      });
      socket.on('end', () => {
        if (isDone) return;
        const isGood = text.startsWith('HTTP/1.1 200');
        if (isGood) answered();
        end(isGood ? undefined : text.slice(0, 300));
      });
      socket.on('error', (error) => {
        end(String(error));
      });
      socket.setTimeout(timeoutMs, () => {
        end('no answer in time');
      });
    });
  }
}

answerCalls({ run: (visits: TlsVisits) => new Visitors(visits).run() });
