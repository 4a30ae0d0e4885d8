/**
 * One request on a tunnel, as either side sees it: what it has still to send, what the other side may still send, and
 * how far both directions are. multiplexer.ts decides which channel sends next.
 */

import { passing } from '../core/passing-bytes.js';
import { exchangeWindowBytes, type HeaderList, type HttpResponseHead, type TunnelledRequest } from './exchange.js';
import type { BodyFrame, TunnelFrame } from './frames.js';
import { checkHeaders, protocolError } from './head-rules.js';

/** The most bytes of a body in one frame, so that others need not wait long. */
export const largestDataBytes = 65_536;
/** When so many bytes are queued, the caller should wait: more would only take memory. */
const queueBytes = 65_536;
/** Consumed bytes are reported when they are this many, so that there are few reports and the sender never waits for one. */
const reportBytes = exchangeWindowBytes / 4;

/** What both sides are told of the other direction. */
export interface ChannelEvents {
  onData(data: Uint8Array): void;
  onEnd(trailers: HeaderList): void;
  onDrain(): void;
}

export type ChannelHead =
  | { readonly kind: 'request-head'; readonly head: TunnelledRequest }
  | { readonly kind: 'response-head'; readonly head: HttpResponseHead };

/** What a channel needs of its multiplexer. */
export interface ChannelSchedule {
  /** It has something to send. */
  wake(channel: Channel): void;
  /** It is over on this side: what still comes for it is ignored. */
  forget(channel: Channel): void;
}

export class Channel {
  readonly number: number;
  /** Whether this side asks or answers. */
  readonly #role: 'asks' | 'answers';
  readonly #schedule: ChannelSchedule;
  readonly #events: () => ChannelEvents;
  #head: ChannelHead | undefined;
  #headSent = false;
  #chunks: Uint8Array[] = [];
  #queued = 0;
  /** Bytes that the other side takes now. */
  #credit = exchangeWindowBytes;
  #trailers: HeaderList | undefined;
  #sentEnd = false;
  #waitsForDrain = false;
  #cancelMessage: string | undefined;
  /** Bytes that the other side may send now. */
  #room = exchangeWindowBytes;
  /** Of the bytes that came: not yet consumed, and consumed but not yet reported. */
  #held = 0;
  #unreported = 0;
  #receivedEnd = false;
  /** After status 101, the end of the answer does not end the request. */
  #upgraded = false;
  #closed = false;

  /** @param events called late: the one that answers gets to know a request before it can say what to tell it */
  constructor(number: number, role: 'asks' | 'answers', schedule: ChannelSchedule, events: () => ChannelEvents) {
    this.number = number;
    this.#role = role;
    this.#schedule = schedule;
    this.#events = events;
  }

  /** Whether its head was given to the transport. */
  get headSent(): boolean {
    return this.#headSent;
  }

  /** Whether it was cancelled, cut off or completed: nothing is sent or told any more. */
  get closed(): boolean {
    return this.#closed;
  }

  /** After an answer with status 101. */
  upgrade(): void {
    this.#upgraded = true;
  }

