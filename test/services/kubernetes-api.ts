/** Kubernetes' API for test code: JSON in and out; a refusal is an error with its status. */

import type { Agent } from 'undici';

export class KubernetesApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(`${String(status)} ${message}`);
  }
}

export interface KubernetesObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly resourceVersion?: string;
    readonly [key: string]: unknown;
  };
  readonly [key: string]: unknown;
}

/** Types are what the caller expects; nothing checks them. */
export class KubernetesApi {
  constructor(
    readonly server: string,
    readonly dispatcher: Agent,
    readonly headers: Readonly<Record<string, string>> = {},
  ) {}

  get<T = KubernetesObject>(path: string): Promise<T> {
    return this.request<T>('GET', path);
  }

  post<T = KubernetesObject>(path: string, body: object): Promise<T> {
    return this.request<T>('POST', path, body);
  }

  put<T = KubernetesObject>(path: string, body: object): Promise<T> {
    return this.request<T>('PUT', path, body);
  }

  /** A merge patch (RFC 7386). */
  patch<T = KubernetesObject>(path: string, body: object): Promise<T> {
    return this.request<T>('PATCH', path, body, 'application/merge-patch+json');
  }

  delete(path: string): Promise<unknown> {
    return this.request('DELETE', path, { gracePeriodSeconds: 0 });
  }

  /** @throws KubernetesApiError */
  async request<T>(method: string, path: string, body?: object, contentType = 'application/json'): Promise<T> {
    const response = await this.dispatcher.request({
      origin: this.server,
      path,
      method: method,
      headers: { ...this.headers, accept: 'application/json', 'content-type': contentType },
      body: body === undefined ? null : JSON.stringify(body),
      signal: AbortSignal.timeout(120_000),
    });
    const text = await response.body.text();
    if (response.statusCode >= 300) {
      let message = text;
      try {
        message = (JSON.parse(text) as { message?: string }).message ?? text;
      } catch {
        // Not a Status.
      }
      throw new KubernetesApiError(response.statusCode, message);
    }
    return JSON.parse(text) as T;
  }
}
