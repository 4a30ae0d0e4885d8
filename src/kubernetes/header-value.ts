/** Values of HTTP headers, accepted and refused as by Go's net/http. */

import { TellableError } from '../core/errors.js';

/**
 * Headers are written byte by byte: UTF-8, as Go does it.
 * @param field the name of the value, for the error, which does not quote it
 * @throws TellableError if no header may have such a value
 */
export function headerValue(field: string, text: string): string {
  // eslint-disable-next-line no-control-regex -- these are what a header may not have
  if (/[\u0000-\u0008\u000a-\u001f\u007f]/u.test(text)) {
    throw new TellableError(`${field}: expected text without control characters`);
  }
  return Buffer.from(text).toString('latin1');
}
