/** What the numbers were measured on. */

import { cpus, loadavg, release, totalmem, type as systemType } from 'node:os';

export function describeMachine(): string[] {
  const [first] = cpus();
  return [
    `CPU     ${first?.model.trim() ?? 'unknown'}, ${cpus().length} cores`,
    `Memory  ${(totalmem() / 2 ** 30).toFixed(1)} GiB`,
    `System  ${systemType()} ${release()}, Node ${process.version} (V8 ${process.versions.v8})`,
    `Load    ${loadavg()
      .map((load) => load.toFixed(1))
      .join(', ')} at the start, over 1, 5 and 15 minutes`,
  ];
}
