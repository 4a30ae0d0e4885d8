/** Bodies of answers over HTTP/1.1: every byte as the API server sent it, whatever its size and the pieces it came in. */

import { once } from 'node:events';
import { Agent, request, type IncomingMessage } from 'node:http';
import { test } from 'tap';
import { startServed } from './served.js';

/** All values of a byte, again and again. */
const bytes = (size: number): Buffer => Buffer.from(Uint8Array.from({ length: size }, (_, index) => index));

interface AnswerShape {
  readonly size: number;
  readonly pieces: number;
  /** Whether the pieces come in turns of the event loop of their own. */
  readonly apart: boolean;
  readonly hasLength: boolean;
  readonly trailers: readonly string[];
}

const shapes: AnswerShape[] = [0, 1, 1_024, 8_191, 8_192, 8_193, 60_000].flatMap((size) =>
  [1, 2].flatMap((pieces) =>
    [true, false].flatMap((apart) => [
      { size, pieces, apart, hasLength: true, trailers: [] },
      { size, pieces, apart, hasLength: false, trailers: [] },
      { size, pieces, apart, hasLength: false, trailers: ['x-checksum', 'abc'] },
    ]),
  ),
);

test('bodies of answers', async (t) => {
  const { restUrl } = await startServed(t, {
    respond: ({ request: { target }, answer }) => {
      const { size, pieces, apart, hasLength, trailers } = shapes[Number(target.slice(1))] as AnswerShape;
      const body = bytes(size);
      const length = hasLength ? ['Content-Length', String(size)] : [];
      answer.respond({ status: 200, headers: ['Content-Type', 'application/octet-stream', ...length] });
      const steps = Array.from({ length: pieces }, (_, index) => () => {
        answer.write(body.subarray((index * size) / pieces, ((index + 1) * size) / pieces));
        if (index === pieces - 1) answer.end(trailers);
      });
      const step = (): void => {
        steps.shift()?.();
        if (steps.length > 0) setImmediate(step);
      };
      if (apart) setImmediate(step);
      else for (const each of steps) each();
      return undefined;
    },
  });
  // One connection, so that a byte too many would break the next answer.
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.teardown(() => {
    agent.destroy();
  });
  for (const [index, shape] of shapes.entries()) {
    const asked = request(`${restUrl}/kubernetes/accounts/a/${String(index)}`, { agent }).end();
    const [answer] = (await once(asked, 'response')) as [IncomingMessage];
    const chunks: Buffer[] = [];
    for await (const chunk of answer) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    const title = JSON.stringify(shape);
    t.ok(body.equals(bytes(shape.size)), `${title}: ${String(body.length)} bytes`);
    t.equal(answer.headers['content-length'], shape.hasLength ? String(shape.size) : undefined, title);
    t.strictSame(answer.rawTrailers, shape.trailers, title);
  }
});
