/** How long an agent goes on caching after the gateway is no longer heard. */

/**
 * How long an agent that was told `silenceMs` may go on caching after the last message that was sent to it, in ms, not
 * counting the message's travel time.
 */
export function cachingGraceMs(silenceMs: number): number {
  return (silenceMs * 7) / 6;
}
