/**
 * Which objects a manifest contains: kind, namespace and name. What else is in it is skipped, and reading stops as soon
 * as they are known, usually at the front: a manifest has up to 4 MB, and every deploy passes here.
 */

import { JsonCursor, UnreadableJson } from '../../documents/json-cursor.js';

export interface ManifestObject {
  /** The next two: '' if the manifest does not say. */
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace: string;
  /** Or the prefix of a generated name, with an asterisk. */
  readonly name: string;
}

/** Bytes that are read first; usually the names are in them. */
const firstBytes = 2_048;
/** Bytes that are read at most; of a list, what is behind them is not counted. */
const mostBytes = 64 * 1_024;

/** @param json an object or a list; of anything else there are none */
export function manifestObjects(json: Uint8Array): readonly ManifestObject[] {
  const first = read(json, firstBytes);
  const { whole, found } = first.isRead || json.byteLength <= firstBytes ? first : read(json, mostBytes);
  if (found.length === 0) return whole.kind === '' || whole.name === '' ? [] : [whole];
  // Items of a DeploymentList need not name their kind.
  const kind = whole.kind.replace(/List$/u, '');
  return found.map(({ kind: own, apiVersion, namespace, name }) => {
    const type = own === '' ? { apiVersion: whole.apiVersion, kind } : { apiVersion, kind: own };
    return { ...type, namespace, name };
  });
}

function read(json: Uint8Array, limit: number) {
  const found: ObjectNames[] = [];
  const whole = new ObjectNames();
  let isRead = true;
  try {
    whole.read(new JsonCursor(json, limit), (items) => {
      found.push(items);
    });
  } catch (error) {
    if (!(error instanceof UnreadableJson)) throw error;
    isRead = false;
  }
  return { whole, found, isRead };
}

class ObjectNames implements ManifestObject {
  apiVersion = '';
  kind = '';
  namespace = '';
  name = '';

  /**
   * @param item takes the items of a list, while they are being read; absent: this is an item
   * @throws UnreadableJson
   */
  read(cursor: JsonCursor, item?: (names: ObjectNames) => void): void {
    cursor.object((field) => {
      if (field === 'apiVersion') this.apiVersion = cursor.text();
      else if (field === 'kind') this.kind = cursor.text();
      else if (field === 'metadata') this.#readMetadata(cursor);
      else if (field === 'items' && item !== undefined) {
        cursor.array(() => {
          const names = new ObjectNames();
          item(names);
          names.read(cursor);
        });
      } else if (item !== undefined && this.name !== '' && this.kind !== '' && this.apiVersion !== '') return false;
      else cursor.skip();
      return true;
    });
  }

  #readMetadata(cursor: JsonCursor): void {
    cursor.object((field) => {
      if (field === 'namespace') this.namespace = cursor.text();
      else if (field === 'name') this.name = cursor.text();
      else if (field === 'generateName') {
        const prefix = cursor.text();
        if (this.name === '') this.name = `${prefix}*`;
      } else cursor.skip();
      return true;
    });
  }
}
