/** Time for one test file, in ms: long, because it costs only where a file hangs, and machines are slow at times. */
export const fileTimeoutMs = 300_000;

// tap reads it when it is loaded; in s.
process.env['TAP_TIMEOUT'] ??= String(fileTimeoutMs / 1_000);
