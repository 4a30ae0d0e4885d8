/**
 * What happened in a run: one JSON object per line, appended synchronously, one file per process, so that a SIGKILL
 * loses nothing. Times are of CLOCK_MONOTONIC, which all processes of a machine share and no clock skew touches.
 */

import { closeSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/** Milliseconds of CLOCK_MONOTONIC. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint() / 1_000n) / 1_000;
}

interface Timed {
  readonly t: number;
}

/** A caller gives an operation to a replica; `attempt` counts the times that this id was given to any. */
export interface Submitted extends Timed {
  readonly type: 'submitted';
  readonly id: string;
  readonly attempt: number;
  readonly replica: string;
  readonly account: string;
  readonly mutating: boolean;
  readonly timeoutMs: number;
}

/** What the caller was told; status 0: the connection broke or was refused. */
export interface Answered extends Timed {
  readonly type: 'answered';
  readonly id: string;
  readonly attempt: number;
  readonly replica: string;
  readonly status: number;
  /** Of the agent's result, when one came with the answer. */
  readonly resultStatus?: number;
  /** Last part of the problem's type, or the error's code. */
  readonly problem?: string;
  readonly detail?: string;
}

/** An agent began to execute; `process` is one life of a process of agents. */
export interface Executed extends Timed {
  readonly type: 'executed';
  readonly id: string;
  readonly agent: string;
  readonly process: string;
  readonly mutating: boolean;
}

export interface Caching extends Timed {
  readonly type: 'caching';
  readonly agent: string;
  readonly process: string;
  readonly account: string;
  readonly on: boolean;
}

/** A caller asks a replica for something of the Kubernetes API of an account, once. */
export interface ApiAsked extends Timed {
  readonly type: 'apiAsked';
  readonly id: string;
  readonly replica: string;
  readonly account: string;
  readonly method: 'GET' | 'POST';
}

/** What it was told; status 0: the connection broke, or the answer was cut off. */
export interface ApiAnswered extends Timed {
  readonly type: 'apiAnswered';
  readonly id: string;
  readonly replica: string;
  readonly status: number;
  /** The answer says that the request may be sent again. */
  readonly retryAfter: boolean;
  /** Those that the answer carries. */
  readonly ids: readonly string[];
  /** The error's code, or the answer of the gateway. */
  readonly problem: string;
}

/** An agent gets a request, and has answered it or was told that nobody waits any more. */
export interface ApiReceived extends Timed {
  readonly type: 'apiReceived' | 'apiEnded';
  readonly id: string;
  readonly agent: string;
  readonly process: string;
}

/** An agent got or lost its stream; `replica` is the one that it is registered at. */
export interface Connected extends Timed {
  readonly type: 'connected';
  readonly agent: string;
  readonly process: string;
  readonly replica: string | null;
}

/** Life of a process: replicas by their ids, agents by their process. A killed process ends before the signal is sent. */
export interface Lifecycle extends Timed {
  readonly type: 'started' | 'ended' | 'frozen' | 'thawed';
  readonly process: string;
}

/** A failure that was injected, and its healing. */
export interface Fault extends Timed {
  readonly type: 'fault';
  readonly name: string;
  readonly phase: 'begin' | 'end';
  readonly detail?: string;
}

/** The runner itself was late by so much, so what callers measured is that much too long. */
export interface Lag extends Timed {
  readonly type: 'lag';
  readonly ms: number;
}

export type HistoryEvent =
  | Submitted
  | Answered
  | Executed
  | ApiAsked
  | ApiAnswered
  | ApiReceived
  | Caching
  | Connected
  | Lifecycle
  | Fault
  | Lag;

type WithoutTime<T> = T extends unknown ? Omit<T, 't'> : never;

export class HistoryWriter {
  readonly #file: number;

  /** @param name of the process; the file is `<directory>/<name>.jsonl` */
  constructor(directory: string, name: string) {
    this.#file = openSync(join(directory, `${name}.jsonl`), 'a');
  }

  append(event: WithoutTime<HistoryEvent>, t = monotonicMs()): void {
    writeSync(this.#file, `${JSON.stringify({ t, ...event })}\n`);
  }

  close(): void {
    closeSync(this.#file);
  }
}

/** All files of a run, in the order of time. */
export function readHistory(directory: string): HistoryEvent[] {
  const events: HistoryEvent[] = [];
  for (const name of readdirSync(directory)) {
    if (!name.endsWith('.jsonl')) continue;
    const lines = readFileSync(join(directory, name), 'utf8').split('\n');
    // The last line may be cut off where its process was killed within the write.
    const whole = lines.slice(0, -1);
    for (const line of whole) events.push(JSON.parse(line) as HistoryEvent);
  }
  return events.sort((a, b) => a.t - b.t);
}
