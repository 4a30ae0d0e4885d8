/**
 * How the lists of a kind are merged, according to its OpenAPI v3 document: `x-kubernetes-patch-strategy`,
 * `x-kubernetes-patch-merge-key`, and the patch types that the kind accepts. kubectl reads the same.
 */

import { ApiError } from '../../kubernetes/client.js';
import type { ApiResource } from './api-resources.js';
import type { Work } from './work.js';

interface OpenApiSchema {
  readonly $ref?: string;
  readonly allOf?: readonly OpenApiSchema[];
  readonly properties?: Readonly<Record<string, OpenApiSchema>>;
  readonly additionalProperties?: OpenApiSchema | boolean;
  readonly items?: OpenApiSchema;
  readonly 'x-kubernetes-patch-strategy'?: string;
  readonly 'x-kubernetes-patch-merge-key'?: string;
  readonly 'x-kubernetes-group-version-kind'?: readonly GroupVersionKind[];
}

interface GroupVersionKind {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
}

interface OpenApiDocument {
  readonly components?: { readonly schemas?: Schemas };
  readonly paths?: Readonly<Record<string, { readonly patch?: PatchOperation }>>;
}

interface PatchOperation {
  readonly requestBody?: { readonly content?: Readonly<Record<string, unknown>> };
  readonly 'x-kubernetes-group-version-kind'?: GroupVersionKind;
}

type Schemas = Readonly<Record<string, OpenApiSchema>>;

export class PatchSchema {
  readonly #schemas: Schemas;
  /** From the field itself, which may say more than the type that it refers to. */
  readonly #field: OpenApiSchema;

  constructor(schemas: Schemas, field: OpenApiSchema) {
    this.#schemas = schemas;
    this.#field = field;
  }

  /** Of an object: one of its fields. */
  field(name: string): PatchSchema | undefined {
    const { properties, additionalProperties } = this.#resolved();
    const named = properties !== undefined && Object.hasOwn(properties, name) ? properties[name] : undefined;
    const found = named ?? (typeof additionalProperties === 'object' ? additionalProperties : undefined);
    return found === undefined ? undefined : new PatchSchema(this.#schemas, found);
  }

  /** Of a list: its items. */
  item(): PatchSchema | undefined {
    const { items } = this.#resolved();
    return items === undefined ? undefined : new PatchSchema(this.#schemas, items);
  }

  get mergesList(): boolean {
    return this.#strategies.includes('merge');
  }

  get retainKeys(): boolean {
    return this.#strategies.includes('retainKeys');
  }

  get mergeKey(): string | undefined {
    return this.#field['x-kubernetes-patch-merge-key'];
  }

  get #strategies(): readonly string[] {
    return (this.#field['x-kubernetes-patch-strategy'] ?? '').split(',');
  }

  #resolved(): OpenApiSchema {
    const reference = this.#field.$ref ?? this.#field.allOf?.[0]?.$ref;
    return reference === undefined ? this.#field : (this.#schemas[reference.split('/').at(-1) ?? ''] ?? {});
  }
}

export const strategicMergePatch = 'application/strategic-merge-patch+json';

/**
 * Undefined if the server has no such document, and for kinds that only support JSON merge patches, such as custom
 * resources: then lists are replaced as a whole.
 */
export async function patchSchemaOf(
  work: Work,
  { group, version, kind }: ApiResource,
): Promise<PatchSchema | undefined> {
  const path = group === '' ? `/openapi/v3/api/${version}` : `/openapi/v3/apis/${group}/${version}`;
  try {
    const { paths = {}, components } = await work.send<OpenApiDocument>({ method: 'GET', path });
    const isMeant = (one: GroupVersionKind | undefined): boolean =>
      one?.group === group && one.version === version && one.kind === kind;
    const patch = Object.values(paths).find((each) => isMeant(each.patch?.['x-kubernetes-group-version-kind']))?.patch;
    if (patch?.requestBody?.content?.[strategicMergePatch] === undefined) return undefined;
    const schemas = components?.schemas ?? {};
    const root = Object.values(schemas).find((schema) => schema['x-kubernetes-group-version-kind']?.some(isMeant));
    return root === undefined ? undefined : new PatchSchema(schemas, root);
  } catch (error) {
    if (error instanceof ApiError && [403, 404, 406].includes(error.status)) return undefined;
    throw error;
  }
}
