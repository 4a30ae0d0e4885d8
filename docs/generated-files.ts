/** Every file that is made from the sources, by path from the project's directory; `npm run generate` writes them. */

import { chartFiles } from '../helm/generator/charts.js';
import { agentConfigurationPage } from '../src/agent/configuration/documentation.js';
import { documentationPage } from '../src/gateway/config/documentation.js';
import { metricsPage } from '../src/gateway/telemetry/metrics-page.js';

export async function generatedFiles(): Promise<ReadonlyMap<string, string>> {
  return new Map([
    ['docs/agent-configuration.md', agentConfigurationPage()],
    ['docs/configuration.md', documentationPage()],
    ['docs/metrics.md', await metricsPage()],
    ...chartFiles(),
  ]);
}
