/** docs/agent-configuration.md: every setting of the agent with its default and meaning, from the schema itself. */

import Type, { type TSchema } from 'typebox';
import { aliases, restrictions, unused } from './foreign.js';
import { agentSchema } from './schema.js';

const head = `# The agent's configuration

\`agent-gateway agent --config FILE\` reads one YAML file. Its settings have the names of Armory's agent, so you can use a file of
that agent without changes, and copy accounts from a \`clouddriver.yml\`. What the agent does with them: [agent.md](agent.md).

- An unknown key is an error. The message names the line and the nearest known key.
- Options that have [no effect here](#options-without-effect) give one warning for all of them. Options that would
  [restrict something](#options-that-are-refused), but cannot do so here, are refused.
- YAML is read as \`kubectl\` reads it (YAML 1.1, with anchors). Keys may be dotted: \`clouddriver.grpc: HOST:PORT\`.
- A secret may be written as \`file:/PATH\` or \`env:NAME\`, and a path as \`file:/PATH\`. References to Spinnaker's secret engines
  (\`encrypted:...\`, \`encryptedFile:...\`) and placeholders (\`\${...}\`) are refused in every setting.
- The agent checks the file for changes every five seconds. Changes of accounts and of \`logging.level\` take effect at once, without
  a new connection. If the file is invalid, the agent logs the problem and keeps its settings.

This page is generated from the code by \`npm run generate\`.

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

Options of Armory's agent and of Clouddriver's accounts. They are accepted, including everything below them; one warning names all of them.

| key | why |
|---|---|
${ignored.join('\n')}

## Options that are refused

They are accepted only if they restrict nothing (empty or false).

| key | what to do instead |
|---|---|
${refused.join('\n')}
| \`hub\` | set \`clouddriver.grpc\` to the address of the gateways; if it is set, \`hub\` has no effect |

The settings that restrict an account work as in Armory's agent: \`namespaces\`, \`omitNamespaces\`, \`kinds\`, \`omitKinds\`,
\`onlyNamespacedResources\` and \`onlySpinnakerManaged\`. Like Armory's agent, this one passes \`permissions\` on to Spinnaker.
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
