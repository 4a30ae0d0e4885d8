/**
 * The agent's end of `events.Caching`: one stream for all accounts that it caches over one connection. Unacknowledged
 * bytes are bounded, and nothing is kept to be sent again: after a disconnect every account resumes from the gateway's
 * last stored position.
 */

import { create, toBinary } from '@bufbuild/protobuf';
import { status, type StatusObject } from '@grpc/grpc-js';
import { messageOf } from '../core/errors.js';
import type { Logger } from '../core/logger.js';
import { backoffMs, type Backoff } from '../core/retry.js';
import {
  CachingMessageSchema,
  type CachingMessage,
  type CachingReply,
  type Resume,
} from '../protocol/generated/events/caching_pb.js';
import { AccountStream, type CachingCall, type CachingChange, type StreamAccount } from './caching-sink.js';

export interface CachingStreamOptions {
  /** undefined when there is no connection. */
  readonly open: () => CachingCall | undefined;
  readonly agentId: string;
  /** Of the connection (Registered.epoch). */
  readonly epoch: bigint;
  readonly streamAccount: StreamAccount;
  readonly backoff: Backoff;
  readonly windowBytes: number;
  readonly logger: Logger;
  readonly random: () => number;
}

export class CachingStream {
  readonly #options: CachingStreamOptions;
  /** Accounts that the agent should cache. */
  readonly #wanted = new Set<string>();
  /** Accounts that are being streamed. */
  readonly #streams = new Map<string, AccountStream>();
  /** Accounts of a CachingHello without an answer yet. */
  readonly #asked = new Set<string>();
  /** Messages without acknowledgement, in the order of their numbers. */
  readonly #unacknowledged: { readonly sequence: bigint; readonly bytes: number }[] = [];
  readonly #waiting: (() => void)[] = [];
  #call: CachingCall | undefined;
  #sequence = 0n;
  #bytes = 0;
  #failures = 0;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: CachingStreamOptions) {
    this.#options = options;
  }

  /** Starts to stream some accounts and stops others. */
  change({ start, stop }: CachingChange): void {
    for (const account of stop) {
      this.#wanted.delete(account);
      this.#end(account);
    }
    for (const account of start) this.#wanted.add(account);
    this.#ask();
  }

  /** Ends the stream for good. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#wanted.clear();
    const call = this.#call;
    this.#lost();
    call?.cancel();
  }

  /** Asks for every wanted account that is not yet streamed, on a new stream if there is none. */
  #ask(): void {
    const accounts = [...this.#wanted].filter((account) => !this.#streams.has(account) && !this.#asked.has(account));
    if (this.#closed || accounts.length === 0) return;
    this.#call ??= this.#dial();
    if (this.#call === undefined) {
      this.#askLater();
      return;
    }
    for (const account of accounts) this.#asked.add(account);
    const { agentId, epoch } = this.#options;
    this.#call.write(encode({ case: 'hello', value: { $typeName: 'events.CachingHello', agentId, epoch, accounts } }));
  }

  #askLater(): void {
    clearTimeout(this.#timer);
    const { backoff, random } = this.#options;
    this.#timer = setTimeout(() => this.#ask(), backoffMs(backoff, this.#failures, random));
    this.#failures += 1;
  }

  #dial(): CachingCall | undefined {
    const call = this.#options.open();
    call?.on('data', ({ message }: CachingReply) => {
      if (call === this.#call) this.#receive(message);
    });
    // Every end arrives as a status, whether or not an error event came before it.
    call?.on('error', () => undefined);
    call?.on('status', (end: StatusObject) => {
      if (call === this.#call) this.#ended(end);
    });
    return call;
  }

  #ended({ code, details }: StatusObject): void {
    const { agentId, logger } = this.#options;
    if (this.#wanted.size > 0) {
      logger.warn({ agentId, status: status[code] }, `caching stream ended: ${details}`);
    }
    this.#lost();
    if (this.#wanted.size > 0) this.#askLater();
  }

  #lost(): void {
    this.#call = undefined;
    this.#asked.clear();
    this.#unacknowledged.length = 0;
    this.#bytes = 0;
    for (const account of [...this.#streams.keys()]) this.#end(account);
    this.#admit();
  }

  #receive(reply: CachingReply['message']): void {
    switch (reply.case) {
      case 'resume':
        this.#begin(reply.value);
        return;
      case 'acknowledgement':
        this.#acknowledged(reply.value.sequence);
        return;
      case 'stop':
        for (const account of reply.value.accounts) {
          this.#asked.delete(account);
          this.#end(account);
        }
        // The gateway's assignment may be on its way, or may have changed back.
        if (reply.value.accounts.some((account) => this.#wanted.has(account))) this.#askLater();
        return;
      case undefined:
        return;
    }
  }

  #begin({ accounts, points, kinds }: Resume): void {
    for (const account of accounts) {
      this.#asked.delete(account);
      if (!this.#wanted.has(account) || this.#streams.has(account)) continue;
      const own = points.filter(({ scope }) => scope?.account === account);
      const stream = new AccountStream(account, kinds, own, (message, signal) => this.#send(message, signal));
      this.#streams.set(account, stream);
      stream.run(this.#options.streamAccount).then(
        () => this.#over(account, stream, 'the source ended'),
        (error: unknown) => this.#over(account, stream, messageOf(error)),
      );
    }
  }

  /** The source has ended: it is started again later, unless it was told to end. */
  #over(account: string, stream: AccountStream, reason: string): void {
    if (this.#streams.get(account) !== stream) return;
    this.#streams.delete(account);
    this.#options.logger.warn({ account, reason }, 'caching of the account stopped; retrying');
    this.#askLater();
  }

  #end(account: string): void {
    const stream = this.#streams.get(account);
    this.#streams.delete(account);
    stream?.abort();
  }

  /** Sends a message once there is room for it. @throws the signal's reason when it aborts first */
  async #send(message: (sequence: bigint) => CachingMessage['message'], signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    while (this.#bytes >= this.#options.windowBytes) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
      signal.throwIfAborted();
    }
    const sequence = (this.#sequence += 1n);
    const encoded = encode(message(sequence));
    this.#unacknowledged.push({ sequence, bytes: encoded.length });
    this.#bytes += encoded.length;
    this.#call?.write(encoded);
  }

  #acknowledged(sequence: bigint): void {
    this.#failures = 0;
    let count = 0;
    for (const each of this.#unacknowledged) {
      if (each.sequence > sequence) break;
      this.#bytes -= each.bytes;
      count += 1;
    }
    this.#unacknowledged.splice(0, count);
    this.#admit();
  }

  #admit(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

function encode(message: CachingMessage['message']): Uint8Array {
  return toBinary(CachingMessageSchema, create(CachingMessageSchema, { message }));
}
