/** Answers requests of the Kubernetes API that come through the gateway: with what the account's API server answers. */

import { isUnexpected, reasonFor } from '../../core/connection-failure.js';
import { GatewayError } from '../../core/errors.js';
import type { Logger } from '../../core/logger.js';
import { requestInfo, type RequestInfo } from '../../kubernetes/request-info.js';
import type { ApiAccess } from '../../kubernetes/access.js';
import type { AnswerRequest, TunnelledRequest } from '../../tunnel/exchange.js';
import { refusedByAccount } from './allowed.js';
import { CarriedRequest } from './carried-request.js';
import { OpenRequests, type ApiRequestsObserver, type RequestedAccount } from './open-requests.js';
import { isImpersonation, sentTo } from './sent-head.js';
import { noAnswer, refusal } from './own-answers.js';

export interface ApiRequestsOptions {
  readonly accountOf: (name: string) => RequestedAccount | undefined;
  readonly observer: ApiRequestsObserver;
  readonly logger: Logger;
  /** Requests under way of one account; default 1,000. */
  readonly mostPerAccount?: number;
}

export function createAnswerRequest(options: ApiRequestsOptions): AnswerRequest {
  const { accountOf, observer, logger, mostPerAccount = 1_000 } = options;
  const open = new OpenRequests(mostPerAccount);
  return (request, answer) => {
    observer.began();
    const aborting = new AbortController();
    let release: () => void = () => undefined;
    const carried = new CarriedRequest(request, answer, {
      aborting,
      reasonFor: (error) => {
        if (isUnexpected(error))
          logger.error({ account: request.account, error }, 'unexpected error in a request of the Kubernetes API');
        return reasonFor(error);
      },
      onEnded: (outcome) => {
        release();
        observer.ended(outcome);
      },
    });
    const account = accountOf(request.account);
    if (account === undefined) {
      // The gateway has not heard yet that it is no longer served. Never 404: clients would take the account for empty.
      carried.refuse(noAnswer(request.account, 'this agent does not serve it'));
      return carried;
    }
    const added = open.add(account.closing.signal, aborting);
    if (added === undefined) {
      const message = `account "${request.account}" has ${String(mostPerAccount)} requests under way at its agent, which is the most`;
      carried.refuse(refusal(429, message, 1));
      return carried;
    }
    release = added;
    void start(request, account, carried, aborting.signal);
    return carried;
  };
}

async function start(
  request: TunnelledRequest,
  account: RequestedAccount,
  carried: CarriedRequest,
  signal: AbortSignal,
): Promise<void> {
  const { cluster, apiAccess } = account;
  let info: RequestInfo;
  let access: ApiAccess;
  try {
    info = requestInfo(request.method, request.target);
    const why = await refusedByAccount(info, request.upgrade, apiAccess, cluster, signal);
    if (why !== undefined) {
      carried.refuse(refusal(403, why, undefined, info));
      return;
    }
    access = await cluster.access.current(signal);
  } catch (error) {
    if (error instanceof GatewayError && error.code === 'invalid-argument') carried.refuse(refusal(400, error.message));
    else carried.fail(error);
    return;
  }
  if (Object.keys(access.headers).some(isImpersonation) && hasImpersonation(request)) {
    const message = `account "${request.account}" impersonates a user itself (\`as\` in its kubeconfig), so it cannot impersonate the caller`;
    carried.refuse(refusal(403, message, undefined, info));
    return;
  }
  // What is behind a proxy of the API server asks for credentials of its own.
  const own = info.subresource !== 'proxy' && info.verb !== 'proxy';
  carried.send(
    access.dispatcher,
    sentTo(access, request),
    own
      ? () => {
          cluster.access.refused(access);
        }
      : undefined,
  );
}

function hasImpersonation({ headers }: TunnelledRequest): boolean {
  return headers.some((text, index) => index % 2 === 0 && isImpersonation(text));
}
