/**
 * One stream of cached objects, as the gateway sees it. Received but uncommitted bytes are bounded: past the bound the
 * stream is not read, so that HTTP/2 flow control stops the agent.
 *
 * One batch of a stream is written at a time; messages that come meanwhile form the next. So batches of a stream are
 * committed in order, while those of several streams share transactions (ingest.ts).
 */

import { GatewayError, messageOf, toGatewayError } from '../../core/errors.js';
import type { CachingAgent, CachingStart } from '../../store/cache/cached-object.js';
import { Batch } from './batch.js';
import type { CachingIngest, IngestedStream } from './ingest.js';
import { groupOf, kindName } from './kinds.js';
import { readKubernetesObject, type ObjectScope } from './kubernetes-object.js';

export type EventType = 'added' | 'modified' | 'deleted';

/** A message of the stream; `bytes` is its size. */
export type CachingStreamMessage = { readonly bytes: number } & (
  | { readonly case: 'hello'; readonly agentId: string; readonly epoch: number; readonly accounts: readonly string[] }
  | {
      readonly case: 'events';
      readonly sequence: number;
      readonly scope: ObjectScope;
      /** `undefined`: a type of a newer protocol version. */
      readonly events: readonly { readonly type: EventType | undefined; readonly object: Uint8Array }[];
      readonly resourceVersion: string;
    }
  | { readonly case: 'snapshotStart'; readonly sequence: number; readonly scope: ObjectScope }
  | {
      readonly case: 'snapshotEnd';
      readonly sequence: number;
      readonly scope: ObjectScope;
      readonly resourceVersion: string;
    }
);

/** The stream below a session. */
export interface CachingTransport {
  readonly address: string;
  /** Each returns false if the agent does not read: then nothing more is read from it until drained() is called. */
  resumeAt(start: CachingStart): boolean;
  acknowledge(sequence: number): boolean;
  stop(accounts: readonly string[]): boolean;
  pause(): void;
  resume(): void;
  /** With the error's status, or with OK. */
  end(error?: GatewayError): void;
}

/** Bytes of a stream that may wait or be written at a time; beyond them it is not read. */
const streamBytes = 512 * 1_024;
/** Objects in one batch. */
const batchObjects = 1_000;
/** The store numbers generations by these (store/cache/cache.ts). */
const maximumSnapshots = 2 ** 20 - 1;

type Waiting = CachingStreamMessage & { readonly at: number };

export class CachingSession implements IngestedStream {
  readonly #ingest: CachingIngest;
  readonly #transport: CachingTransport;
  readonly #principal: string | undefined;
  readonly #abort = new AbortController();
  /** The accounts that the agent may send, with the numbers that the store gave. */
  readonly #streams = new Map<string, number>();
  /** Snapshots that have begun, by account and scope, with their numbers. */
  readonly #open = new Map<string, Map<string, number>>();
  /**
   * Scopes that the store has completely, by account: a resume point for any other scope would hide objects that were
   * never sent.
   */
  readonly #whole = new Map<string, Set<string>>();
  #inbox: Waiting[] = [];
  #bytes = 0;
  #running = false;
  #paused = false;
  #writable = true;
  #agent: CachingAgent | undefined;
  #snapshots = 0;
  #toldOfInvalid = false;
  #finishing = false;

  /** @param principal must own the accounts; undefined: authentication is off */
  constructor(ingest: CachingIngest, transport: CachingTransport, principal?: string) {
    this.#ingest = ingest;
    this.#transport = transport;
    this.#principal = principal;
    ingest.opened(this);
  }

  get introduced(): boolean {
    return this.#agent !== undefined;
  }

  get closed(): boolean {
    return this.#abort.signal.aborted;
  }

