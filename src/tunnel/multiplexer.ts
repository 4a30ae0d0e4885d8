/**
 * Sends the frames of many channels over one stream: what was ready at the end of a turn of the event loop, or came up
 * while the stream was busy, goes in one message. Small frames go first, then the channels with data take turns, one
 * frame each.
 */

import type { Channel, ChannelSchedule } from './channel.js';
import { encodeFrames, type TunnelFrame } from './frames.js';

/** The stream below a tunnel. */
export interface TunnelTransport {
  /** @returns false: write nothing more before the tunnel's drained() is called */
  write(message: Uint8Array): boolean;
}

/** A message is not continued beyond this, in bytes: what comes after it would wait too long. */
const messageBytes = 131_072;

export class Multiplexer<Kind extends Channel> implements ChannelSchedule {
  readonly #transport: TunnelTransport;
  /** Channels that are open, by number. */
  readonly #channels = new Map<number, Kind>();
  readonly #urgent = new Set<Channel>();
  readonly #ready = new Set<Channel>();
  #writable = true;
  #flushPlanned = false;
  #closed = false;
  #sentBytes = 0;

  constructor(transport: TunnelTransport) {
    this.#transport = transport;
  }

  /** Bytes of messages that were given to the transport. */
  get sentBytes(): number {
    return this.#sentBytes;
  }

  get openCount(): number {
    return this.#channels.size;
  }

  /** Channels that are open. */
  get open(): IterableIterator<Kind> {
    return this.#channels.values();
  }

  get closed(): boolean {
    return this.#closed;
  }

  channel(number: number): Kind | undefined {
    return this.#channels.get(number);
  }

  add(channel: Kind): void {
    this.#channels.set(channel.number, channel);
  }

  /** Sends a frame that belongs to no channel, at once. */
  send(frame: TunnelFrame): void {
    this.#write([frame]);
  }

  wake(channel: Channel): void {
    if (this.#closed) return;
    if (channel.urgent) this.#urgent.add(channel);
    else if (channel.ready) this.#ready.add(channel);
    else return;
    if (!this.#writable || this.#flushPlanned) return;
    this.#flushPlanned = true;
    // Nobody shares the message of a lone request: it need not wait for the rest of this turn, and another one to be written.
    if (this.#channels.size === 1) process.nextTick(this.#send);
    else setImmediate(this.#send);
  }

  forget(channel: Channel): void {
    this.#channels.delete(channel.number);
    this.#urgent.delete(channel);
    this.#ready.delete(channel);
  }

  /** The transport takes messages again. */
  drained(): void {
    this.#writable = true;
    this.#send();
  }

  /** Nothing is sent any more. @returns the channels that were open */
  close(): Kind[] {
    this.#closed = true;
    const open = [...this.#channels.values()];
    this.#channels.clear();
    this.#urgent.clear();
    this.#ready.clear();
    for (const channel of open) channel.close();
    return open;
  }

  readonly #send = (): void => {
    this.#flushPlanned = false;
    while (this.#writable && !this.#closed) {
      const frames: TunnelFrame[] = [];
      const sent = this.#collect(frames);
      if (frames.length === 0) return;
      this.#write(frames);
      for (const channel of sent) channel.offerDrain();
    }
  };

  #collect(frames: TunnelFrame[]): Channel[] {
    const sent: Channel[] = [];
    let bytes = 0;
    let counted = 0;
    const count = (): void => {
      for (; counted < frames.length; counted += 1) bytes += roughSize(frames[counted] as TunnelFrame);
    };
    for (const channel of this.#urgent) {
      if (bytes >= messageBytes) return sent;
      this.#urgent.delete(channel);
      channel.takeUrgent(frames);
      if (channel.ready) this.#ready.add(channel);
      sent.push(channel);
      count();
    }
    // A channel that is added again while this runs comes last.
    for (const channel of this.#ready) {
      if (bytes >= messageBytes) return sent;
      this.#ready.delete(channel);
      if (!channel.ready) continue;
      channel.takeReady(frames);
      if (channel.ready) this.#ready.add(channel);
      sent.push(channel);
      count();
    }
    return sent;
  }

  #write(frames: readonly TunnelFrame[]): void {
    const message = encodeFrames(frames);
    this.#sentBytes += message.length;
    this.#writable = this.#transport.write(message);
  }
}

/** Near enough to bound a message. */
function roughSize(frame: TunnelFrame): number {
  if (frame.kind === 'data') return frame.data.length;
  if (frame.kind !== 'request-head' && frame.kind !== 'response-head') return 32;
  let size = frame.body.length + 128;
  for (const text of frame.head.headers) size += text.length;
  return size;
}
