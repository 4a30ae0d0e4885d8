/** docs/agent-configuration.md: every setting of the agent with its default and meaning, from the schema itself. */

import Type, { type TSchema } from 'typebox';
import { agentSchema } from './schema.js';

const head = `# The agent's configuration

\`agent-gateway agent --config FILE\` reads one YAML file with the names of Armory's agent, so that a file of it can be used as it
is. Unknown keys are errors that name the nearest known one. Secrets may be written as \`file:/PATH\` or \`env:NAME\`. The file is
read again when it changes (looked at every five seconds): accounts and \`logging.level\` follow at once, without a new
connection; a file that cannot be used changes nothing and is logged. What the agent does is told in [agent.md](agent.md).

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
  return `${head}${rows.join('\n')}\n`;
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
