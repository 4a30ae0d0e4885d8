/** What a connection speaks, by its first bytes: both ports tell TLS, HTTP/2 and HTTP/1.1 apart before anybody reads on. */

/** What the first bytes of a connection are. */
export type FirstBytes = 'http2' | 'http1' | 'tls' | 'unknown' | 'incomplete';

/** As much of the preface as it takes: the rest is looked at by whoever speaks HTTP/2. */
const preface = Buffer.from('PRI * HTTP/2.0');
const methods = ['GET ', 'POST ', 'PUT ', 'PATCH ', 'DELETE ', 'HEAD ', 'OPTIONS ', 'CONNECT ', 'TRACE '];

/**
 * Tells a protocol by its first bytes: the HTTP/2 connection preface (RFC 9113, 3.4), an HTTP/1.1 method
 * (RFC 9112), a TLS handshake record (RFC 8446, 5.1).
 */
export function sniff(bytes: Uint8Array): FirstBytes {
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.byteLength, preface.length));
  if (head.length === 0) return 'incomplete';
  if (head[0] === 0x16) return head.length < 2 ? 'incomplete' : head[1] === 0x03 ? 'tls' : 'unknown';
  if (preface.subarray(0, head.length).equals(head)) return head.length === preface.length ? 'http2' : 'incomplete';
  const text = head.toString('latin1');
  if (methods.some((method) => text.startsWith(method))) return 'http1';
  return methods.some((method) => method.startsWith(text)) ? 'incomplete' : 'unknown';
}
