/** Pieces of regular expressions that Go (RE2) and JavaScript read alike. */

/** `on` as `[Oo][Nn]`: neither JSON Schema nor Go has a flag for it. */
export function anyCase(words: readonly string[]): string {
  return words.map((word) => word.replace(/[a-z]/gi, (c) => `[${c.toUpperCase()}${c.toLowerCase()}]`)).join('|');
}

/** The path of a file, or `file:/PATH`; one with a colon begins with a slash or a dot, as any other may be a URL. */
export const filePath = '^([/.].*|[^:]*|file:(///|/)?[^/].*)$';
