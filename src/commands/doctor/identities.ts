/** Can the files of tokens, keys, policies and secrets be used, that say who may come in? */

import type { Environment } from '../../core/environment.js';
import { ReleaseStack } from '../../core/release-stack.js';
import type { Config } from '../../gateway/config/config.js';
import { openSecurity } from '../../gateway/composition/security.js';
import { examine, ok, warning, type Finding } from './finding.js';

const remedy = 'docs/security.md says what belongs into the file.';

export async function* examineIdentities(
  config: Config,
  environment: Environment,
  signal: AbortSignal,
): AsyncGenerator<Finding> {
  yield await examine('identities', remedy, signal, async () => {
    const scope = new ReleaseStack();
    try {
      const { agents, callers, instanceTokens } = await openSecurity(config, environment, scope, Date.now);
      if (agents === undefined && config.kubesvc.cluster === 'local') return ok('nobody has to prove who they are');
      if (agents === undefined) {
        const advice = 'Let them: docs/security.md. Whoever reaches the port can register accounts, and serve them.';
        return warning('agents do not have to prove who they are', advice);
      }
      const parts = ['agents', ...(callers ? ['callers'] : []), ...(instanceTokens ? ['instances'] : [])];
      return ok(`${parts.join(', ')} have to prove who they are`);
    } finally {
      await scope.close();
    }
  });
}