  /** Queues the head; data and the end may come in the same frame. Only once. */
  begin(head: ChannelHead): void {
    if (this.#closed || this.#head !== undefined) return;
    this.#head = head;
    if (head.kind === 'response-head' && head.head.status === 101) this.upgrade();
    this.#schedule.wake(this);
  }

  /** @returns false: the data is kept, but nothing more should be sent before onDrain() */
  write(data: Uint8Array): boolean {
    if (this.#closed || this.#trailers !== undefined) return true;
    if (data.length > 0) {
      this.#chunks.push(data);
      this.#queued += data.length;
      this.#schedule.wake(this);
    }
    this.#waitsForDrain = this.#queued >= Math.min(this.#credit, queueBytes);
    return !this.#waitsForDrain;
  }

  end(trailers: HeaderList = []): void {
    if (this.#closed || this.#trailers !== undefined) return;
    this.#trailers = trailers;
    this.#schedule.wake(this);
  }

  consumed(bytes: number): void {
    if (this.#closed) return;
    const freed = Math.min(bytes, this.#held);
    this.#held -= freed;
    this.#unreported += freed;
    if (this.#reports) this.#schedule.wake(this);
  }

  /** Ends both directions. What was queued is dropped; the other side is told if it knows of the channel. */
  cancel(message: string): void {
    if (this.#closed) return;
    this.close();
    this.#schedule.forget(this);
    if (!this.#headSent && this.#role === 'asks') return;
    this.#cancelMessage = message;
    this.#schedule.wake(this);
  }

  /** Ends both directions without a word. */
  close(): void {
    this.#closed = true;
    this.#chunks = [];
    this.#queued = 0;
  }

  /** Whether the next frame is a small one, which goes ahead of the data of other channels. */
  get urgent(): boolean {
    if (this.#closed) return this.#cancelMessage !== undefined;
    if (this.#head === undefined) return this.#reports;
    return !this.#headSent || this.#reports || (this.#trailers !== undefined && this.#queued === 0 && !this.#sentEnd);
  }

  /** Whether data can be sent now. */
  get ready(): boolean {
    return this.#headSent && this.#queued > 0 && this.#credit > 0;
  }

  /** Its small frames, in their order; the head with as much of the body as one frame takes. */
  takeUrgent(frames: TunnelFrame[]): void {
    const request = this.number;
    if (this.#cancelMessage !== undefined) {
      frames.push({ kind: 'cancel', request, message: this.#cancelMessage });
      this.#cancelMessage = undefined;
      return;
    }
    if (this.#head !== undefined && !this.#headSent) {
      const body = this.#takeData();
      this.#headSent = true;
      const complete = this.#trailers?.length === 0 && this.#queued === 0;
      frames.push({ request, ...this.#head, body, complete });
      if (complete) this.#endSent();
    }
    if (this.#reports) {
      frames.push({ kind: 'consumed', request, bytes: this.#unreported });
      this.#room += this.#unreported;
      this.#unreported = 0;
    }
    this.#takeEnd(frames);
  }

  /** The next frame of data, and the end if it was the last one. */
  takeReady(frames: TunnelFrame[]): void {
    frames.push({ kind: 'data', request: this.number, data: this.#takeData() });
    this.#takeEnd(frames);
  }

  /** Tells the caller to go on, if it waits and there is room. */
  offerDrain(): void {
    if (!this.#waitsForDrain || this.#closed || this.#trailers !== undefined) return;
    if (this.#queued > 0 || this.#credit === 0) return;
    this.#waitsForDrain = false;
    this.#events().onDrain();
  }

  /** @throws GatewayError `invalid-argument` if the other side breaks the rules */
  receive(frame: BodyFrame): void {
    switch (frame.kind) {
      case 'data':
        this.#receiveData(frame.data);
        return;
      case 'end':
        this.#expectOpen('an end');
        checkHeaders(frame.trailers, this.number);
        this.#receiveEnd(frame.trailers);
        return;
      case 'consumed':
        this.#credit += frame.bytes;
        if (this.#credit > exchangeWindowBytes) throw protocolError(this.number, 'more consumed than was sent');
        if (this.ready) this.#schedule.wake(this);
        this.offerDrain();
        return;
    }
  }

  /** The body in a head. @throws as receive() */
  receiveBody(body: Uint8Array, complete: boolean): void {
    if (body.length > 0) this.#receiveData(body);
    if (complete && !this.#closed) this.#receiveEnd([]);
  }

  #receiveData(data: Uint8Array): void {
    this.#expectOpen('data');
    if (data.length > largestDataBytes) throw protocolError(this.number, 'a frame with too much data');
    if (data.length > this.#room) throw protocolError(this.number, 'more data than the window allows');
    this.#room -= data.length;
    this.#held += data.length;
    // As read from the connection, and as grpc-js put it together.
    passing(2 * data.length);
    this.#events().onData(data);
  }

  #receiveEnd(trailers: HeaderList): void {
    this.#receivedEnd = true;
    this.#events().onEnd(trailers);
    this.#closeIfOver();
  }

  #expectOpen(what: string): void {
    if (this.#receivedEnd) throw protocolError(this.number, `${what} after the end`);
  }

  get #reports(): boolean {
    return this.#unreported >= reportBytes && !this.#receivedEnd;
  }

  #takeEnd(frames: TunnelFrame[]): void {
    if (this.#trailers === undefined || this.#queued > 0 || this.#sentEnd || !this.#headSent || this.#closed) return;
    frames.push({ kind: 'end', request: this.number, trailers: this.#trailers });
    this.#endSent();
  }

  #endSent(): void {
    this.#sentEnd = true;
    this.#closeIfOver();
  }

  #closeIfOver(): void {
    const [request, answer] =
      this.#role === 'asks' ? [this.#sentEnd, this.#receivedEnd] : [this.#receivedEnd, this.#sentEnd];
    if (this.#closed || !answer || (this.#upgraded && !request)) return;
    this.close();
    this.#schedule.forget(this);
  }

  /** As much of the queued data as one frame and the credit take. */
  #takeData(): Uint8Array {
    const most = Math.min(largestDataBytes, this.#credit);
    const pieces: Uint8Array[] = [];
    let bytes = 0;
    let taken = 0;
    for (const chunk of this.#chunks) {
      if (bytes + chunk.length > most) break;
      pieces.push(chunk);
      bytes += chunk.length;
      taken += 1;
    }
    this.#chunks.splice(0, taken);
    // A chunk that fits only in part is split if nothing comes before it: joined to what does, it would be copied.
    const [rest] = this.#chunks;
    if (bytes === 0 && rest !== undefined && most > 0) {
      pieces.push(rest.subarray(0, most));
      this.#chunks[0] = rest.subarray(most);
      bytes = most;
    }
    this.#queued -= bytes;
    this.#credit -= bytes;
    // Copied into a message, and by grpc-js.
    passing(2 * bytes);
    return pieces.length === 1 ? (pieces[0] as Uint8Array) : Buffer.concat(pieces, bytes);
  }
}
