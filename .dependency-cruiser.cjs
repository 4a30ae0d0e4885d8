// Who may import whom; the reasons are in docs/decisions/, the table of folders is in docs/architecture.md. Paths are matched as regular expressions.

/** @param {string} name @param {string} comment @param {object} from @param {object} to */
const forbid = (name, comment, from, to) => ({ name, comment, severity: 'error', from, to });

/** A package with all below it. @param {...string} names */
const packages = (...names) => `^node_modules/(@types/)?(${names.join('|')})/`;

const delivery = '^src/gateway/(grpc|rest|console|listeners)/';
const domain = '^src/gateway/(agents|operations|accounts|caching|telemetry|kubernetes-api|spinnaker)/';

/**
 * `folder` imports only itself, node:, other folders of src and packages that are named.
 * @param {string} folder @param {string[]} folders @param {string[]} names
 */
const only = (folder, folders, names) =>
  forbid(
    `${folder}-imports`,
    `src/${folder} imports only node:, itself, ${[...folders, ...names].join(', ') || 'and nothing else'}`,
    { path: `^src/${folder}/` },
    {
      pathNot: [
        ...[folder, ...folders].map((name) => `^src/${name}/`),
        ...(names.length > 0 ? [packages(...names)] : []),
      ],
      dependencyTypesNot: ['core'],
    },
  );

module.exports = {
  forbidden: [
    forbid('no-cycle', 'Modules that need each other are one module.', {}, { circular: true }),
    forbid('resolvable', 'Every import exists.', {}, { couldNotResolve: true }),

    only('core', [], []),
    only('protocol', ['core'], ['@bufbuild/protobuf']),
    only('store', ['core'], ['kysely', 'mysql2', 'pg', '@electric-sql/pglite', 'ioredis', 'pg-protocol', 'pg-types']),
    only('tunnel', ['core', 'protocol'], ['@bufbuild/protobuf', 'undici']),
    only('documents', ['core'], ['lossless-json', 'yaml']),
    only('configuration', ['core', 'documents'], []),
    only('kubernetes', ['core', 'documents'], ['undici']),
    only('discovery', ['core', 'kubernetes'], ['ioredis', 'undici']),
    only(
      'agent',
      ['configuration', 'core', 'documents', 'protocol', 'kubernetes', 'tunnel'],
      ['@grpc/grpc-js', '@bufbuild/protobuf', 'prom-client', 'typebox', 'undici'],
    ),
    only('command-line', ['configuration', 'core'], []),
    only('client', ['command-line', 'core', 'documents', 'protocol'], ['@bufbuild/protobuf', 'ulid', 'undici']),
    only('simulate', ['agent', 'command-line', 'core', 'protocol', 'tunnel'], ['@bufbuild/protobuf', 'undici']),

    only('gateway/peers', ['core', 'protocol', 'discovery', 'tunnel'], ['@bufbuild/protobuf', 'undici']),
    {
      ...forbid(
        'one-way',
        'Two folders of the gateway do not import each other, nor do two of the store.',
        { path: '^src/(gateway|store)/' },
        { circular: true },
      ),
      scope: 'folder',
    },

    forbid(
      'no-test-code',
      'The product does not import tests or benchmarks.',
      { path: '^src/' },
      { path: '^(test|bench|demo)/' },
    ),
    forbid('domain-not-delivery', 'The domain does not know how it is reached.', { path: domain }, { path: delivery }),
    forbid(
      'domain-types-only',
      'The domain gets its store and discovery by constructor, and knows only their types.',
      { path: domain },
      { path: '^src/(store|discovery)/', dependencyTypesNot: ['type-only'] },
    ),
    forbid(
      'composition-root',
      'Only commands put a gateway together.',
      { path: '^src/', pathNot: '^src/(commands|gateway/composition)/|^src/gateway/gateway\\.ts$' },
      { path: '^src/gateway/(gateway\\.ts$|composition/)' },
    ),

    forbid(
      'kysely-in-store',
      'SQL stops at the store.',
      { path: '^src/', pathNot: '^src/store/' },
      { path: packages('kysely') },
    ),
    forbid(
      'jose-in-auth',
      'Tokens stop where identities are made.',
      { path: '^src/', pathNot: '^src/gateway/auth/' },
      { path: packages('jose') },
    ),
    forbid(
      'yaml-in-documents',
      'YAML is read in one way, by documents.',
      { path: '^src/', pathNot: '^src/documents/' },
      { path: packages('yaml') },
    ),
    forbid(
      'fastify-in-rest',
      'Fastify stops at REST and the console.',
      { path: '^src/', pathNot: '^src/gateway/(rest/|console/)' },
      { path: packages('fastify', '@fastify/[^/]+') },
    ),
    forbid(
      'grpc-in-grpc',
      'gRPC stops at its services and the agent.',
      { path: '^src/', pathNot: '^src/(gateway/grpc/|agent/)' },
      { path: packages('@grpc/[^/]+', 'grpc-health-check') },
    ),
    forbid(
      'generated-at-the-edges',
      'Generated messages stop where bytes are read and written.',
      {
        path: '^src/',
        pathNot: '^src/(protocol/|client/text-|gateway/(grpc/|rest/|peers/)|agent/|simulate/)',
      },
      { path: '^src/protocol/generated/' },
    ),
  ],
  options: {
    doNotFollow: { path: '^node_modules/' },
    tsConfig: { fileName: 'tsconfig.json' },
    // Sees type-only imports, which the compiler removes.
    tsPreCompilationDeps: true,
    // node: is resolved by the runtime.
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'types'] },
    detectProcessBuiltinModuleCalls: true,
  },
};
