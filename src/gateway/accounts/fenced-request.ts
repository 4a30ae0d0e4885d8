/** A request of undici that can be kept from the wire until the very moment at which it would be written. */

import type { Dispatcher } from 'undici';
import { GatewayError } from '../../core/errors.js';

/**
 * @param mayWrite asked once there is a connection; false: nothing is written. Between the question and the first byte
 *   nothing else runs, so a process that is frozen before it and wakes up long after asks again.
 * @returns the whole answer
 * @throws GatewayError `cancelled`: mayWrite() was false; the signal's reason; errors of undici
 */
export function unlessFenced(
  dispatcher: Dispatcher,
  request: Dispatcher.DispatchOptions,
  mayWrite: () => boolean,
  signal: AbortSignal,
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    let controller: Dispatcher.DispatchController | undefined;
    let status = 0;
    const chunks: Buffer[] = [];
    const abort = (): void => {
      const reason = signal.reason as Error;
      reject(reason);
      controller?.abort(reason);
    };
    const end = (): void => signal.removeEventListener('abort', abort);
    if (signal.aborted) return abort();
    signal.addEventListener('abort', abort, { once: true });
    dispatcher.dispatch(request, {
      onRequestStart: (started) => {
        controller = started;
        if (signal.aborted) started.abort(signal.reason as Error);
        else if (!mayWrite()) started.abort(new GatewayError('cancelled', 'another instance does this now'));
      },
      onResponseStart: (_, statusCode) => {
        status = statusCode;
      },
      onResponseData: (_, chunk) => {
        chunks.push(chunk);
      },
      onResponseEnd: () => {
        end();
        resolve({ status, text: Buffer.concat(chunks).toString('utf8') });
      },
      onResponseError: (_, error) => {
        end();
        reject(error);
      },
    });
  });
}