  receive(message: CachingStreamMessage): void {
    if (this.closed) return;
    this.#inbox.push({ ...message, at: performance.now() });
    this.#bytes += message.bytes;
    this.#ingest.hold(message.bytes);
    this.pauseOrResume();
    if (!this.#running) void this.#run();
  }

  /** The transport takes replies again. */
  drained(): void {
    this.#writable = true;
    this.pauseOrResume();
  }

  /** Reads the stream while there is room for more. */
  pauseOrResume(): void {
    if (this.closed) return;
    const room = this.#writable && this.#bytes < streamBytes && this.#ingest.hasRoom;
    if (room === !this.#paused) return;
    this.#paused = !room;
    if (room) this.#transport.resume();
    else this.#transport.pause();
  }

  /** The agent has ended its side: the stream ends once everything received is committed. */
  finish(): void {
    this.#finishing = true;
    if (!this.#running) this.#finished();
  }

  /** The stream ended, or is to end with `error`. A batch that is being written may still be committed. */
  close(error?: GatewayError): void {
    if (this.closed) return;
    this.#abort.abort(new GatewayError('cancelled', 'the caching stream has ended'));
    this.#ingest.closed(this);
    this.#inbox = [];
    // The bytes of a batch that is being written still count.
    if (!this.#running) this.#release(this.#bytes);
    if (error !== undefined) this.#transport.end(error);
  }

  async #run(): Promise<void> {
    this.#running = true;
    try {
      for (let first = this.#inbox[0]; first !== undefined; first = this.#inbox[0]) {
        if (first.case === 'hello') {
          this.#inbox.shift();
          await this.#hello(first);
          this.#release(first.bytes);
        } else await this.#write(this.#take());
      }
    } catch (thrown) {
      const error = toGatewayError(thrown);
      if (!this.closed) {
        const { agentId } = this.#agent ?? {};
        const { address } = this.#transport;
        this.#ingest.logger.warn({ agentId, address, code: error.code, error: error.message }, 'caching stream ended');
      }
      this.close(error);
    } finally {
      this.#running = false;
      if (this.closed) this.#release(this.#bytes);
      else if (this.#finishing) this.#finished();
    }
  }

  #finished(): void {
    if (this.closed) return;
    this.#transport.end();
    this.close();
  }

  async #hello({ agentId, epoch, accounts }: CachingStreamMessage & { case: 'hello' }): Promise<void> {
    const { signal } = this.#abort;
    const known = this.#agent;
    if (agentId === '')
      throw new GatewayError('invalid-argument', 'hello.agent_id must not be empty', { field: 'agent_id' });
    if (known !== undefined && (known.agentId !== agentId || known.epoch !== epoch)) {
      throw new GatewayError('invalid-argument', 'hello: this stream belongs to another agent or connection', {
        field: 'hello',
      });
    }
    const agent = { agentId, epoch, principal: this.#principal };
    this.#agent = agent;
    const start = await this.#ingest.start(agent, accounts, signal);
    for (const [account, stream] of start.streams) {
      this.#streams.set(account, stream);
      this.#open.delete(account);
      this.#whole.set(account, new Set());
    }
    for (const { account, key } of start.points) this.#whole.get(account)?.add(key);
    const refused = accounts.filter((account) => !start.streams.has(account));
    this.#ingest.logger.info(
      { agentId, epoch, accounts: start.streams.size, refused: refused.length },
      'agent started caching',
    );
    this.#reply(this.#transport.resumeAt(start));
    if (refused.length > 0) this.#stop(refused);
  }

  /** Takes the received messages, up to the next hello or the size of a batch. */
  #take(): Batch {
    const batch = new Batch();
    let taken = 0;
    for (const message of this.#inbox) {
      if (message.case === 'hello' || batch.size >= batchObjects) break;
      this.#add(batch, message);
      batch.sequence = message.sequence;
      batch.since = Math.min(batch.since, message.at);
      batch.bytes += message.bytes;
      taken += 1;
    }
    this.#inbox.splice(0, taken);
    return batch;
  }

  #add(batch: Batch, message: Exclude<CachingStreamMessage, { case: 'hello' }>): void {
    const { account, apiVersion, kind, namespace } = message.scope;
    const { metrics, kinds } = this.#ingest;
    const events = message.case === 'events' ? message.events : [];
    const drop = (outcome: string) => {
      for (const { type = 'unknown' } of events) metrics.cachingEvents.inc({ type, outcome });
    };
    if (!this.#streams.has(account)) {
      // Sent before the agent read our Stop, or for an account that it never asked for.
      this.#stop([account]);
      drop('not_held');
      return;
    }
    if (!kinds.has(apiVersion, kind)) {
      drop('not_wanted');
      return;
    }
    const key = `${namespace}_${groupOf(apiVersion)}_${kind}`;
    const scope = { account, kind: kindName(apiVersion, kind), namespace, key };
    const open = this.#open.get(account) ?? new Map<string, number>();
    this.#open.set(account, open);
    const whole = this.#whole.get(account);
    switch (message.case) {
      case 'snapshotStart':
        if (this.#snapshots >= maximumSnapshots)
          throw new GatewayError('replaced', 'too many snapshots on one stream; dial again');
        this.#snapshots += 1;
        open.set(key, this.#snapshots);
        whole?.delete(key);
        metrics.cachingSnapshots.inc({ state: 'begun' });
        batch.version(scope, '');
        return;
      case 'snapshotEnd': {
        const number = open.get(key);
        if (number === undefined) {
          throw new GatewayError('invalid-argument', `snapshot_end of ${account}:${key} without its snapshot_start`, {
            field: 'snapshot_end',
          });
        }
        open.delete(key);
        whole?.add(key);
        metrics.cachingSnapshots.inc({ state: 'complete' });
        batch.complete(scope, number);
        batch.version(scope, message.resourceVersion);
        return;
      }
      case 'events':
        if (message.resourceVersion !== '') {
          if (whole?.has(key) === true) batch.version(scope, message.resourceVersion);
        } else if (!open.has(key)) {
          throw new GatewayError('invalid-argument', 'events.resource_version must be set outside of snapshots', {
            field: 'resource_version',
          });
        }
        for (const { type, object } of message.events) this.#event(batch, message.scope, type, object);
        return;
    }
  }

  #event(batch: Batch, scope: ObjectScope, type: EventType | undefined, bytes: Uint8Array): void {
    const { metrics, logger } = this.#ingest;
    const { account } = scope;
    try {
      if (type === undefined) throw new GatewayError('invalid-argument', 'an event has no type', { field: 'type' });
      const object = readKubernetesObject(scope, bytes);
      if (type === 'deleted') batch.delete(account, object.id);
      else batch.put({ ...object, account, snapshots: this.#snapshots });
      batch.events[type] += 1;
    } catch (error) {
      metrics.cachingEvents.inc({ type: type ?? 'unknown', outcome: 'invalid' });
      if (this.#toldOfInvalid) return;
      this.#toldOfInvalid = true;
      const fields = { agentId: this.#agent?.agentId, account, kind: scope.kind, error: messageOf(error) };
      logger.warn(fields, 'object not cached; further ones on this stream are counted, not logged');
    }
  }

  async #write(batch: Batch): Promise<void> {
    const agent = this.#agent;
    if (agent === undefined)
      throw new GatewayError('invalid-argument', 'hello: expected as the first message', { field: 'hello' });
    const { lost } = await this.#ingest.write(batch, batch.finish(agent, this.#streams));
    this.#release(batch.bytes);
    if (this.closed) return;
    if (lost.length > 0) this.#stop(lost);
    this.#reply(this.#transport.acknowledge(batch.sequence));
  }

  #stop(accounts: readonly string[]): void {
    for (const account of accounts) this.#streams.delete(account);
    this.#reply(this.#transport.stop(accounts));
  }

  #reply(writable: boolean): void {
    if (writable) return;
    this.#writable = false;
    this.pauseOrResume();
  }

  #release(bytes: number): void {
    this.#bytes -= bytes;
    this.pauseOrResume();
    this.#ingest.release(bytes);
  }
}
