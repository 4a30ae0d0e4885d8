/** The error for an unreadable message. */

import { GatewayError, messageOf } from '../core/errors.js';

/**
 * @param type the type of the message, for the error
 * @throws GatewayError `invalid-argument` when `read` throws
 */
export function reading<T>(type: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof GatewayError) throw error;
    // The library's readers throw plain errors; a TypeError is that of TextDecoder.
    const reason = error instanceof TypeError ? 'a string in it is not UTF-8' : messageOf(error);
    throw new GatewayError('invalid-argument', `not a valid ${type}: ${reason}`, {
      field: type,
      cause: error,
    });
  }
}
