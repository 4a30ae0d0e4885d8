/**
 * The descriptors that reflection hands out. Ours are the compiler's own. Those of health and reflection come from
 * proto-loader, which names map entries as no other implementation accepts them: this file corrects the names.
 */

import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema, type DescriptorProto } from '@bufbuild/protobuf/wkt';
import { loadSync, type PackageDefinition } from '@grpc/proto-loader';
import { protoPath as healthProto } from 'grpc-health-check';
import { file_events_caching } from '../../protocol/generated/events/caching_pb.js';
import { file_kubernetes_api } from '../../protocol/generated/kubernetes/api_pb.js';
import { file_ops_operations } from '../../protocol/generated/ops/operations_pb.js';

/**
 * Every file that reflection describes, in the shape of a package definition: reflection reads nothing but its files.
 */
export function describedFiles(): PackageDefinition {
  const own = [file_ops_operations, file_events_caching, file_kubernetes_api].map((file) =>
    toBinary(FileDescriptorProtoSchema, file.proto),
  );
  const reflection = dirname(createRequire(import.meta.url).resolve('@grpc/reflection/package.json'));
  const foreign = loadSync(
    [healthProto, 'grpc/reflection/v1/reflection.proto', 'grpc/reflection/v1alpha/reflection.proto'],
    { includeDirs: [join(reflection, 'build/proto')], keepCase: true },
  );
  const files = Object.values(foreign).flatMap(({ fileDescriptorProtos }) =>
    Array.isArray(fileDescriptorProtos) ? fileDescriptorProtos.map(withNamedMaps) : [],
  );
  const described = { fileDescriptorProtos: [...own.map((bytes) => Buffer.from(bytes)), ...files] };
  return { described } as unknown as PackageDefinition;
}

function withNamedMaps(bytes: Uint8Array): Buffer {
  const file = fromBinary(FileDescriptorProtoSchema, bytes);
  file.messageType.forEach(nameMaps);
  return Buffer.from(toBinary(FileDescriptorProtoSchema, file));
}

/**
 * The entry of a map `some_field` is the nested message `SomeFieldEntry` (descriptor.proto, MessageOptions.map_entry).
 */
function nameMaps(message: DescriptorProto): void {
  for (const nested of message.nestedType) {
    nameMaps(nested);
    const field = message.field.find(({ typeName }) => typeName.split('.').at(-1) === nested.name);
    if (nested.options?.mapEntry !== true || field === undefined) continue;
    const words = field.name.split('_').map((word) => word.charAt(0).toUpperCase() + word.slice(1));
    field.typeName = field.typeName.replace(/[^.]+$/u, `${words.join('')}Entry`);
    nested.name = `${words.join('')}Entry`;
  }
}
