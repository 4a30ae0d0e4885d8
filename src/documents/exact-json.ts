/**
 * JSON of other people: every number keeps its text. An integer of 64 bits does not fit a double, and what is 1.0 or 1e400
 * is not ours to change. Most documents hold no such number and go through the engine's own parser; those that do go
 * through lossless-json, where such numbers become objects. Node.js 22 has this built in (JSON.rawJSON); 20 has not.
 */

import { randomUUID } from 'node:crypto';
import { parse } from 'lossless-json';

/** Around the text of a number in what the engine's stringify gives. Nobody can know it, so no string of a document has it. */
const mark = randomUUID();
const marked = new RegExp(`"${mark}(.*?)"`, 'gu');

/** A number that is another one, or written in another way, as a double. A leaf: see isJsonObject(). */
export class ExactNumber {
  /** @param text as JSON writes numbers */
  constructor(readonly text: string) {}

  toString(): string {
    return this.text;
  }

  /** For stringifyJson() alone. */
  toJSON(): string {
    return `${mark}${this.text}`;
  }
}

/** A number as it is in JSON: a double where that says the same. */
export function exactNumber(text: string): number | ExactNumber {
  const number = Number(text);
  return String(number) === text ? number : new ExactNumber(text);
}

/**
 * Finds every text with a number that needs to be exact, and few others: 16 digits, a fraction, an exponent or a negative
 * zero where a value may begin. It may also find one in a string, which costs nothing but time.
 */
const suspicious = /(?:^|"\s*:|[[,])\s*(?:-?(?:\d{16}|\d+[.eE])|-0)/u;

/** As JSON.parse(), with numbers as exactNumber() gives them. @throws SyntaxError, whose message quotes the text */
export function parseJson(text: string): unknown {
  if (!suspicious.test(text)) return JSON.parse(text) as unknown;
  return parse(text, undefined, { parseNumber: exactNumber, onDuplicateKey: ({ newValue }) => newValue });
}

/** As JSON.stringify(), of what may have come from parseJson(). */
export function stringifyJson(value: unknown, indentation?: number): string {
  const text = JSON.stringify(value, undefined, indentation);
  return text.includes(mark) ? text.replaceAll(marked, '$1') : text;
}

/**
 * JSON for a parser that has doubles alone: integers that no double holds become text, as which protobuf JSON takes them
 * too. What is no JSON stays as it is.
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

/** Whether a value of a document is an object: no list, no exact number. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof ExactNumber);
}
