/** The agent's side of one ops.Operations stream for tests: it does only what a test tells it, and keeps every byte. */

import { create, fromBinary, toBinary, type MessageInitShape } from '@bufbuild/protobuf';
import { Client, credentials, Metadata, type ChannelCredentials, type StatusObject } from '@grpc/grpc-js';
import {
  AgentMessageSchema,
  GatewayMessageSchema,
  type AgentMessage,
  type GatewayMessage,
  type RegistrationSchema,
  type ResultReceipt,
} from '../../src/protocol/generated/ops/operations_pb.js';
import { waitFor } from '../wait.js';

type AgentContent = NonNullable<Exclude<MessageInitShape<typeof AgentMessageSchema>, AgentMessage>['message']>;
type GatewayContent = GatewayMessage['message'];
/** `receipt`: those of all `receipts`, one by one. */
type Values = { [Case in NonNullable<GatewayContent['case']>]: Extract<GatewayContent, { case: Case }>['value'] } & {
  receipt: ResultReceipt;
};

const sent = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const received = (bytes: Buffer): Uint8Array => bytes;

export class RawAgent {
  /** Encoded GatewayMessages, as they came. */
  readonly frames: Uint8Array[] = [];
  /** How the stream ended; undefined while it is open. */
  end: StatusObject | undefined;
  readonly #client: Client;
  readonly #call;

  /** Opens a connection of its own and a stream on it; nothing is sent yet. @param authorization the header, if any */
  constructor(
    address: string,
    channelCredentials: ChannelCredentials = credentials.createInsecure(),
    options = {},
    authorization?: string,
  ) {
    this.#client = new Client(address, channelCredentials, { 'grpc.use_local_subchannel_pool': 1, ...options });
    const metadata = new Metadata();
    if (authorization !== undefined) metadata.set('authorization', authorization);
    this.#call = this.#client.makeBidiStreamRequest('/ops.Operations/Connect', sent, received, metadata);
    this.#call.on('data', (frame: Uint8Array) => this.frames.push(frame));
    this.#call.on('error', () => undefined);
    this.#call.on('status', (end) => (this.end = end));
  }

  /** Opens a stream and registers; returns once the gateway has confirmed it. */
  static async register(
    t: { teardown(release: () => void): unknown },
    address: string,
    registration: MessageInitShape<typeof RegistrationSchema>,
    channelCredentials?: ChannelCredentials,
  ): Promise<RawAgent> {
    const agent = new RawAgent(address, channelCredentials);
    t.teardown(() => agent.close());
    agent.send({ case: 'register', value: registration });
    await agent.next('registered');
    return agent;
  }

  send(message: AgentContent): void {
    this.sendBytes(toBinary(AgentMessageSchema, create(AgentMessageSchema, { message })));
  }

  sendBytes(bytes: Uint8Array): void {
    this.#call.write(bytes);
  }

  /** What came of one kind, oldest first. */
  all<Case extends keyof Values>(kind: Case): Values[Case][] {
    return this.frames.flatMap((frame) => {
      const { message } = fromBinary(GatewayMessageSchema, frame);
      if (message.case === 'receipts' && kind === 'receipt') return message.value.receipts as Values[Case][];
      return message.case === kind ? [message.value as Values[Case]] : [];
    });
  }

  /** Waits for the first message of a kind that `matches`. */
  next<Case extends keyof Values>(
    kind: Case,
    matches: (value: Values[Case]) => boolean = () => true,
  ): Promise<Values[Case]> {
    return waitFor(() => this.all(kind).find(matches), {
      description: `${kind} from the gateway`,
    });
  }

  /** Waits for the end of the stream. */
  ended(): Promise<StatusObject> {
    return waitFor(() => this.end, { description: 'the stream to end' });
  }

  /** Stops reading: the flow-control window fills up, and the gateway has to wait. */
  pause(): void {
    this.#call.pause();
  }

  resume(): void {
    this.#call.resume();
  }

  /** Half-closes the stream, as an agent does that stops. */
  finish(): void {
    this.#call.end();
  }

  close(): void {
    this.#call.cancel();
    this.#client.close();
  }
}
