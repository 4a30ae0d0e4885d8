/** Texts for people that agents and servers wrote: no content of theirs may make the statement fail. */

const messageLength = 1_000;

/**
 * Cut to `length` characters. PostgreSQL takes neither NUL nor half a surrogate pair, which the cut may leave, and refuses the whole
 * statement.
 */
export function storable(text: string | undefined, length = messageLength): string | null {
  return text === undefined ? null : text.slice(0, length).toWellFormed().replaceAll('\0', '\uFFFD');
}
