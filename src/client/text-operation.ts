/** A whole operation in text format, as protobuf JSON; apart, because few command lines need the messages. */

import { toJson } from '@bufbuild/protobuf';
import { UsageError } from '../command-line/usage-error.js';
import { messageOf } from '../core/errors.js';
import { OperationSchema } from '../protocol/generated/ops/operations_pb.js';
import { parseText } from '../protocol/text-format.js';

/** @throws UsageError with line and column */
export function readTextOperation(text: string): Record<string, unknown> {
  try {
    return toJson(OperationSchema, parseText(OperationSchema, text)) as Record<string, unknown>;
  } catch (error) {
    throw new UsageError(`--file is not an operation in protobuf JSON, YAML or text format: ${messageOf(error)}`);
  }
}
