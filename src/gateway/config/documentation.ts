/** docs/configuration.md, derived from the schema. */

import { prefix, variableOf } from './environment.js';
import { aliases, restrictions, unused } from './foreign.js';
import { formatBytes, leaves, sections, type Leaf } from './leaves.js';

export interface DocumentationRow {
  readonly key: string;
  /** The section it stands in: everything before the last dot. */
  readonly section: string;
  readonly environmentVariable: string;
  /** What values it takes. */
  readonly type: string;
  /** As text for people, in Markdown. */
  readonly default: string;
  readonly description: string;
  readonly secret: boolean;
}

/** One row for every setting, in the order of the schema. */
export function documentation(): DocumentationRow[] {
  return [...leaves.values()].map((leaf) => ({
    key: leaf.key,
    section: sectionOf(leaf.key),
    environmentVariable: variableOf(leaf.key),
    type: leaf.expected.replace(/^(a|an) (?=list|whole|number|data|URL)/, ''),
    default: defaultText(leaf),
    description: leaf.description,
    secret: leaf.secret !== false,
  }));
}

/** The whole page. */
export function documentationPage(): string {
  const rows = documentation();
  const tables = [...new Set(rows.map(({ section }) => section))].map((section) => {
    const own = rows.filter((setting) => setting.section === section);
    const lines = own.map(({ key, type, default: value, description, secret }) => {
      const name = key.slice(section.length + 1);
      return row([`\`${name}\``, type, value, `${description}${secret ? ' **Secret.**' : ''}`]);
    });
    const about = sections.get(section) ?? '';
    const head = ['| key | value | default | |', '|---|---|---|---|'];
    return [`### \`${section}\``, '', ...(about === '' ? [] : [about, '']), ...head, ...lines].join('\n');
  });
  const otherNames = [...aliases].map(([key, alias]) => {
    return row([`\`${key}\``, `\`${alias.key}\`${alias.factor === undefined ? '' : ` × ${String(alias.factor)}`}`]);
  });
  const withoutEffect = [...unused].map(([key, reason]) => row([`\`${key}\``, reason]));
  const refused = restrictions.map(({ name, harmless, instead }) => {
    return row([name, harmless === undefined ? '' : `\`${String(harmless)}\``, instead]);
  });
  return (
    [
      introduction(),
      ...tables,
      ['## Other names of settings', '', '| key | stands for |', '|---|---|', ...otherNames].join('\n'),
      [
        '## Options of Clouddriver and of the plugin without effect',
        '',
        'They are accepted, including everything below them, with one warning each.',
        '',
        '| key | why |',
        '|---|---|',
        ...withoutEffect,
      ].join('\n'),
      [
        '## Options that are refused',
        '',
        'They would restrict something, but cannot do so here.',
        '',
        '| key | accepted with | what to do instead |',
        '|---|---|---|',
        ...refused,
      ].join('\n'),
    ].join('\n\n') + '\n'
  );
}

function introduction(): string {
  return `# Configuration

<!-- Generated from src/gateway/config/schema.ts by \`npm run generate\`. -->

Settings come from three sources. Later ones override earlier ones:

1. **A YAML file**, named by \`--config FILE\` or \`${prefix}CONFIG\`. It has the shape of \`clouddriver.yml\`: you can
   paste in the \`sql:\`, \`redis:\` and \`kubesvc:\` sections of a working one. Since Armory CD 2.40.3 the latter is called
   \`armory: {kubesvc: ...}\`; use one name or the other, not both. Keys may be dotted, and spelled as Spring accepts them: \`clientAuth\`,
   \`client-auth\` and \`client_auth\` are the same key. YAML is read as \`kubectl\` reads it (YAML 1.1: \`yes\` is true, \`0400\` is
   256, \`<<\` merges). The file must be a single document; Spring profiles and placeholders (\`\${...}\`) are refused.
2. **Environment variables**: \`${prefix}\`, followed by the key in upper case, with underscores for dots and without dashes:
   \`${variableOf('kubesvc.grpc.server.port')}=9091\`, \`${variableOf('kubesvc.cluster-kubernetes.namespace')}=spinnaker\`.
   If \`POD_NAME\` and \`POD_IP\` are set, the defaults of \`instance\` come from them.
3. **Flags**: any key, as \`--kubesvc.grpc.server.port=9091\` or \`--kubesvc.grpc.server.port 9091\`.

- In variables and flags, separate the items of a list with commas.
- Write a data size as \`512KB\` or \`4MB\` (units of 1024), or as a number of bytes.
- A secret may be written as \`file:/PATH\`: its value is the content of that file, without surrounding white space. The path of
  a file may be written as \`file:/PATH\`, too. References to Spinnaker's secret engines (\`encrypted:...\`, \`encryptedFile:...\`) are
  refused.
- The driver parameters of a JDBC URL are dropped, with a warning. A URL that asks for TLS (\`sslMode=VERIFY_IDENTITY\`,
  \`sslmode=verify-full\`, \`useSSL=true\`) is refused unless \`sql.ssl\` provides what it asks for.
- An unknown key is an error. The message names the nearest known key.

To check what the settings refer to (database, Redis, permissions, certificates, ports), run \`agent-gateway doctor\`.

## Settings`;
}

function defaultText(leaf: Leaf): string {
  if (leaf.derived !== undefined) return leaf.derived;
  const value = leaf.default;
  if (Array.isArray(value)) return value.length === 0 ? 'empty' : value.map((item) => `\`${String(item)}\``).join(' ');
  if (typeof value === 'number') return `\`${leaf.kind === 'bytes' ? formatBytes(value) : String(value)}\``;
  return typeof value === 'string' || typeof value === 'boolean' ? `\`${String(value)}\`` : '';
}

function sectionOf(key: string): string {
  return key.slice(0, key.lastIndexOf('.'));
}

function row(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}
