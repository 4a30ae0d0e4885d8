/**
 * What the gateway is compared with: Fastify and grpc-js with proto-loader, and nothing between them. An operation goes
 * to the stream of its account's agent and its result back to the caller: no validation, owner, time-out, history or log.
 */

import Fastify from 'fastify';
import { Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js';
import { loadSync, type ServiceDefinition } from '@grpc/proto-loader';

interface AgentMessage {
  readonly register?: { readonly accounts: readonly { readonly name: string }[] };
  readonly result?: { readonly operationId: string };
}
interface Operation {
  readonly account: string;
}
type Call = ServerDuplexStream<AgentMessage, object>;

const [restPort = 0, agentsPort = 0] = process.argv.slice(2).map(Number);
const streams = new Map<string, Call>();
const waiting = new Map<string, (result: object) => void>();
let operations = 0;

const definition = loadSync('ops/operations.proto', {
  includeDirs: ['proto'],
  longs: String,
  enums: String,
  bytes: String,
});

function connect(call: Call): void {
  call.on('data', ({ register, result }: AgentMessage) => {
    if (result) {
      waiting.get(result.operationId)?.(result);
      waiting.delete(result.operationId);
    } else if (register) {
      for (const { name } of register.accounts) streams.set(name, call);
      call.write({ registered: { clouddriverId: 'bare', epoch: 1, maxMessageBytes: 4 << 20 } });
    }
  });
  call.on('end', () => {
    call.end();
  });
  call.on('error', () => undefined);
}

const agents = new Server();
agents.addService(definition['ops.Operations'] as ServiceDefinition, { connect });
await new Promise<void>((resolve, reject) => {
  agents.bindAsync(`127.0.0.1:${agentsPort}`, ServerCredentials.createInsecure(), (error) => {
    if (error === null) resolve();
    else reject(error);
  });
});

const app = Fastify();
app.post<{ Body: { operation: Operation } }>('/echo', async (request) => {
  const operation = { ...request.body.operation, id: String((operations += 1)) };
  const result = await new Promise((resolve) => {
    waiting.set(operation.id, resolve);
    streams.get(operation.account)?.write({ operation });
  });
  return { operation, result };
});
app.get('/readyz', () => ({}));
await app.listen({ port: restPort, host: '127.0.0.1' });
