/** The steps of an operation that workers of the bench see: as operation-trace.js notes them in servers. */

let marks: (string | number)[] = [];
let tracing = false;

/** Notes that a step is reached; nothing while nobody traces. */
export function mark(step: string): void {
  // The monotonic clock, which all processes of the machine share.
  if (tracing) marks.push(step, Number(process.hrtime.bigint()) / 1_000);
}

/** For answerCalls(). */
export const traceMethods = {
  startTrace: (): string[] => {
    marks = [];
    tracing = true;
    return [];
  },
  /** @returns each step and its time in µs, one after the other */
  stopTrace: (): (string | number)[] => {
    tracing = false;
    return marks;
  },
};
