/** What of a list's query decides how the API server reads the request: `watch` and `fieldSelector`. */

import { percentDecode } from './percent-encoding.js';

/** @param query without "?"; its first value of each counts */
export function readListOptions(query: string): { readonly watch: boolean; readonly fieldSelector: string } {
  const values = new Map<string, string>();
  for (const pair of query.split('&')) {
    const equals = pair.indexOf('=');
    const name = decode(equals === -1 ? pair : pair.slice(0, equals));
    const value = decode(equals === -1 ? '' : pair.slice(equals + 1));
    // net/url leaves out what has a ";" or an invalid percent-encoding.
    if (pair === '' || pair.includes(';') || name === undefined || value === undefined) continue;
    if (!values.has(name)) values.set(name, value);
  }
  const watch = values.get('watch');
  // strings.EqualFold() and the flags "iu" fold alike.
  const isWatch = watch !== undefined && !/^(?:0|false)$/iu.test(watch);
  return { watch: isWatch, fieldSelector: values.get('fieldSelector') ?? '' };
}

/** The name that `metadata.name=NAME` in a field selector asks for, as fields.ParseSelector() reads it; '' for none. */
export function nameIn(fieldSelector: string): string {
  // In the order of the terms as they are written, as there.
  const terms = splitTerms(fieldSelector).toSorted((one, other) =>
    Buffer.compare(Buffer.from(one), Buffer.from(other)),
  );
  const names: string[] = [];
  for (const term of terms) {
    if (term === '') continue;
    const [, field = '', operator, written = ''] = /^(.*?)(!=|==|=)(.*)$/su.exec(term) ?? [];
    const value = unescapeValue(written);
    if (operator === undefined || value === undefined) return '';
    if (operator !== '!=' && field === 'metadata.name') names.push(value);
  }
  const [name = ''] = names;
  return name === '.' || name === '..' || /[/%]/u.test(name) ? '' : name;
}

/** At "," but not at "\,". */
function splitTerms(selector: string): string[] {
  return [...selector.matchAll(/(?:^|,)((?:\\.|[^\\,]|\\$)*)/gsu)].map(([, term = '']) => term);
}

function unescapeValue(text: string): string | undefined {
  if (!/^(?:[^\\,=]|\\[\\,=])*$/su.test(text)) return undefined;
  return text.replaceAll(/\\(.)/gsu, '$1');
}

/** As url.QueryUnescape(); undefined if that fails. */
function decode(text: string): string | undefined {
  return percentDecode(text.replaceAll('+', ' '));
}
