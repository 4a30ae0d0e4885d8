/** Can the authentication files (tokens, keys, policies, secrets) be used? */

import type { Environment } from '../../core/environment.js';
import { ReleaseStack } from '../../core/release-stack.js';
import type { Config } from '../../gateway/config/config.js';
import { openTokenSecrets } from '../../gateway/composition/account-tokens.js';
import { openSecurity } from '../../gateway/composition/security.js';
import { examine, ok, warning, type Finding } from './finding.js';

const remedy = 'docs/security.md describes the file.';

export async function* examineIdentities(
  config: Config,
  environment: Environment,
  signal: AbortSignal,
): AsyncGenerator<Finding> {
  yield await examine('identities', remedy, signal, async () => {
    const scope = new ReleaseStack();
    try {
      const { agents, callers, instanceTokens } = await openSecurity(config, environment, scope, Date.now);
      await openTokenSecrets(config);
      if (agents === undefined && config.kubesvc.cluster === 'local') return ok('authentication is off');
      if (agents === undefined) {
        const advice =
          'Turn on authentication (docs/security.md): anyone who can reach the port can register and serve accounts.';
        return warning('agents do not have to authenticate', advice);
      }
      const parts = ['agents', ...(callers ? ['callers'] : []), ...(instanceTokens ? ['instances'] : [])];
      return ok(`${parts.join(', ')} must authenticate`);
    } finally {
      await scope.close();
    }
  });
}
