/** Texts that agents and servers wrote, for people: whatever is in them, the statement must not fail for it. */

const messageLength = 1_000;

/** PostgreSQL takes neither NUL nor half a surrogate pair, which the cut may leave, and refuses the whole statement. */
export function storable(text: string | undefined): string | null {
  return text === undefined ? null : text.slice(0, messageLength).toWellFormed().replaceAll('\0', '\uFFFD');
}
