/** A gateway's side of ops.Operations/Connect for tests: a grpc-js server that does only what a test tells it. */

import { create, fromBinary, toBinary, type MessageInitShape } from '@bufbuild/protobuf';
import { Metadata, Server, ServerCredentials, status, type ServerDuplexStream } from '@grpc/grpc-js';
import {
  AgentMessageSchema,
  GatewayMessageSchema,
  type OperationSchema,
  type AgentMessage,
  type GatewayMessage,
  type OperationResult,
  type Registration,
} from '../../src/protocol/generated/ops/operations_pb.js';

type GatewayContent = NonNullable<Exclude<MessageInitShape<typeof GatewayMessageSchema>, GatewayMessage>['message']>;

export interface GatewayDoubleOptions {
  /** Default: registered as `double`, with a growing epoch. Return a status to refuse, undefined to stay silent. */
  readonly onRegister?: (stream: AgentStreamDouble) => GatewayContent | { code: status; details: string } | undefined;
  readonly onResult?: (stream: AgentStreamDouble, result: OperationResult) => void;
  readonly port?: number;
}

export class AgentStreamDouble {
  readonly received: AgentMessage['message'][] = [];
  registration: Registration | undefined;
  /** The agent half-closed, or reset: grpc-js shows both as an end, and a reset as cancelled some turns later. */
  ended = false;
  closed = false;
  readonly #call: ServerDuplexStream<AgentMessage, GatewayMessage>;

  constructor(call: ServerDuplexStream<AgentMessage, GatewayMessage>) {
    this.#call = call;
  }

  send(message: GatewayContent): void {
    this.#call.write(create(GatewayMessageSchema, { message }));
  }

  operation(init: MessageInitShape<typeof OperationSchema>): void {
    this.send({ case: 'operation', value: { account: 'a', request: { case: 'get', value: {} }, ...init } });
  }

  receipt(operationId: string): void {
    this.send({ case: 'receipts', value: { receipts: [{ operationId }] } });
  }

  results(operationId?: string): OperationResult[] {
    return this.received.flatMap((message) =>
      message.case === 'result' && (operationId === undefined || message.value.operationId === operationId)
        ? [message.value]
        : [],
    );
  }

  finish(code: status = status.OK, details = ''): void {
    if (this.closed) return;
    this.closed = true;
    if (code === status.OK) this.#call.end();
    else this.#call.emit('error', { code, details, metadata: new Metadata() });
  }
}

export class GatewayDouble {
  /** Every stream that ever registered or tried to, oldest first. */
  readonly streams: AgentStreamDouble[] = [];
  readonly #server: Server;
  #port = 0;

  constructor(server: Server) {
    this.#server = server;
  }

  get port(): number {
    return this.#port;
  }

  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  /** The n-th stream. */
  stream(index: number): AgentStreamDouble | undefined {
    return this.streams[index];
  }

  async listen(port: number): Promise<void> {
    this.#port = await new Promise<number>((resolve, reject) => {
      this.#server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
  }

  stop(): void {
    this.#server.forceShutdown();
  }
}

export async function startGatewayDouble(options: GatewayDoubleOptions = {}): Promise<GatewayDouble> {
  const server = new Server();
  const double = new GatewayDouble(server);
  let epoch = 0n;
  const accept = (): GatewayContent => {
    epoch += 1n;
    return { case: 'registered', value: { clouddriverId: 'double', epoch, maxMessageBytes: 4096 } };
  };
  const definition = {
    Connect: {
      path: '/ops.Operations/Connect',
      requestStream: true,
      responseStream: true,
      requestSerialize: (message: AgentMessage) => Buffer.from(toBinary(AgentMessageSchema, message)),
      requestDeserialize: (bytes: Buffer) => fromBinary(AgentMessageSchema, bytes),
      responseSerialize: (message: GatewayMessage) => Buffer.from(toBinary(GatewayMessageSchema, message)),
      responseDeserialize: (bytes: Buffer) => fromBinary(GatewayMessageSchema, bytes),
    },
  };
  server.addService(definition, {
    Connect: (call: ServerDuplexStream<AgentMessage, GatewayMessage>) => {
      const stream = new AgentStreamDouble(call);
      double.streams.push(stream);
      call.on('data', ({ message }: AgentMessage) => {
        stream.received.push(message);
        if (message.case === 'result') options.onResult?.(stream, message.value);
        if (message.case !== 'register') return;
        stream.registration = message.value;
        const answer = (options.onRegister ?? accept)(stream);
        if (answer === undefined) return;
        if ('code' in answer) stream.finish(answer.code, answer.details);
        else stream.send(answer);
      });
      call.on('end', () => {
        stream.ended = true;
        stream.finish();
      });
      call.on('cancelled', () => {
        stream.closed = true;
      });
      call.on('error', () => undefined);
    },
  });
  await double.listen(options.port ?? 0);
  return double;
}
