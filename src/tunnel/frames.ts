/**
 * Frames of kubernetes.Api as bytes. Written by hand, because every request and answer passes here: one allocation for
 * each message that is written, and bodies that are views of the message that was read. Of a field that occurs twice,
 * the last one counts.
 */

import { reading } from '../protocol/reading.js';
import type { HeaderList, HttpResponseHead, TunnelledRequest } from './exchange.js';
import { FrameReader, FrameWriter, lengthSize, numberSize, textSize } from './frame-fields.js';

export interface RequestHeadFrame {
  readonly kind: 'request-head';
  readonly request: number;
  readonly head: TunnelledRequest;
  readonly body: Uint8Array;
  readonly complete: boolean;
}

export interface ResponseHeadFrame {
  readonly kind: 'response-head';
  readonly request: number;
  readonly head: HttpResponseHead;
  readonly body: Uint8Array;
  readonly complete: boolean;
}

/** What may follow the head of a request or an answer. */
export type BodyFrame =
  | { readonly kind: 'data'; readonly request: number; readonly data: Uint8Array }
  | { readonly kind: 'end'; readonly request: number; readonly trailers: HeaderList }
  | { readonly kind: 'consumed'; readonly request: number; readonly bytes: number };

export type TunnelFrame =
  | RequestHeadFrame
  | ResponseHeadFrame
  | BodyFrame
  | { readonly kind: 'cancel'; readonly request: number; readonly message: string }
  | { readonly kind: 'hello'; readonly request: number; readonly agentId: string; readonly epoch: number }
  /** Of a newer version of the protocol. */
  | { readonly kind: 'unknown'; readonly request: number };

/** The messages of kubernetes.Api, which have one layout. */
export type FramesMessage = 'kubernetes.GatewayFrames' | 'kubernetes.AgentFrames';

const frameField = { request: 1, requestHead: 2, responseHead: 3, data: 4, end: 5, cancel: 6, consumed: 7, hello: 8 };
const requestField = {
  account: 1,
  method: 2,
  target: 3,
  headers: 4,
  body: 5,
  complete: 6,
  upgrade: 7,
};
const responseField = { status: 1, headers: 2, body: 3, complete: 4 };
const helloField = { agentId: 1, epoch: 2 };
const nothing = Buffer.alloc(0);

/** One message with all these frames. */
export function encodeFrames(frames: readonly TunnelFrame[]): Buffer {
  const sizes = frames.map((frame) => contentSize(frame));
  let total = 0;
  frames.forEach((frame, index) => {
    total += lengthSize(frameSize(frame, sizes[index] ?? 0));
  });
  const writer = new FrameWriter(total);
  frames.forEach((frame, index) => {
    writeFrame(writer, frame, sizes[index] ?? 0);
  });
  return writer.bytes;
}

function frameSize({ kind, request }: TunnelFrame, content: number): number {
  const number = numberSize(request);
  if (kind === 'unknown') return number;
  // `consumed` of 0 is written, too: its presence says which content the frame has.
  return number + (kind === 'consumed' ? content : lengthSize(content));
}

function listSize(list: HeaderList): number {
  let size = 0;
  for (const text of list) size += lengthSize(textSize(text));
  return size;
}

/** Of a text or bytes field; nothing for ''. */
function fieldSize(size: number): number {
  return size === 0 ? 0 : lengthSize(size);
}

function contentSize(frame: TunnelFrame): number {
  switch (frame.kind) {
    case 'request-head': {
      const { account, method, target, headers, upgrade } = frame.head;
      let size = listSize(headers) + fieldSize(frame.body.length) + (frame.complete ? 2 : 0);
      for (const text of [account, method, target, upgrade]) size += fieldSize(textSize(text));
      return size;
    }
    case 'response-head': {
      const { status, headers } = frame.head;
      return numberSize(status) + listSize(headers) + fieldSize(frame.body.length) + (frame.complete ? 2 : 0);
    }
    case 'data':
      return frame.data.length;
    case 'end':
      return listSize(frame.trailers);
    case 'cancel':
      return fieldSize(textSize(frame.message));
    case 'consumed':
      return Math.max(2, numberSize(frame.bytes));
    case 'hello':
      return fieldSize(textSize(frame.agentId)) + numberSize(frame.epoch);
    case 'unknown':
      return 0;
  }
}

