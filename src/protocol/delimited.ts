/** A sequence of messages as bytes, each behind its length. */

import { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire';
import { reading } from './reading.js';

/** Messages one after the other, each behind its length (as protobuf's writeDelimitedTo() has it). */
export function writeDelimited(messages: readonly Uint8Array[]): Uint8Array {
  const writer = new BinaryWriter();
  for (const message of messages) writer.bytes(message);
  return writer.finish();
}

/** @throws GatewayError `invalid-argument` if the lengths do not match the bytes */
export function readDelimited(bytes: Uint8Array, type: string): Uint8Array[] {
  return reading(`sequence of ${type}`, () => {
    const messages: Uint8Array[] = [];
    const reader = new BinaryReader(bytes);
    while (reader.pos < reader.len) messages.push(reader.bytes());
    return messages;
  });
}
