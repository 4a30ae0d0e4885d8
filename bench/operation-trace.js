/**
 * Where the time of one operation goes, inside a server that is measured: notes the time at which each step is reached. Loaded by
 * probe.js when a trace begins, so that a server that is not traced pays nothing. It listens to the channels of Node.js, Fastify
 * and undici, and wraps methods of the built gateway. JavaScript, like probe.js.
 */

import { channel } from 'node:diagnostics_channel';
import { ServerResponse } from 'node:http';

/** Methods of the gateway: file and class, method, the step when it is called, and the step when its promise is fulfilled. */
const methods = [
  ['gateway/operations/acceptance.js', 'Acceptance', 'submit', 'parsed, decoded; submitted', undefined],
  ['gateway/operations/recorder.js', 'Recorder', 'beginNew', 'validated, owner found; insert queued', 'inserted'],
  ['store/operations/operations.js', 'OperationStore', 'insertNew', 'insert begins', undefined],
  ['gateway/operations/routing.js', 'Routing', 'deliverHere', 'validated, owner found', undefined],
  ['gateway/peers/peer.js', 'Peer', 'operation', 'operation queued for the owner', 'owner has taken the operation'],
  ['gateway/agents/session.js', 'Session', 'deliver', 'stream found', undefined],
  ['gateway/operations/results.js', 'Results', 'fromAgent', 'result received', undefined],
  ['gateway/peers/peer.js', 'Peer', 'result', 'result queued for the entry', undefined],
  ['gateway/operations/results.js', 'Results', 'fromInstance', 'result received', undefined],
  ['gateway/operations/acceptance.js', 'Acceptance', 'take', 'result matched to its operation', undefined],
  ['gateway/operations/recorder.js', 'Recorder', 'endLater', 'record queued', undefined],
  ['gateway/operations/recorder.js', 'Recorder', 'end', 'outcome queued', 'outcome recorded'],
  ['store/operations/operations.js', 'OperationStore', 'finish', 'outcome statement begins', undefined],
];

const operationPath = '/armory/agent/operations';
const resultPath = '/armory/agent/operationresults';

let marks = [];
let tracing = false;
let installed;

/** @param {string} step */
function mark(step) {
  // The monotonic clock, which all processes of the machine share.
  if (tracing) marks.push(step, Number(process.hrtime.bigint()) / 1_000);
}

/** Begins to note steps. @returns {Promise<string[]>} the methods that are not there, so that their steps are missing */
export async function startTrace() {
  installed ??= install();
  const missing = await installed;
  marks = [];
  tracing = true;
  return missing;
}

/** @returns {(string | number)[]} each step and its time in µs, one after the other */
export function stopTrace() {
  tracing = false;
  return marks;
}

async function install() {
  listen();
  const missing = [];
  for (const [file, className, method, called, fulfilled] of methods) {
    const loaded = await import(new URL(`../dist/${file}`, import.meta.url).href).catch(() => ({}));
    const prototype = loaded[className]?.prototype;
    if (typeof prototype?.[method] === 'function') wrap(prototype, method, called, fulfilled);
    else missing.push(`${className}.${method} in ${file}`);
  }
  return missing;
}

function wrap(prototype, method, called, fulfilled) {
  const original = prototype[method];
  prototype[method] = function (...given) {
    mark(called);
    if (method === 'deliver') watchWrites(this.transport);
    const result = original.apply(this, given);
    if (fulfilled !== undefined)
      result.then(
        () => mark(fulfilled),
        () => undefined,
      );
    return result;
  };
}

const watched = new WeakSet();
const awaited = new WeakSet();

/** A session writes to its stream in a private method, and writes pings and receipts, too. */
function watchWrites(transport) {
  if (transport === undefined) return;
  awaited.add(transport);
  if (watched.has(transport)) return;
  watched.add(transport);
  const { write } = transport;
  transport.write = (frame) => {
    const result = write(frame);
    if (awaited.delete(transport)) mark("written to the agent's stream");
    return result;
  };
}

function listen() {
  const isForwarded = ({ headers }) => headers['content-type'] === 'application/x-protobuf';
  const subject = (request) => {
    if (request.url === resultPath) return 'result from the owner';
    if (request.url === operationPath && isForwarded(request)) return 'operation from the entry';
    return "caller's request";
  };
  channel('http.server.request.start').subscribe(({ request }) => mark(`${subject(request)}: head read`));
  const { end } = ServerResponse.prototype;
  ServerResponse.prototype.end = function (...given) {
    const result = end.apply(this, given);
    mark(`${subject(this.req)}: answer written`);
    return result;
  };
  channel('tracing:fastify.request.handler:start').subscribe(() => mark('body read; handler begins'));
  channel('undici:client:sendHeaders').subscribe(({ request }) => mark(`${sent(request)}: written to the peer`));
  channel('undici:request:headers').subscribe(({ request }) => mark(`${sent(request)}: peer has answered`));
}

function sent({ path }) {
  return path === resultPath ? 'result' : 'operation';
}
