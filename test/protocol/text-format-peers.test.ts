/** Text format against protoc and Java, both ways: what they print is read, what is printed is read by them. */
import { isDeepStrictEqual } from 'node:util';
import { create, createRegistry, fromBinary, toBinary, type DescMessage, type MessageShape } from '@bufbuild/protobuf';
import { anyPack, anyUnpack, EmptySchema } from '@bufbuild/protobuf/wkt';
import fc from 'fast-check';
import { test, type Test } from 'tap';
import {
  DeploySchema,
  OperationResultSchema,
  OperationSchema,
} from '../../src/protocol/generated/ops/operations_pb.js';
import { formatText, parseText } from '../../src/protocol/text-format.js';
import { arbitraryMessage } from './corpus/arbitrary.js';
import { everything, operations, results, unknownFields, unknownValues } from './corpus/cases.js';
import { CorpusSchema, EverythingSchema, type Corpus } from './corpus/corpus_pb.js';
import { askJava, javaStyles, noJava, noProtoc, protocDecode, protocDecodeRaw, protocEncode } from './corpus/peers.js';

const registry = createRegistry(OperationSchema, DeploySchema, EverythingSchema);

function corpus(unknownEnumValues: boolean): Corpus {
  const seed = Math.trunc(Math.random() * 2 ** 31);
  const sample = <T>(arbitrary: fc.Arbitrary<T>): T[] => fc.sample(arbitrary, { seed, numRuns: 60 });
  return create(CorpusSchema, {
    everything: [...everything, ...sample(arbitraryMessage(EverythingSchema, 2, unknownEnumValues))],
    operations: [...operations, ...sample(arbitraryMessage(OperationSchema, 3, unknownEnumValues))],
    results: [...results, ...sample(arbitraryMessage(OperationResultSchema, 3, unknownEnumValues))],
  });
}

/** The first case that differs, as we print it; undefined if all are equal. */
function difference(a: Corpus, b: Corpus): string | undefined {
  return (
    firstDifference(EverythingSchema, a.everything, b.everything) ??
    firstDifference(OperationSchema, a.operations, b.operations) ??
    firstDifference(OperationResultSchema, a.results, b.results)
  );
}

/** Not by the library's equals: to it NaN is not NaN and -0 is 0. */
function firstDifference<Desc extends DescMessage>(
  schema: Desc,
  ours: readonly MessageShape<Desc>[],
  theirs: readonly MessageShape<Desc>[],
): string | undefined {
  if (ours.length !== theirs.length) return `${ours.length} and ${theirs.length} of ${schema.typeName}`;
  const plain = (message: MessageShape<Desc> | undefined): unknown =>
    message && fromBinary(schema, toBinary(schema, message));
  const index = ours.findIndex((message, at) => !isDeepStrictEqual(plain(message), plain(theirs[at])));
  const [wrong, other]: (MessageShape<Desc> | undefined)[] = [ours[index], theirs[index]];
  if (wrong === undefined || other === undefined) return undefined;
  return `${formatText(schema, wrong)}is not\n${formatText(schema, other)}`;
}

test('protoc reads what we print', { skip: noProtoc }, async (t) => {
  const ours = corpus(true);
  const theirs = fromBinary(CorpusSchema, protocEncode('corpus.Corpus', formatText(CorpusSchema, ours)));
  t.equal(difference(ours, theirs), undefined);
});

test('we read what protoc prints', { skip: noProtoc }, async (t) => {
  const ours = corpus(true);
  const theirs = parseText(CorpusSchema, protocDecode('corpus.Corpus', toBinary(CorpusSchema, ours)), { registry });
  t.equal(difference(ours, theirs), undefined);
});

/** Numbers that are known are taken as what they are, others are kept as unknown fields: both give the same bytes. */
function checkNumbers(t: Test, text: string): void {
  t.match(text, /^9: 0x0000002a$/m);
  const sent = fromBinary(EverythingSchema, unknownFields);
  // Printers guess what length-delimited data is, and so lose the overlong varint in these bytes.
  sent.someBytes = new Uint8Array([0x08, 0x01]);
  t.same(parseText(EverythingSchema, text), sent);
  t.same(fromBinary(EverythingSchema, toBinary(EmptySchema, parseText(EmptySchema, text))), sent);
}

test('we read what protoc prints of a message it does not know', { skip: noProtoc }, async (t) => {
  checkNumbers(t, protocDecodeRaw(unknownFields));
});

test('Java reads what we print, and we read what Java prints', { skip: noJava }, async (t) => {
  const ours = corpus(false);
  const printed = create(CorpusSchema, { ...ours, everything: [...ours.everything, unknownValues] });
  const java = askJava(formatText(CorpusSchema, ours), toBinary(CorpusSchema, printed), unknownFields);

  t.equal(difference(ours, fromBinary(CorpusSchema, java.read)), undefined, 'Java read ours');
  t.match(java.printed.toString, /UNKNOWN_ENUM_VALUE_Color_-7/);
  t.match(java.printed.expandedAny, /\[type\.googleapis\.com\/ops\.Deploy\] \{/);
  for (const style of javaStyles) {
    if (style === 'numbers') continue;
    t.equal(difference(printed, parseText(CorpusSchema, java.printed[style], { registry })), undefined, style);
  }
  checkNumbers(t, java.printed.numbers);

  const onlyOurs = create(CorpusSchema, { operations: ours.operations, results: ours.results });
  t.ok(
    java.printed.toString.endsWith(formatText(CorpusSchema, onlyOurs)),
    'our messages are printed byte for byte alike',
  );
});

test('an expanded Any needs a registry that knows its type', async (t) => {
  const text = 'any { [type.googleapis.com/ops.Operation] { account: "a" } }';
  const { any } = parseText(EverythingSchema, text, { registry });
  const operation = any && anyUnpack(any, OperationSchema);
  t.equal(operation?.account, 'a');
  t.same(any, anyPack(OperationSchema, create(OperationSchema, { account: 'a' })));
  t.throws(() => parseText(EverythingSchema, text), { message: /column 7: unknown message type / });
});
