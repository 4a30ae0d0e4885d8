/**
 * Decodes as net/url of Go does it: bytes, which may be no UTF-8.
 * @param text with characters up to U+00FF, each of which is a byte
 * @returns undefined if a "%" is not followed by two hexadecimal digits
 */
export function percentDecode(text: string): string | undefined {
  if (!text.includes('%')) return text;
  if (/%(?![\dA-Fa-f]{2})/u.test(text)) return undefined;
  const bytes = text.replaceAll(/%(..)/gu, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, 'latin1').toString();
}
