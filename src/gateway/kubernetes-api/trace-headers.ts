/** W3C Trace Context in the headers of a request. */

import type { HeaderList } from '../../tunnel/exchange.js';
import type { TraceHeaders } from '../telemetry/tracing.js';

const traceHeader = /^trace(?:parent|state)$/iu;

/** What the headers say; '' for what they do not. */
export function traceOf(headers: HeaderList): TraceHeaders {
  let traceparent = '';
  const states: string[] = [];
  for (let index = 0; index + 1 < headers.length; index += 2) {
    const name = (headers[index] ?? '').toLowerCase();
    const value = headers[index + 1] ?? '';
    if (name === 'traceparent') traceparent = value;
    else if (name === 'tracestate') states.push(value);
  }
  return { traceparent, tracestate: states.join(',') };
}

/** The same headers in another context. */
export function withTrace(headers: HeaderList, { traceparent, tracestate }: TraceHeaders): HeaderList {
  const all: string[] = [];
  for (let index = 0; index + 1 < headers.length; index += 2) {
    const [name = '', value = ''] = [headers[index], headers[index + 1]];
    if (!traceHeader.test(name)) all.push(name, value);
  }
  if (traceparent !== '') all.push('traceparent', traceparent);
  if (tracestate !== '') all.push('tracestate', tracestate);
  return all;
}
