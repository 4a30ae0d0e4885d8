/** URLs of databases and of Redis: as Clouddriver writes them, and as they may be shown. */

/**
 * `jdbc:mysql://host:3306/db?useSSL=false` as `mysql://host:3306/db`: parameters belong to the Java driver.
 * Other URLs stay as they are. `warning` names what was left out, never a value.
 */
export function withoutJdbc(written: string): { url: string; warning: string | undefined } {
  if (!written.startsWith('jdbc:')) return { url: written, warning: undefined };
  const [url = '', parameters] = written.slice('jdbc:'.length).split('?', 2);
  const names = (parameters ?? '').split('&').flatMap((parameter) => parameter.split('=', 1));
  const dropped = names.filter((name) => name !== '');
  const warning = `parameters of the JDBC driver have no effect: ${dropped.join(', ')}`;
  return { url, warning: dropped.length === 0 ? undefined : warning };
}

/**
 * `mysql://host:3306/db` of `mysql://user:password@host:3306/db?x=y`: what may be shown. `***` when it is not certain
 * where the credentials end, as with a password that has an `@` or `/` in it.
 */
export function withoutCredentials(url: string): string {
  if (url.startsWith('pglite:')) return url;
  const [, scheme, place] = /^([a-z]+:\/\/)(?:[^/?#@]*@)?([^/?#@]+(?:\/[^?#@]*)?)(?:\?[^@]*)?$/.exec(url) ?? [];
  return scheme === undefined || place === undefined ? '***' : `${scheme}${place}`;
}
