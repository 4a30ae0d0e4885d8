/**
 * A double of a Kubernetes API server: `api-server.ts PORT`. It answers 1 KiB to every POST, streams a list of 200 MiB, and
 * opens watches on which nothing happens; the discovery documents are empty, so that agents have nothing to cache.
 */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { listBytes, listPath } from './api-requests.js';
import { sampleManifest } from './operations.js';

const json = { 'content-type': 'application/json' };
const object = sampleManifest();
const objectHead = { ...json, 'content-length': object.length };
const listPart = Buffer.alloc(64 * 1_024, 'x');
const discovery: Readonly<Record<string, object>> = {
  '/readyz': {},
  '/version': { gitVersion: 'v1.35.0' },
  '/api': { versions: [] },
  '/apis': { groups: [] },
};

function answer({ method, url = '' }: IncomingMessage, response: ServerResponse): void {
  const document = discovery[url];
  if (method === 'POST') response.writeHead(200, objectHead).end(object);
  else if (document !== undefined) response.writeHead(200, json).end(JSON.stringify(document));
  else if (url.includes('watch=true')) response.writeHead(200, json).flushHeaders();
  else if (url === listPath) sendList(response.writeHead(200, json));
  else response.writeHead(404, json).end('{}');
}

/** As fast as it is read, and no faster. */
function sendList(response: ServerResponse): void {
  let left = listBytes;
  const send = (): void => {
    while (left > 0) {
      left -= listPart.length;
      if (!response.write(listPart)) return;
    }
    response.end();
  };
  response.on('drain', send);
  send();
}

const server = createServer({ noDelay: true, keepAliveTimeout: 300_000 }, (request, response) => {
  request.resume();
  request.on('end', () => {
    answer(request, response);
  });
});
server.listen({ port: Number(process.argv[2]), host: '127.0.0.1', backlog: 4_096 });
