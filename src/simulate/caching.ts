/** Streams a simulated cluster as a watcher would a real one: a snapshot, then what changes. */

import type { CachingEvent, CachingScope, CachingSink } from '../agent/caching-sink.js';
import { ObjectEvent_Type } from '../protocol/generated/events/caching_pb.js';
import { simulatedScopes, type SimulatedCluster } from './cluster.js';

/** Objects of one message; ends sooner when it has so many bytes. */
const messageObjects = 100;
const messageBytes = 128 * 1_024;

/** Until the signal aborts. @throws its reason */
export async function streamCluster(
  cluster: SimulatedCluster,
  sink: CachingSink,
  signal: AbortSignal,
  sent: (objects: number) => void,
): Promise<void> {
  const wanted = simulatedScopes.filter((scope) => sink.wants(scope));
  await Promise.all(wanted.map((scope) => streamScope(cluster, scope, sink, signal, sent)));
}

async function streamScope(
  cluster: SimulatedCluster,
  scope: CachingScope,
  sink: CachingSink,
  signal: AbortSignal,
  sent: (objects: number) => void,
): Promise<void> {
  const send = async (events: readonly CachingEvent[], resourceVersion: string): Promise<void> => {
    await sink.events(scope, events, resourceVersion);
    sent(events.length);
  };
  let position = versionOf(sink.resumePoint(scope));
  for (;;) {
    const changes = position === undefined ? undefined : cluster.changes(scope, position, messageObjects);
    if (changes === undefined) {
      // As after 410 Gone: what is listed may be newer than the position, and comes again after it.
      position = cluster.step;
      await sink.snapshotStart(scope);
      for (const events of messages(cluster.list(scope))) await send(events, '');
      await sink.snapshotEnd(scope, String(position));
    } else if (changes.upTo === position) {
      await cluster.changed(signal);
    } else {
      // Without an event of this scope it is what Kubernetes calls a bookmark.
      position = changes.upTo;
      await send(changes.events, String(position));
    }
  }
}

function versionOf(resumePoint: string | undefined): number | undefined {
  return resumePoint !== undefined && /^\d+$/u.test(resumePoint) ? Number(resumePoint) : undefined;
}

function* messages(objects: Iterable<Uint8Array>): Generator<readonly CachingEvent[]> {
  let events: CachingEvent[] = [];
  let bytes = 0;
  for (const object of objects) {
    events.push({ type: ObjectEvent_Type.ADDED, object });
    bytes += object.length;
    if (events.length < messageObjects && bytes < messageBytes) continue;
    yield events;
    events = [];
    bytes = 0;
  }
  if (events.length > 0) yield events;
}
