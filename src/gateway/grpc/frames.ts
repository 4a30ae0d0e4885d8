/** Encodes messages to agents: the only code near the domain that knows the generated types. */

import { create, toBinary } from '@bufbuild/protobuf';
import {
  AddAccountsSchema,
  CachingAssignmentSchema,
  DeleteAccountsSchema,
  GatewayMessageSchema,
  OpenKubernetesApiSchema,
  OperationResultSchema,
  PingSchema,
  Reconnect_Reason,
  ReconnectSchema,
  RegisteredSchema,
  ResultReceipt_Outcome,
  type GatewayMessage,
} from '../../protocol/generated/ops/operations_pb.js';
import { gatewayFrame, encodeReceipt } from '../../protocol/wire.js';
import type { AgentResult, OperationRecord } from '../../store/operations/operation-record.js';
import type { ReconnectReason, SessionFrames } from '../agents/session-frames.js';
import type { ReceiptOutcome } from '../operations/results.js';

const reasons: Readonly<Record<ReconnectReason, Reconnect_Reason>> = {
  draining: Reconnect_Reason.DRAINING,
  rebalancing: Reconnect_Reason.REBALANCING,
  requested: Reconnect_Reason.REQUESTED,
};

const outcomes: Readonly<Record<ReceiptOutcome, ResultReceipt_Outcome>> = {
  recorded: ResultReceipt_Outcome.RECORDED,
  'too-large': ResultReceipt_Outcome.TOO_LARGE,
  'unknown-operation': ResultReceipt_Outcome.UNKNOWN_OPERATION,
};

function frame(message: GatewayMessage['message']): Uint8Array {
  return gatewayFrame(create(GatewayMessageSchema, { message }));
}

export function createFrames(instanceId: string, maxMessageBytes: number): SessionFrames {
  return {
    registered: (epoch) =>
      frame({
        case: 'registered',
        value: create(RegisteredSchema, {
          clouddriverId: instanceId,
          epoch: BigInt(epoch),
          maxMessageBytes,
          resumesCaching: true,
        }),
      }),
    caching: (start, stop) =>
      frame({ case: 'caching', value: create(CachingAssignmentSchema, { start: [...start], stop: [...stop] }) }),
    reconnect: (reason, delayMs) =>
      frame({ case: 'reconnect', value: create(ReconnectSchema, { reason: reasons[reason], delayMs }) }),
    ping: (sequence, periodMs) =>
      frame({ case: 'ping', value: create(PingSchema, { sequence: BigInt(sequence), periodMs }) }),
    addAccount: ({ name, version, kubeconfig = '', kubeconfigFile = '', options }) =>
      frame({
        case: 'addAccounts',
        value: create(AddAccountsSchema, {
          accounts: [
            {
              name,
              kubeconfigFile,
              definition: options,
              version: BigInt(version),
              kubeconfig: Buffer.from(kubeconfig),
            },
          ],
        }),
      }),
    deleteAccounts: (names) =>
      frame({ case: 'deleteAccounts', value: create(DeleteAccountsSchema, { names: [...names] }) }),
    openKubernetesApi: () => frame({ case: 'openKubernetesApi', value: create(OpenKubernetesApiSchema) }),
  };
}

export function receipt(operationId: string, outcome: ReceiptOutcome): Uint8Array {
  return encodeReceipt(operationId, outcomes[outcome]);
}

/** Replaces a result that is larger than the limit: the operation fails with it, and the stream goes on. */
export function tooLargeResult(operationId: string, account: string, bytes: number, limit: number): Uint8Array {
  return toBinary(
    OperationResultSchema,
    create(OperationResultSchema, {
      operationId,
      account,
      status: 413,
      reason: 'RESOURCE_EXHAUSTED',
      message: `the agent's result has ${String(bytes)} bytes; ${String(limit)} are allowed (kubesvc.grpc.server.maxInboundMessageSize)`,
    }),
  );
}

/** The part of a result that history keeps: how the operation went, without the body. */
export function recordedResult(record: OperationRecord, answer: AgentResult): Uint8Array {
  return toBinary(
    OperationResultSchema,
    create(OperationResultSchema, {
      operationId: record.operationId,
      account: record.account,
      status: answer.status,
      message: record.resultMessage ?? '',
      durationMs: answer.durationMs,
    }),
  );
}
