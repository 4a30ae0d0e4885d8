/** Reads what `POST /armory/agent/operations` answered, as JSON, as text format inside it, or as a problem. */

/** The outcome of an operation, as its caller sees it. */
export const outcomes = ['completed', 'failed', 'accepted', 'refused', 'unreachable'] as const;

/**
 *   completed    the agent's result has a 2xx status
 *   failed       the agent answered with another status
 *   accepted     taken, but there is no result: none was waited for, or the wait ended first
 *   refused      the gateway answered 4xx or 5xx, with no result of an agent
 *   unreachable  no HTTP answer
 */
export type RequestOutcome = (typeof outcomes)[number];

export interface Answer {
  readonly outcome: RequestOutcome;
  /** The kind of failure, as a key for counting: "403 Forbidden" of the agent, "HTTP 503 no-agent" of the gateway. */
  readonly kind?: string;
  readonly message?: string;
  /** Whether the instance that was asked also held the agent; undefined where the answer does not say. */
  readonly route?: 'local' | 'forwarded';
}

export function readAnswer(httpStatus: number, text: string): Answer {
  const answer = parseObject(text);
  const result = readResult(answer?.['result']);
  if (result === undefined) {
    if (httpStatus < 300) return { outcome: 'accepted' };
    return refusal(httpStatus, answer, text);
  }
  const route = readRoute(answer?.['operation'], result.text);
  const shared = route === undefined ? {} : { route };
  if (result.status >= 200 && result.status < 300) return { outcome: 'completed', ...shared };
  return { outcome: 'failed', kind: `${result.status} ${result.reason}`.trim(), message: result.message, ...shared };
}

interface Result {
  readonly status: number;
  readonly reason: string;
  readonly message: string;
  /** The whole result, to look for its route. */
  readonly text: unknown;
}

function readResult(result: unknown): Result | undefined {
  if (typeof result === 'string') {
    const field = (name: string, value: string): string =>
      new RegExp(`^\\s*${name}:\\s*${value}`, 'm').exec(result)?.[1] ?? '';
    return {
      status: Number(field('status', '(\\d+)')),
      reason: field('reason', '"([^"]*)'),
      message: field('message', '"([^"]*)'),
      text: result,
    };
  }
  if (!isObject(result)) return undefined;
  const { status = 0, reason = '', message = '' } = result;
  return { status: Number(status), reason: String(reason), message: String(message), text: result };
}

function readRoute(operation: unknown, result: unknown): 'local' | 'forwarded' | undefined {
  const origin = isObject(operation)
    ? operation['originatingClouddriverId']
    : /originating_clouddriver_id:\s*"([^"]*)/.exec(String(operation))?.[1];
  const route = isObject(result) ? result['route'] : undefined;
  const processed = isObject(route)
    ? route['processedByClouddriverId']
    : /processed_by_clouddriver_id:\s*"([^"]*)/.exec(String(result))?.[1];
  if (typeof origin !== 'string' || typeof processed !== 'string' || origin === '' || processed === '')
    return undefined;
  return origin === processed ? 'local' : 'forwarded';
}

/** RFC 9457: the end of `type` names the problem, `detail` explains it. */
function refusal(httpStatus: number, problem: Record<string, unknown> | undefined, text: string): Answer {
  const type = typeof problem?.['type'] === 'string' ? (/[^/:#]*$/.exec(problem['type'])?.[0] ?? '') : '';
  const message = [problem?.['detail'], problem?.['title'], problem?.['message']].find(
    (text) => typeof text === 'string',
  );
  const name = type === 'blank' ? '' : type;
  return { outcome: 'refused', kind: `HTTP ${httpStatus} ${name}`.trim(), message: message ?? text.slice(0, 200) };
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
