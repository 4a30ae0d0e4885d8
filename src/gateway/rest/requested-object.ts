/** What an operation is about, for its record: object and mode, never a manifest or a secret. */

import { resourceOfKind } from '../../kubernetes/resource-of-kind.js';
import {
  Delete_Propagation,
  Deploy_Mode,
  Patch_Type,
  type ObjectReference,
  type Operation,
} from '../../protocol/generated/ops/operations_pb.js';
import type { RecordedObject, RecordedRequest } from '../../store/operations/operation-record.js';
import { manifestObjects, type ManifestObject } from './manifest-objects.js';

/** Of a manifest, beside the first one. */
const mostOthers = 9;

/** Takes a few µs, also for a manifest, if its names are at its front. */
export function requestedObject({ request }: Operation): Pick<RecordedRequest, 'object' | 'mode'> {
  switch (request.case) {
    case undefined:
      return {};
    case 'deploy': {
      const { manifest, mode, dryRun } = request.value;
      return { object: objectOfManifest(manifest), mode: modeOf(deployModes[mode], dryRun && 'dry-run') };
    }
    case 'runJob':
      return { object: objectOfManifest(request.value.manifest) };
    case 'delete': {
      const { object, labelSelector, propagation, dryRun } = request.value;
      return {
        object: objectOf(object, labelSelector),
        mode: modeOf(propagations[propagation], dryRun && 'dry-run'),
      };
    }
    case 'list': {
      const { object, labelSelector, fieldSelector } = request.value;
      return { object: objectOf(object, [labelSelector, fieldSelector].filter((part) => part !== '').join('; ')) };
    }
    case 'patch': {
      const { object, type, dryRun } = request.value;
      return { object: objectOf(object), mode: modeOf(patchTypes[type], dryRun && 'dry-run') };
    }
    case 'scale':
      return { object: objectOf(request.value.object), mode: `replicas=${String(request.value.replicas)}` };
    case 'undo': {
      const { object, revision } = request.value;
      return { object: objectOf(object), mode: modeOf(revision !== 0n && `revision=${String(revision)}`) };
    }
    case 'accessReview': {
      const { verb, group, resource, subresource, namespace, name } = request.value;
      const asked = subresource === '' ? resource : `${resource}/${subresource}`;
      return { object: { group, resource: asked, namespace, name }, mode: modeOf(verb !== '' && `verb=${verb}`) };
    }
    case 'get':
    case 'restart':
    case 'pause':
    case 'resume':
    case 'logs':
      return { object: objectOf(request.value.object) };
  }
}

const deployModes: Readonly<Record<Deploy_Mode, string>> = {
  [Deploy_Mode.UNSPECIFIED]: 'server-side-apply',
  [Deploy_Mode.CLIENT_SIDE_APPLY]: 'client-side-apply',
  [Deploy_Mode.REPLACE]: 'replace',
  [Deploy_Mode.CREATE]: 'create',
};
const propagations: Readonly<Record<Delete_Propagation, string>> = {
  [Delete_Propagation.UNSPECIFIED]: '',
  [Delete_Propagation.BACKGROUND]: 'background',
  [Delete_Propagation.FOREGROUND]: 'foreground',
  [Delete_Propagation.ORPHAN]: 'orphan',
};
const patchTypes: Readonly<Record<Patch_Type, string>> = {
  [Patch_Type.UNSPECIFIED]: '',
  [Patch_Type.STRATEGIC]: 'strategic',
  [Patch_Type.MERGE]: 'merge',
  [Patch_Type.JSON]: 'json',
};

function modeOf(...parts: readonly (string | false | undefined)[]): string | undefined {
  // A newer version's number has no word.
  const said = parts.filter((part) => part !== false && part !== undefined && part !== '');
  return said.length === 0 ? undefined : said.join(', ');
}

function objectOf(reference: ObjectReference | undefined, selector = ''): RecordedObject | undefined {
  if (reference === undefined || reference.kind === '') return undefined;
  const object = named(reference);
  return selector === '' ? object : { ...object, selector };
}

function objectOfManifest(manifest: Uint8Array): RecordedObject | undefined {
  const [first, ...others] = manifestObjects(manifest);
  if (first === undefined) return undefined;
  const object = named(first);
  if (others.length === 0) return object;
  const left = others.length - mostOthers;
  const told = others.slice(0, mostOthers).map(textOf);
  return { ...object, others: left > 0 ? [...told, `and ${String(left)} more`] : told };
}

function named({ apiVersion, kind, namespace, name }: ManifestObject): RecordedObject {
  const [word = '', ...groupOfKind] = kind.split('.');
  const slash = apiVersion.indexOf('/');
  const group = slash === -1 ? groupOfKind.join('.') : apiVersion.slice(0, slash);
  return { group, kind: word, resource: resourceOfKind(word), namespace, name };
}

function textOf({ kind, namespace, name }: ManifestObject): string {
  return `${kind} ${namespace === '' ? '' : `${namespace}/`}${name}`;
}
