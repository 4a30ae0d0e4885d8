/** The receiving side of peer.ts: answers what another instance forwards, one outcome for each message. */

import { toGatewayError } from '../../core/errors.js';
import { readDelimited } from '../../protocol/delimited.js';
import { readOperationHeader, type OperationHeader } from '../../protocol/wire.js';
import { refusalOf, type ForwardAnswer, type ForwardingOutcome } from './forwarding.js';

/**
 * @param body operations, each behind its length
 * @param deliver gives one to a stream of this instance; it gets the operation's bytes as they came
 * @throws GatewayError `invalid-argument` when the body is no such sequence
 */
export function deliverForwarded(
  body: Uint8Array,
  deliver: (header: OperationHeader, operation: Uint8Array) => ForwardAnswer,
): readonly ForwardingOutcome<ForwardAnswer>[] {
  return readDelimited(body, 'ops.Operation').map((bytes) => {
    try {
      return deliver(readOperationHeader(bytes), bytes);
    } catch (error) {
      return refusalOf(toGatewayError(error));
    }
  });
}

/**
 * @param body results, each behind its length
 * @param take gives one to the operation that waits for it here
 * @throws GatewayError `invalid-argument` when the body is no such sequence
 */
export function takeForwardedResults(
  body: Uint8Array,
  take: (result: Uint8Array) => Promise<void>,
): Promise<readonly ForwardingOutcome<object>[]> {
  return Promise.all(
    readDelimited(body, 'ops.OperationResult').map((bytes) =>
      take(bytes).then(
        () => ({}),
        (error: unknown) => refusalOf(toGatewayError(error)),
      ),
    ),
  );
}
