/** Values of HTTP headers, as Go's net/http takes and refuses them. */

import { TellableError } from '../core/errors.js';

/**
 * Headers are written byte by byte: UTF-8, as Go does it.
 * @param field what the text is, for the error, which does not quote it
 * @throws TellableError when no header may have such a value
 */
export function headerValue(field: string, text: string): string {
  // eslint-disable-next-line no-control-regex -- these are what a header may not have
  if (/[\u0000-\u0008\u000a-\u001f\u007f]/u.test(text)) {
    throw new TellableError(`${field}: expected text without control characters`);
  }
  return Buffer.from(text).toString('latin1');
}
