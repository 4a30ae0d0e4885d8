/** Writes docs/metrics.md: node --import tsx docs/metrics.generate.ts */

import { writeFileSync } from 'node:fs';
import { metricsPage } from '../src/gateway/telemetry/metrics-page.js';

writeFileSync(new URL('metrics.md', import.meta.url), await metricsPage());
