/**
 * What `npm run check` asks of the three words of the glossary (docs/architecture.md) that once had several meanings: that
 * they are said only in the rooms that deal with what they mean.
 */

import { runStep, sources } from './check-step.js';

interface Word {
  readonly word: string;
  readonly means: string;
  readonly instead: string;
  readonly pattern: RegExp;
  /** Files, or folders with `/` at the end, that deal with what it means. */
  readonly rooms: readonly string[];
  /** Files in which it is a name that others gave: SQL, Kubernetes, a route. */
  readonly others: readonly string[];
  /** Names that others gave, anywhere. */
  readonly names: RegExp;
}

export const words: readonly Word[] = [
  {
    word: 'owner',
    means: "the replica that holds an account's stream",
    instead: 'principal for what an account is bound to, holder for a lock',
    pattern: /owner(?!ship)/iu,
    rooms: [
      'src/core/errors.ts',
      'src/gateway/agents/ownership-reader.ts',
      'src/gateway/agents/ownership.ts',
      'src/gateway/agents/remote-owner.ts',
      'src/gateway/config/',
      'src/gateway/grpc/status.ts',
      'src/gateway/kubernetes-api/',
      'src/gateway/operations/',
      'src/gateway/peers/',
      'src/gateway/rest/cluster.ts',
      'src/gateway/rest/operations.ts',
      'src/gateway/rest/problem.ts',
      'src/gateway/telemetry/',
      'src/store/mirror/ownership-map.ts',
      'src/store/operations/operations.ts',
    ],
    others: [
      'src/agent/kubernetes/',
      'src/simulate/cluster.ts',
      'src/gateway/caching/kubernetes-object.ts',
      'src/gateway/rest/owners.ts',
      'src/store/accounts/principal-statements.ts',
      'src/store/cache/cached-object.ts',
      'src/store/instances/lock-statements.ts',
      'src/store/migrations/',
      'src/store/sql/schema.ts',
      'src/store/sql/tables.ts',
    ],
    names: /kubesvc_owners|ownerReferences|not-owner|owner-unreachable|[oO]wnerRoutes\w*|\.\/owners\.js/gu,
  },
  {
    word: 'peer',
    means: 'another replica',
    instead: 'client, agent, address or the other end',
    pattern: /[pP]eer/u,
    rooms: [
      'src/gateway/agents/caching-assignment/assigner.ts',
      'src/gateway/composition/',
      'src/gateway/kubernetes-api/',
      'src/gateway/operations/results.ts',
      'src/gateway/operations/routing.ts',
      'src/gateway/peers/',
      'src/gateway/telemetry/instance-metrics.ts',
    ],
    others: [],
    names: /[gs]\w+Peer(?:X509)?(?:Certificate)?\b|peerConnections|peerIdleMs|\/peers\/\S*/gu,
  },
  {
    word: 'identity',
    means: 'who an agent or caller has proven to be',
    instead: 'principal for the identity as the policy maps it, agent for what a session registered as',
    pattern: /identit(?:y|ies)/iu,
    rooms: [
      'src/commands/doctor.ts',
      'src/commands/doctor/identities.ts',
      'src/gateway/agents/principal.ts',
      'src/gateway/auth/',
      'src/gateway/composition/',
      'src/gateway/gateway.ts',
      'src/gateway/kubernetes-api/authorization.ts',
      'src/gateway/peers/api-forwarding.ts',
      'src/gateway/rest/authorization.ts',
      'src/store/accounts/principal-statements.ts',
    ],
    others: ['src/store/migrations/', 'src/store/sql/'],
    names: /maxAgentsPerIdentity|verify[-_]identity|\/identity\.js/giu,
  },
];

/**
 * @param sources by path from the project's directory
 * @returns a sentence for each line that says one of the words outside of its rooms
 */
export function wordProblems(sources: ReadonlyMap<string, string>): string[] {
  return words.flatMap(({ word, means, instead, pattern, rooms, others, names }) => {
    const allowed = [...rooms, ...others];
    const isAllowed = (path: string): boolean =>
      allowed.some((room) => (room.endsWith('/') ? path.startsWith(room) : path === room));
    return [...sources]
      .filter(([path]) => !isAllowed(path))
      .flatMap(([path, source]) =>
        source
          .split('\n')
          .flatMap((line, index) =>
            pattern.test(line.replace(names, ''))
              ? [`${path}:${String(index + 1)} says ${word}, which means ${means}: say ${instead}`]
              : [],
          ),
      );
  });
}

runStep(import.meta.url, () => wordProblems(sources(/^src\/(?!protocol\/generated\/).*\.ts$/u)));
