/** What a head and its headers may be. The other end of a tunnel is not trusted: what it says is sent on to HTTP. */

import { GatewayError } from '../core/errors.js';
import type { HeaderList, HttpResponseHead, TunnelledRequest } from './exchange.js';

/** RFC 9110, 5.6.2. */
const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/u;
/** As Node.js refuses them (lib/_http_common.js): no line break, no NUL, no control characters. */
const outsideValue = /[^\t\x20-\x7e\x80-\xff]/u;
/** Path and query on the first line of a request. */
const target = /^\/[\x21-\xff]*$/u;

/** The error that ends a tunnel whose other end breaks the protocol. */
export function protocolError(request: number, what: string): GatewayError {
  return new GatewayError('invalid-argument', `request ${String(request)}: unexpected on this stream: ${what}`, {
    field: 'frames',
  });
}

/** @throws GatewayError `invalid-argument` if they are not pairs of valid names and values */
export function checkHeaders(headers: HeaderList, request: number): void {
  if (headers.length % 2 !== 0) throw protocolError(request, 'a header without a value');
  headers.forEach((text, index) => {
    if (index % 2 === 0 ? !token.test(text) : outsideValue.test(text))
      throw protocolError(request, `header ${String(index >> 1)} has invalid characters`);
  });
}

/** @throws GatewayError `invalid-argument` */
export function checkResponseHead({ status, headers }: HttpResponseHead, request: number): void {
  if (status !== 101 && (status < 200 || status > 599)) throw protocolError(request, `status ${String(status)}`);
  checkHeaders(headers, request);
  const lengths = headers.filter(
    (_, index) => index % 2 === 1 && headers[index - 1]?.toLowerCase() === 'content-length',
  );
  // Whoever reads it must see its end where everybody else sees it.
  if (lengths.length > 1 || !lengths.every((length) => /^\d{1,15}$/u.test(length)))
    throw protocolError(request, 'an invalid Content-Length');
}

/** @throws GatewayError `invalid-argument` */
export function checkRequestHead(head: TunnelledRequest, request: number): void {
  if (!token.test(head.method)) throw protocolError(request, 'an invalid method');
  if (!target.test(head.target)) throw protocolError(request, 'an invalid target');
  if (outsideValue.test(head.upgrade)) throw protocolError(request, 'an invalid head');
  checkHeaders(head.headers, request);
}
