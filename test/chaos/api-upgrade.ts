/** One caller that changes the protocol, as exec and port-forward do: what it sends comes back, until it goes. */

import { request } from 'node:http';
import type { ApiAnswered } from './history.js';

export type ApiAnswer = Pick<ApiAnswered, 'status' | 'retryAfter' | 'ids' | 'problem'>;

export interface ApiUpgradeOptions {
  readonly url: string;
  /** What it sends. */
  readonly id: string;
  /** How long it stays, in ms. */
  readonly lastsMs: number;
  /** Goes without a word. */
  readonly rude: boolean;
  /** For the answer's head, and for the end after it has gone, in ms. */
  readonly patienceMs: number;
}

const everyMs = 100;

/** Never rejects. */
export function upgrade({ url, id, lastsMs, rude, patienceMs }: ApiUpgradeOptions): Promise<ApiAnswer> {
  return new Promise((resolve) => {
    const none = (problem: string): ApiAnswer => ({ status: 0, retryAfter: false, ids: [], problem });
    const sent = request(url, { headers: { connection: 'Upgrade', upgrade: 'SPDY/3.1' }, agent: false });
    const patience = setTimeout(() => {
      resolve(none('TimeoutError'));
      sent.destroy();
    }, patienceMs);
    sent.on('error', (error: NodeJS.ErrnoException) => {
      clearTimeout(patience);
      resolve(none(error.code ?? error.name));
    });
    sent.on('response', (response) => {
      let problem = '';
      response.setEncoding('utf8');
      response.on('data', (text: string) => (problem += text));
      response.on('error', () => undefined);
      response.on('close', () => {
        clearTimeout(patience);
        const { statusCode: status = 0, headers } = response;
        const retryAfter = headers['retry-after'] !== undefined;
        resolve({ status, retryAfter, ids: [], problem: problem.slice(0, 300) });
      });
    });
    sent.on('upgrade', (_, socket, head) => {
      let text = head.toString();
      clearTimeout(patience);
      const say = setInterval(() => socket.write(`${id}\n`), everyMs);
      const going = setTimeout(() => {
        clearInterval(say);
        if (rude) socket.destroy();
        else socket.end();
      }, lastsMs);
      const leaving = setTimeout(() => socket.destroy(), lastsMs + patienceMs);
      socket.on('data', (data: Buffer) => (text += data.toString()));
      socket.on('error', () => undefined);
      socket.on('close', () => {
        clearInterval(say);
        clearTimeout(going);
        clearTimeout(leaving);
        const ids = new Set(text.split('\n').slice(0, -1));
        resolve({ status: 101, retryAfter: false, ids: [...ids], problem: '' });
      });
      socket.on('end', () => {
        clearInterval(say);
        socket.end();
      });
    });
    sent.end();
  });
}
