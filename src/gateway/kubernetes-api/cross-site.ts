/**
 * Requests that a web page of another site makes with its visitor's browser. Browsers let any page open a WebSocket and post
 * a form, and show the visitor's certificate: with that, or where nobody has to prove who they are, the page could open a
 * shell (https://owasp.org/www-community/attacks/csrf, "cross-site WebSocket hijacking"). Programs send no `Origin`.
 */

import type { IncomingHttpHeaders } from 'node:http';

/** @returns whether a browser sends the request for a page of another site, and nothing in it proves that the page may */
export function isCrossSite(headers: IncomingHttpHeaders): boolean {
  const { origin, authorization, host = headers[':authority'] } = headers;
  // No page can send a token that it does not know.
  if (origin === undefined || authorization !== undefined) return false;
  try {
    return new URL(origin).host.toLowerCase() !== String(host).toLowerCase();
  } catch {
    // "null": a page without a site of its own.
    return true;
  }
}
