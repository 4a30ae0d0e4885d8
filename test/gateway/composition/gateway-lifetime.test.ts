/** One signal ends loops and waits, and what was taken is let go of in reverse order, also when a part of it fails. */

import { test } from 'tap';
import { aborted } from '../../../src/core/deadline.js';
import type { GatewayError } from '../../../src/core/errors.js';
import { silentLogger } from '../../../src/core/logger.js';
import { ReleaseStack } from '../../../src/core/release-stack.js';
import { GatewayLifetime } from '../../../src/gateway/composition/gateway-lifetime.js';

function create() {
  const events: string[] = [];
  const loopDied = (error: GatewayError): void => void events.push(error.message);
  const lifetime = new GatewayLifetime({ releases: new ReleaseStack(), loopDied, logger: silentLogger });
  return { lifetime, events };
}

test('the signal aborts before anything is released, and a loop has ended before what it uses goes', async (t) => {
  const { lifetime, events } = create();
  lifetime.stopping.addEventListener('abort', () => events.push('stopping'));
  lifetime.push('first', () => void events.push('first released'));
  lifetime.background('loop', async (signal) => {
    await aborted(signal);
    events.push('loop ended');
  });
  lifetime.push('last', () => void events.push('last released'));
  t.same(events, [], 'nothing ends by itself');
  await lifetime.close();
  t.same(events, ['stopping', 'last released', 'loop ended', 'first released']);
  t.match(lifetime.stopping.reason, { code: 'draining' }, 'who waits is told to ask another instance');
});

test('a loop that fails is told at once, and closing does not fail because of it', async (t) => {
  const { lifetime, events } = create();
  lifetime.background('election', () => Promise.reject(new Error('no votes')));
  lifetime.push('last', () => undefined);
  await lifetime.close();
  t.same(events, ['background loop election died: no votes']);
});

test('what is taken after the end is let go of at once', async (t) => {
  const { lifetime, events } = create();
  await lifetime.close();
  lifetime.push('late', () => void events.push('late released'));
  await lifetime.close();
  lifetime.background('loop', (signal) => {
    events.push(`loop sees ${signal.aborted ? 'the end' : 'no end'}`);
    return Promise.resolve();
  });
  t.same(events, ['late released', 'loop sees the end']);
});
