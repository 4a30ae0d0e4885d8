/** Writes docs/configuration.md: node --import tsx docs/configuration.generate.ts */

import { writeFileSync } from 'node:fs';
import { documentationPage } from '../src/gateway/config/documentation.js';

writeFileSync(new URL('configuration.md', import.meta.url), documentationPage());
