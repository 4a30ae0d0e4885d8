// What the compiler does not see. Layout is Prettier's, import directions are dependency-cruiser's.
import { builtinModules } from 'node:module';
import eslint from '@eslint/js';
import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

const defaultExport = {
  selector: 'ExportDefaultDeclaration, ExportSpecifier[exported.name="default"]',
  message: 'Export by name: a default export gets another name in every file that imports it.',
};
/** Written to put several properties, or elements, on one line. */
const spreadLiteral = {
  selector: 'SpreadElement > :matches(ObjectExpression, ArrayExpression).argument',
  message: 'Write the properties, or the elements, themselves.',
};
/** Of other people's documents; see src/documents/exact-json.ts. */
const inexactJson = {
  selector: 'MemberExpression[object.name="JSON"][property.name=/^(parse|stringify)$/]',
  message: 'JSON of a cluster, or of a person, keeps its numbers: parseJson and stringifyJson of documents/exact-json.',
};
const environment = {
  selector:
    'MemberExpression[object.name="process"][property.name="env"], ImportDeclaration[source.value=/^(node:)?process$/] ImportSpecifier[imported.name="env"]',
  message: 'Only src/process.ts reads the environment, and hands it on (core/environment.ts).',
};

export default defineConfig(
  { ignores: ['dist/', 'coverage/', '.tap/', 'src/protocol/generated/', '**/*_pb.ts'] },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  {
    files: ['src/**/*.ts', 'test/**/*.ts', 'bench/**/*.ts', 'demo/**/*.ts', 'docs/**/*.ts', 'helm/**/*.ts'],
    extends: [eslint.configs.recommended, tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      'max-lines': ['error', 400],
      'no-restricted-syntax': ['error', defaultExport, environment, spreadLiteral],
      // node:fs, not fs, so that built-in modules and packages cannot be mistaken for each other.
      'no-restricted-imports': ['error', ...builtinModules.filter((name) => !name.startsWith('node:'))],
      eqeqeq: 'error',
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      // `import { type A }` alone keeps an import at run time, which the import directions forbid.
      '@typescript-eslint/no-import-type-side-effects': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],

      // Relaxed, each for a reason.
      // An implementation of an asynchronous interface need not wait for anything itself.
      '@typescript-eslint/require-await': 'off',
      // Numbers and booleans print well; objects, null and undefined stay forbidden.
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      // `() => list.clear()` and `return reject(error)` read well where nothing is returned anyway.
      '@typescript-eslint/no-confusing-void-expression': [
        'error',
        { ignoreArrowShorthand: true, ignoreVoidReturningFunctions: true },
      ],
      // The compiler keeps what it knew of `signal.aborted` across an await, so that the rule calls the check after it
      // needless. It is not.
      '@typescript-eslint/no-unnecessary-condition': 'off',
      // SQL drivers give strings where a row's type says number; Number() is how the store makes the type true.
      '@typescript-eslint/no-unnecessary-type-conversion': 'off',
      // What was caught, and AbortSignal.reason, are `unknown` and are thrown on as they are.
      '@typescript-eslint/only-throw-error': [
        'error',
        { allowRethrowing: true, allowThrowingAny: true, allowThrowingUnknown: true },
      ],
      '@typescript-eslint/prefer-promise-reject-errors': [
        'error',
        { allowThrowingAny: true, allowThrowingUnknown: true },
      ],
    },
  },
  {
    // What the browser runs as it is; types are comments.
    files: ['src/gateway/console/client/**/*.js'],
    extends: [eslint.configs.recommended, tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      'max-lines': ['error', 400],
      'no-restricted-syntax': ['error', defaultExport, spreadLiteral],
      eqeqeq: 'error',
      // The compiler knows the browser's globals; ESLint would need them listed.
      'no-undef': 'off',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
    },
  },
  {
    files: ['src/**/*.ts'],
    rules: {
      'max-lines-per-function': ['error', 120],
      'no-console': 'error',
      'no-restricted-properties': [
        'error',
        {
          object: 'Date',
          property: 'now',
          message:
            'Somebody may set the wall clock: measure with performance.now(), and take times that are told from `now` of the options.',
        },
      ],
    },
  },
  {
    // What is told, or compared with times of others: the clock that the gateway hands on, certificates, tokens, members.
    files: [
      'src/gateway/gateway.ts',
      'src/gateway/tls/renewal.ts',
      'src/discovery/{membership,static}.ts',
      'src/store/migrations/examination.ts',
      'src/command-line/flags.ts',
      'src/kubernetes/{kept-credentials,oidc}.ts',
      'src/commands/doctor/{identities,spinnaker,tls}.ts',
    ],
    rules: { 'no-restricted-properties': 'off' },
  },
  {
    files: [
      'src/agent/{kubernetes,watching}/**/*.ts',
      'src/client/**/*.ts',
      'src/gateway/caching/**/*.ts',
      'src/kubernetes/**/*.ts',
    ],
    rules: { 'no-restricted-syntax': ['error', defaultExport, environment, spreadLiteral, inexactJson] },
  },
  {
    files: ['src/process.ts'],
    rules: { 'no-restricted-syntax': ['error', defaultExport, spreadLiteral] },
  },
  {
    files: ['test/**/*.ts', 'bench/**/*.ts', 'demo/**/*.ts', 'docs/**/*.ts', 'helm/**/*.ts'],
    rules: {
      'no-restricted-syntax': ['error', defaultExport],
      // tap runs a test() or t.test() that nobody awaits in its turn, and reports its failure itself.
      '@typescript-eslint/no-floating-promises': [
        'error',
        { allowForKnownSafePromises: [{ from: 'package', package: '@tapjs/core', name: 'PromiseWithSubtest' }] },
      ],
      // A test may say what it knows to be there: it fails where it is wrong.
      '@typescript-eslint/no-non-null-assertion': 'off',
      // Numbers that an enum does not name are what protobuf's open enums are tested with.
      '@typescript-eslint/no-unsafe-enum-assignment': 'off',
      // Set-up functions return objects with short methods, which tests take apart.
      '@typescript-eslint/unbound-method': 'off',
      // Doubles implement interfaces with methods that do nothing.
      '@typescript-eslint/no-empty-function': 'off',
    },
  },
);
