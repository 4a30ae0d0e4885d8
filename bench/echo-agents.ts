/**
 * Worker: agents that answer every operation at once with the same 1 KiB object. They speak the agents' protocol as bytes,
 * because what they cost is taken from the machine that the servers are measured on. Unlike the product's agents they
 * need no receipts, which the bare stack does not send.
 */

import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { Client, credentials } from '@grpc/grpc-js';
import { encodeAgentMessage } from '../src/agent/gateway-stream.js';
import { create, toBinary } from '@bufbuild/protobuf';
import { ObjectsSchema, RegistrationSchema } from '../src/protocol/generated/ops/operations_pb.js';
import { answerCalls } from './child.js';
import { mark, traceMethods } from './marks.js';
import { sampleManifest } from './operations.js';

export interface EchoAgentsOptions {
  /** `host:port` of the server. */
  readonly address: string;
  /** One per agent, which is named after it. */
  readonly accounts: readonly string[];
}

// Field numbers of proto/ops/operations.proto.
const operationInGatewayMessage = 2;
const resultInAgentMessage = 4;
const objectsInResult = 16;

const objects = toBinary(ObjectsSchema, create(ObjectsSchema, { manifests: [sampleManifest()] }));
const clients: Client[] = [];

/** Dials one connection per agent; resolves once all are registered. */
async function connect({ address, accounts }: EchoAgentsOptions): Promise<void> {
  await Promise.all(accounts.map((account) => startAgent(address, account)));
}

function startAgent(address: string, account: string): Promise<void> {
  const client = new Client(address, credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
    'grpc.enable_retries': 0,
    'grpc.service_config_disable_resolution': 1,
  });
  clients.push(client);
  const call = client.makeBidiStreamRequest<Uint8Array, Buffer>(
    '/ops.Operations/Connect',
    (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength),
    (bytes) => bytes,
  );
  const registration = create(RegistrationSchema, {
    agentId: `agent-${account}`,
    zoneId: 'bench',
    version: 'bench',
    accounts: [{ name: account }],
  });
  call.write(encodeAgentMessage({ case: 'register', value: registration }));
  return new Promise((resolve, reject) => {
    call.on('error', (error) => {
      if (clients.includes(client)) reject(error);
    });
    call.on('data', (message: Buffer) => {
      resolve();
      const reader = new BinaryReader(message);
      const [field] = reader.tag();
      if (field !== operationInGatewayMessage) return;
      mark('operation received');
      call.write(answer(reader.bytes(), account));
      mark('result written');
    });
  });
}

function answer(operation: Uint8Array, account: string): Uint8Array {
  const result = new BinaryWriter()
    .tag(1, WireType.LengthDelimited)
    .string(idOf(operation))
    .tag(2, WireType.LengthDelimited)
    .string(account)
    .tag(3, WireType.Varint)
    .int32(200)
    .tag(objectsInResult, WireType.LengthDelimited)
    .bytes(objects)
    .finish();
  return new BinaryWriter().tag(resultInAgentMessage, WireType.LengthDelimited).bytes(result).finish();
}

function idOf(operation: Uint8Array): string {
  const reader = new BinaryReader(operation);
  let id = '';
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === 1) id = reader.string();
    else reader.skip(wireType, field);
  }
  return id;
}

answerCalls({ connect, ...traceMethods });
