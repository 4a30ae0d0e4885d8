/** What `npm run check` asks of exported types in src/: that each name belongs to one file, so that it says which is meant. */

import ts from 'typescript';
import { runStep, sources } from './check-step.js';

/** The protocol's names are what they are on the wire; its packages tell two of one name apart (`events.Resume`, `ops.Resume`). */
const generated = 'src/protocol/generated/';

/** @returns the classes, interfaces, aliases and enums that a file declares and exports; not those that it hands on */
export function exportedTypes(source: string): string[] {
  return ts.createSourceFile('file.ts', source, ts.ScriptTarget.Latest).statements.flatMap((statement) => {
    const declares =
      ts.isClassDeclaration(statement) ||
      ts.isInterfaceDeclaration(statement) ||
      ts.isTypeAliasDeclaration(statement) ||
      ts.isEnumDeclaration(statement);
    if (!declares || statement.name === undefined) return [];
    const exported = statement.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) === true;
    return exported ? [statement.name.text] : [];
  });
}

/**
 * @param sources by path from the project's directory
 * @returns a sentence for each name that more than one file exports
 */
export function typeNameProblems(sources: ReadonlyMap<string, string>): string[] {
  const files = new Map<string, string[]>();
  for (const [path, source] of sources) {
    for (const name of new Set(exportedTypes(source))) files.set(name, [...(files.get(name) ?? []), path]);
  }
  return [...files]
    .filter(([, paths]) => paths.length > 1 && paths.some((path) => !path.startsWith(generated)))
    .map(([name, paths]) => `${name} is the name of several exported types: ${paths.join(', ')}; rename all but one`);
}

runStep(import.meta.url, () => typeNameProblems(sources(/\.ts$/u)));
