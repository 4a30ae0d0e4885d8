#!/usr/bin/env node
/** Starts the program (process.ts) on a Node.js that can run it, and says so on one that cannot. */

import { nodeProblem } from './core/node-version.js';

const problem = nodeProblem(process.versions.node);
if (problem?.fatal === true) {
  process.stderr.write(`agent-gateway: ${problem.text}\n`);
  process.exitCode = 1;
} else {
  await import('./process.js');
}
