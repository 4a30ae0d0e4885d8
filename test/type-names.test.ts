/** What the check of type names finds. */

import { test } from 'tap';
import { exportedTypes, typeNameProblems } from './type-names.js';

test('exported classes, interfaces, aliases and enums count', async (t) => {
  const source = `
    export class A {}
    export abstract class B {}
    export interface C {}
    export type D = string;
    export enum E {}
    interface Own {}
    export const F = 1;
    export function G() {}
    export type { Other } from './other.js';`;
  t.same(exportedTypes(source), ['A', 'B', 'C', 'D', 'E']);
});

test('a name that two files export is refused, with both', async (t) => {
  const sources = new Map([
    ['src/a.ts', 'export interface Taken {}'],
    ['src/b.ts', 'export class Taken {}'],
    ['src/c.ts', 'interface Taken {}'],
  ]);
  t.match(typeNameProblems(sources), [/^Taken is .*: src\/a\.ts, src\/b\.ts;/u]);
});

test('a name of the protocol is taken, though two of its packages may share one', async (t) => {
  const protocol: [string, string][] = [
    ['src/protocol/generated/events/caching_pb.ts', 'export type Resume = {};'],
    ['src/protocol/generated/ops/operations_pb.ts', 'export type Resume = {};'],
  ];
  t.same(typeNameProblems(new Map(protocol)), []);
  t.equal(typeNameProblems(new Map([...protocol, ['src/a.ts', 'export class Resume {}']])).length, 1);
});
