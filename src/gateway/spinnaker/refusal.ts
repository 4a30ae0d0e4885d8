/** What Clouddriver says when it refuses something, made fit to be shown. */

const longest = 500;

/**
 * @param text of the answer: Spring's JSON with `message`, or anything
 * @returns one line without secrets: Clouddriver quotes whole accounts, with their kubeconfigs
 */
export function refusalOf(status: number, text: string): string {
  const said = messageIn(text)
    // From the JSON of an account on.
    .replace(/\{.*$/su, '{...}')
    .replace(/[\p{Cc}\p{Zl}\p{Zp}\s]+/gu, ' ')
    .replace(/[\w+/=.-]{40,}/gu, '***')
    .trim();
  const shown = said.length > longest ? `${said.slice(0, longest)}...` : said;
  return `Clouddriver answered ${String(status)}${shown === '' ? '' : `: ${shown}`}`;
}

function messageIn(text: string): string {
  try {
    const answer: unknown = JSON.parse(text);
    if (typeof answer !== 'object' || answer === null) return '';
    const { message, error } = answer as { readonly message?: unknown; readonly error?: unknown };
    return typeof message === 'string' ? message : typeof error === 'string' ? error : '';
  } catch {
    // A page in HTML, of a proxy or of Tomcat.
    return text.replaceAll(/<[^>]*>/gu, ' ');
  }
}