function writeFrame(writer: FrameWriter, frame: TunnelFrame, content: number): void {
  const { kind, request } = frame;
  writer.open(1, frameSize(frame, content));
  writer.number(frameField.request, request);
  switch (kind) {
    case 'request-head': {
      const { account, method, target, headers, upgrade } = frame.head;
      writer.open(frameField.requestHead, content);
      writer.text(requestField.account, account);
      writer.text(requestField.method, method);
      writer.text(requestField.target, target);
      writer.texts(requestField.headers, headers);
      writer.flag(requestField.complete, frame.complete);
      writer.text(requestField.upgrade, upgrade);
      // Last, so that the reader decodes all texts at once.
      if (frame.body.length > 0) writer.raw(requestField.body, frame.body);
      return;
    }
    case 'response-head':
      writer.open(frameField.responseHead, content);
      writer.number(responseField.status, frame.head.status);
      writer.texts(responseField.headers, frame.head.headers);
      writer.flag(responseField.complete, frame.complete);
      if (frame.body.length > 0) writer.raw(responseField.body, frame.body);
      return;
    case 'data':
      writer.raw(frameField.data, frame.data);
      return;
    case 'end':
      writer.open(frameField.end, content);
      writer.texts(1, frame.trailers);
      return;
    case 'cancel':
      writer.open(frameField.cancel, content);
      writer.text(1, frame.message);
      return;
    case 'consumed':
      writer.present(frameField.consumed, frame.bytes);
      return;
    case 'hello':
      writer.open(frameField.hello, content);
      writer.text(helloField.agentId, frame.agentId);
      writer.number(helloField.epoch, frame.epoch);
      return;
    case 'unknown':
      return;
  }
}

/** @throws GatewayError `invalid-argument` naming the message, if the bytes are none */
export function decodeFrames(message: FramesMessage, bytes: Uint8Array): TunnelFrame[] {
  return reading(message, () => {
    const reader = new FrameReader(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    const frames: TunnelFrame[] = [];
    while (reader.next()) {
      if (reader.field === 1) frames.push(readFrame(reader.inner()));
      else reader.skip();
    }
    return frames;
  });
}

function readFrame(reader: FrameReader): TunnelFrame {
  const known = frameField;
  let request = 0;
  let content: Unnumbered<TunnelFrame> = { kind: 'unknown' };
  while (reader.next()) {
    switch (reader.field) {
      case known.request:
        request = reader.number();
        break;
      case known.requestHead:
        content = readRequestHead(reader.inner());
        break;
      case known.responseHead:
        content = readResponseHead(reader.inner());
        break;
      case known.data:
        content = { kind: 'data', data: reader.raw() };
        break;
      case known.end:
        content = { kind: 'end', trailers: readTexts(reader.inner()) };
        break;
      case known.cancel:
        content = { kind: 'cancel', message: readTexts(reader.inner()).at(-1) ?? '' };
        break;
      case known.consumed:
        content = { kind: 'consumed', bytes: reader.number() };
        break;
      case known.hello:
        content = readHello(reader.inner());
        break;
      default:
        reader.skip();
    }
  }
  return { ...content, request };
}

type Unnumbered<Frame> = Frame extends unknown ? Omit<Frame, 'request'> : never;

function readRequestHead(reader: FrameReader): Unnumbered<RequestHeadFrame> {
  reader.decodeTexts(requestField.body);
  let [account, method, target, upgrade] = ['', '', '', ''];
  const headers: string[] = [];
  let body: Uint8Array = nothing;
  let complete = false;
  while (reader.next()) {
    switch (reader.field) {
      case requestField.account:
        account = reader.text();
        break;
      case requestField.method:
        method = reader.text();
        break;
      case requestField.target:
        target = reader.text();
        break;
      case requestField.headers:
        headers.push(reader.text());
        break;
      case requestField.body:
        body = reader.raw();
        break;
      case requestField.complete:
        complete = reader.number() !== 0;
        break;
      case requestField.upgrade:
        upgrade = reader.text();
        break;
      default:
        reader.skip();
    }
  }
  return { kind: 'request-head', head: { account, method, target, headers, upgrade }, body, complete };
}

function readResponseHead(reader: FrameReader): Unnumbered<ResponseHeadFrame> {
  reader.decodeTexts(responseField.body);
  let status = 0;
  const headers: string[] = [];
  let body: Uint8Array = nothing;
  let complete = false;
  while (reader.next()) {
    switch (reader.field) {
      case responseField.status:
        status = reader.number();
        break;
      case responseField.headers:
        headers.push(reader.text());
        break;
      case responseField.body:
        body = reader.raw();
        break;
      case responseField.complete:
        complete = reader.number() !== 0;
        break;
      default:
        reader.skip();
    }
  }
  return { kind: 'response-head', head: { status, headers }, body, complete };
}

function readHello(reader: FrameReader): Unnumbered<TunnelFrame> {
  let agentId = '';
  let epoch = 0;
  while (reader.next()) {
    if (reader.field === helloField.agentId) agentId = reader.text();
    else if (reader.field === helloField.epoch) epoch = reader.number();
    else reader.skip();
  }
  return { kind: 'hello', agentId, epoch };
}

/** The texts of field 1. */
function readTexts(reader: FrameReader): string[] {
  const texts: string[] = [];
  while (reader.next()) {
    if (reader.field === 1) texts.push(reader.text());
    else reader.skip();
  }
  return texts;
}
