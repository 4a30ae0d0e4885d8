/**
 * Protobuf text format, the form in which REST carries operations and their results.
 * Why not the library's own reader and printer: docs/decisions/0004-text-format.md.
 */
import type { DescMessage, MessageShape, Registry } from '@bufbuild/protobuf';
import { reflect } from '@bufbuild/protobuf/reflect';
import { printFields } from './text-format/print.js';
import { readText } from './text-format/transcode.js';

export interface ParseTextOptions {
  /** The types of expanded `google.protobuf.Any`; without it the expanded form is refused. */
  readonly registry?: Registry;
}

export interface FormatTextOptions {
  /**
   * Print unknown fields, by number. parseText reads them back; protoc's and Java's parsers refuse them. Default: no.
   */
  readonly unknownFields?: boolean;
}

/**
 * Reads what protoc, Java's TextFormat and Python's text_format print, in all their styles.
 * Unknown fields that are given by number are kept as unknown fields.
 * @throws GatewayError invalid-argument; message and details (TextPosition) say at which line and column, counted from
 *   1.
 */
export function parseText<Desc extends DescMessage>(
  schema: Desc,
  text: string,
  options: ParseTextOptions = {},
): MessageShape<Desc> {
  return readText(schema, text, options.registry);
}

/** Prints what Java's `toString()` prints, so that every text format parser reads the same message back. */
export function formatText<Desc extends DescMessage>(
  schema: Desc,
  message: MessageShape<Desc>,
  options: FormatTextOptions = {},
): string {
  return printFields(reflect(schema, message, false), options.unknownFields ?? false);
}
