/**
 * JSON from users and clusters: every number keeps its text. An integer of 64 bits does not fit a double, and we must
 * not change 1.0 or 1e400. Most documents hold no such number and go through the engine's own parser; those that do go
 * through lossless-json, where such numbers become objects. Node.js 22 has this built in (JSON.rawJSON); 20 has not.
 */

import { randomUUID } from 'node:crypto';
import { parse } from 'lossless-json';

/**
 * Marks the text of a number in the output of the engine's stringify. It is random, so no string of a document contains
 * it.
 */
const mark = randomUUID();
const marked = new RegExp(`"${mark}(.*?)"`, 'gu');

/** A number whose value or text would change as a double. A leaf: see isJsonObject(). */
export class ExactNumber {
  /** @param text a number in JSON */
  constructor(readonly text: string) {}

  toString(): string {
    return this.text;
  }

  /** For stringifyJson() alone. */
  toJSON(): string {
    return `${mark}${this.text}`;
  }
}

/** A number of JSON: a double if that has the same text. */
export function exactNumber(text: string): number | ExactNumber {
  const number = Number(text);
  return String(number) === text ? number : new ExactNumber(text);
}

/**
 * Finds every text with a number that needs to be exact, and few others: 16 digits, a fraction, an exponent or a
 * negative zero where a value may begin. It may also find one in a string, which only costs time.
 */
const suspicious = /(?:^|"\s*:|[[,])\s*(?:-?(?:\d{16}|\d+[.eE])|-0)/u;

/** As JSON.parse(), with numbers as exactNumber() gives them. @throws SyntaxError, whose message quotes the text */
export function parseJson(text: string): unknown {
  if (!suspicious.test(text)) return JSON.parse(text) as unknown;
  return parse(text, undefined, { parseNumber: exactNumber, onDuplicateKey: ({ newValue }) => newValue });
}

/** As JSON.stringify(), for values that may come from parseJson(). */
export function stringifyJson(value: unknown, indentation?: number): string {
  const text = JSON.stringify(value, undefined, indentation);
  return text.includes(mark) ? text.replaceAll(marked, '$1') : text;
}

/**
 * JSON for a parser that only has doubles: integers that no double can hold become text, which protobuf JSON accepts
 * too. Text that is not JSON stays unchanged.
 */
export function quoteLargeIntegers(json: string): string {
  if (!suspicious.test(json)) return json;
  try {
    const text = JSON.stringify(parseJson(json));
    return text.replaceAll(marked, (_, number: string) => (/^-?\d+$/u.test(number) ? `"${number}"` : number));
  } catch {
    return json;
  }
}

export type JsonObject = Readonly<Record<string, unknown>>;

/** Whether a value of a document is an object, and not a list or an exact number. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof ExactNumber);
}
