/**
 * Preloaded into every server that is measured (`node --import`): answers the bench over IPC with the CPU time and the
 * memory of its own process, and profiles or traces it on request. JavaScript, so that it loads without a loader beside it.
 */

import { writeFileSync } from 'node:fs';
import { Session } from 'node:inspector';

const inspector = new Session();

/** @param {string} method @param {object} parameters @returns {Promise<any>} */
const inspect = (method, parameters = {}) =>
  new Promise((resolve, reject) => {
    inspector.post(method, parameters, (error, result) => (error === null ? resolve(result) : reject(error)));
  });

const methods = {
  version: () => process.version,
  /** CPU time of all threads so far, user and system, in microseconds. */
  cpu: () => {
    const { user, system } = process.cpuUsage();
    return user + system;
  },
  /** Bytes, after a full garbage collection (the peak is of all the time before it too); needs --expose-gc. */
  memory: () => {
    globalThis.gc();
    globalThis.gc();
    const { rss, heapUsed, external } = process.memoryUsage();
    return { rss, heapUsed, external, peakRss: process.resourceUsage().maxRSS * 1_024 };
  },
  startProfile: async () => {
    inspector.connect();
    await inspect('Profiler.enable');
    await inspect('Profiler.setSamplingInterval', { interval: 200 });
    await inspect('Profiler.start');
  },
  stopProfile: async (file) => {
    const { profile } = await inspect('Profiler.stop');
    writeFileSync(file, JSON.stringify(profile));
    inspector.disconnect();
  },
  /** When the process began (Unix ms), and what it marked since then (ms after that). */
  startSteps: () => ({
    startedAt: performance.timeOrigin,
    steps: [
      { step: 'Node.js is up', at: performance.nodeTiming.bootstrapComplete },
      ...performance
        .getEntriesByType('mark')
        .filter(({ name }) => name.startsWith('start: '))
        .map(({ name, startTime }) => ({ step: name.slice('start: '.length), at: startTime })),
    ],
  }),
  startTrace: async () => (await import('./operation-trace.js')).startTrace(),
  stopTrace: async () => (await import('./operation-trace.js')).stopTrace(),
};

process.on('message', async ({ id, method, argument }) => {
  try {
    process.send({ id, value: await methods[method](argument) });
  } catch (error) {
    process.send({ id, error: String(error) });
  }
});
// A server must not outlive the bench.
process.on('disconnect', () => process.exit(1));
process.channel.unref();
