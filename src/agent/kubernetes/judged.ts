/**
 * Patches that the API server cannot even read: for some of them it reports its own fault (500), without naming the
 * field.
 */

import { ApiError } from '../../kubernetes/client.js';
import { pathOf } from './api-resources.js';
import type { TargetObject, Work } from './work.js';

/**
 * Sends a patch that makes an object match `manifest`. For a field with a wrong type, only a creation reports
 * the caller's fault and the field; so if the patch fails, a creation is tried as a dry run.
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
