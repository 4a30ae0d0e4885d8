/** The name of the object that a request creates: the path has only its kind, and the record should say more. */

/** Enough of an object for its name; a larger body is not read for it. */
const longestBody = 65_536;
/** Of a DNS name (RFC 1035), as Kubernetes has them. */
const longestName = 253;

/** @returns `metadata.name` of a JSON body, cut to 253 characters; '' if there is none, or the body is something else */
export function nameInBody(body: Uint8Array | undefined): string {
  // 0x7b is "{".
  if (body === undefined || body.length > longestBody || body[0] !== 0x7b) return '';
  try {
    const { metadata } = JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString()) as {
      readonly metadata?: { readonly name?: unknown } | null;
    };
    return typeof metadata?.name === 'string' ? metadata.name.slice(0, longestName) : '';
  } catch {
    return '';
  }
}
