/** Patches that the API server cannot even read: it answers some of them as a fault of its own (500), without a word of whose. */

import { ApiError } from '../../kubernetes/client.js';
import { pathOf } from './api-resources.js';
import type { TargetObject, Work } from './work.js';

/**
 * Sends a patch of an object that is to be as `manifest` says. Of a field with a wrong type the server says in a creation
 * that it is the caller's fault, and which field; so that is asked (a dry run) when the patch failed.
 * @throws ApiError 400 or 422 with the field; else what `patch` throws
 */
export async function judged<T>(
  work: Work,
  target: TargetObject,
  manifest: object,
  patch: () => Promise<T>,
): Promise<T> {
  try {
    return await patch();
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 500)) throw error;
    throw (await refusalOfCreation(work, target, manifest)) ?? error;
  }
}

async function refusalOfCreation(
  work: Work,
  { resource, namespace }: TargetObject,
  body: object,
): Promise<ApiError | undefined> {
  try {
    await work.send({ method: 'POST', path: pathOf(resource, namespace), query: { dryRun: 'All' }, body });
  } catch (error) {
    work.signal.throwIfAborted();
    if (error instanceof ApiError && (error.status === 400 || error.status === 422)) return error;
  }
  return undefined;
}
