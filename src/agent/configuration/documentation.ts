/** docs/agent-configuration.md: every setting of the agent with its default and meaning, from the schema itself. */

import Type, { type TSchema } from 'typebox';
import { aliases, restrictions, unused } from './foreign.js';
import { agentSchema } from './schema.js';

const head = `# The agent's configuration

\`agent-gateway agent --config FILE\` reads one YAML file with the names of Armory's agent, so that a file of it can be used as it
is, and so can the account of a \`clouddriver.yml\`. Unknown keys are errors that name the line and the nearest known key; what has
[no effect here](#options-without-effect) is one warning; what would [restrict something](#options-that-are-refused) and cannot is
refused. YAML is read as \`kubectl\` reads it (YAML 1.1, with anchors). Keys may be dotted (\`clouddriver.grpc: HOST:PORT\`). Secrets may be written as \`file:/PATH\` or \`env:NAME\`, paths also as
\`file:/PATH\`; references of Spinnaker's secret engines (\`encrypted:...\`, \`encryptedFile:...\`) and placeholders (\`\${...}\`) are
refused, in every text. The file is read again when it changes (looked at every five seconds): accounts and \`logging.level\` follow
at once, without a new connection; a file that cannot be used changes nothing and is logged. What the agent does is told in
[agent.md](agent.md).

This page is made from the code: \`npm run generate\`.

| setting | default | meaning |
|---|---|---|
`;

export function agentConfigurationPage(): string {
  const rows = [...leaves(agentSchema, '')].map(([key, schema]) => {
    const { description = '', default: value } = schema as { description?: string; default?: unknown };
    const choices = Type.IsEnum(schema) ? ` One of ${schema.enum.map((one) => `\`${String(one)}\``).join(', ')}.` : '';
    return `| \`${key}\` | ${value === undefined ? '' : `\`${JSON.stringify(value)}\``} | ${description}${choices} |`;
  });
  return `${head}${rows.join('\n')}\n${foreignTables()}`;
}

function foreignTables(): string {
  const names = [...aliases].map(([alias, key]) => `| \`${alias}\` | \`${key}\` |`);
  const ignored = [...unused].map(([key, reason]) => `| \`${key}\` | ${reason} |`);
  const refused = [...restrictions].map(([key, { instead }]) => `| \`${key}\` | ${instead} |`);
  return `
## Other names of settings

| key | stands for |
|---|---|
${names.join('\n')}

## Options without effect

Options of Armory's agent and of accounts of Clouddriver. They are accepted, with everything below them, with one warning for all.

| key | why |
|---|---|
${ignored.join('\n')}

## Options that are refused

They are accepted only where they change nothing (empty, or false).

| key | what to do instead |
|---|---|
${refused.join('\n')}
| \`hub\` | without \`clouddriver.grpc\`: write where the gateways are there; beside it \`hub\` has no effect |

What restricts an account, such as \`namespaces\`, \`omitNamespaces\`, \`kinds\`, \`omitKinds\`, \`onlyNamespacedResources\` and
\`onlySpinnakerManaged\`, is a setting above and holds. \`permissions\` is passed on to Spinnaker, as Armory's agent does.
`;
}

function* leaves(schema: TSchema, key: string): Generator<[string, TSchema]> {
  if (Type.IsObject(schema) && Object.keys(schema.properties).length > 0) {
    for (const [name, child] of Object.entries(schema.properties))
      yield* leaves(child, key === '' ? name : `${key}.${name}`);
    return;
  }
  if (Type.IsArray(schema) && Type.IsObject(schema.items)) yield* leaves(schema.items, `${key}[]`);
  else yield [key, schema];
}
