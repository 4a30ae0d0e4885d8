/** The command lines of `ops send`, `ops get`, `ops list` and `ops watch`. */

import { readFile } from 'node:fs/promises';
import { addAbortSignal } from 'node:stream';
import { text as readAll } from 'node:stream/consumers';
import { command, type Argument, type Command, type CommandIo } from '../command-line/command.js';
import {
  choice,
  file,
  repeated,
  required,
  seconds,
  text,
  time,
  whole,
  type Flags,
  type FlagValues,
} from '../command-line/flags.js';
import { UsageError } from '../command-line/usage-error.js';
import { messageOf } from '../core/errors.js';
import { accountFlag, gatewayFlags, maxSeconds, type GatewayFlags } from './flags.js';
import { manifestOf, objectReference, operationBody, patchOf, wholeOperation } from './operation-body.js';
import type { CommonFields, OperationBody, RequestName } from './operation-body.js';
import * as operations from './operation-commands.js';
import { openSession } from './session.js';

const ulidForm = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/iu;
const defaultWait = 30;
const defaultWatch = 300;

const sending = {
  id: {
    ...text('a ULID, 26 letters and digits', {
      value: 'ULID',
      help: 'id of the operation; sent twice with one id, it runs once (default: a new id)',
    }),
    read: (given: string) => (ulidForm.test(given) ? given : undefined),
  },
  timeout: seconds(
    { minimum: 1, maximum: maxSeconds },
    { help: 'timeout of the operation (default: that of the gateway)' },
  ),
  wait: seconds(
    { maximum: maxSeconds },
    { help: `time to wait for the result; 0: do not wait, exit with 6 (default ${defaultWait})` },
  ),
  ...gatewayFlags,
};
const account = required(accountFlag, 'which account?');
const namespace = text('a name', { short: 'n', value: 'NAME', help: 'namespace of the object (default: default)' });
const fileFlag = (help: string) => file({ short: 'f', help: `${help}; - is standard input` });
const kind: Argument = { name: 'KIND' };
const name: Argument = { name: 'NAME' };

type Sending = GatewayFlags & CommonFields & { readonly wait?: number | undefined };

async function send(flags: Sending, io: CommandIo, bodyOf: () => OperationBody | Promise<OperationBody>) {
  const { wait = defaultWait } = flags;
  return operations.send(openSession(flags, io, wait), await bodyOf(), wait);
}

/** A request on one object, KIND NAME, with flags of its own. */
function onObject<const F extends Flags>(
  request: RequestName,
  summary: string,
  flags: F,
  fieldsOf: (flags: FlagValues<F>, io: CommandIo) => object | Promise<object>,
): Command {
  return command({
    name: `ops send ${request}`,
    summary,
    arguments: [kind, name],
    flags: { account, namespace, ...flags, ...sending },
    run: ({ words: [kindOf = '', nameOf], flags: all }, io) => {
      const given = all as Sending & FlagValues<F> & { readonly namespace?: string };
      return send(given, io, async () => {
        const object = objectReference(kindOf, given.namespace, nameOf);
        return operationBody(request, given, { object, ...(await fieldsOf(given, io)) });
      });
    },
  });
}

/** A request with a manifest. */
function withManifest(request: 'deploy' | 'run-job', summary: string): Command {
  return command({
    name: `ops send ${request}`,
    summary,
    arguments: [],
    flags: {
      account,
      namespace: { ...namespace, help: 'namespace, if the manifest has none; a manifest with another one is refused' },
      file: required(fileFlag('manifest as YAML or JSON'), `${request} needs a manifest`),
      ...sending,
    },
    run: ({ flags }, io) =>
      send(flags, io, async () => {
        const manifest = manifestOf(await readInput(flags.file, io), request, flags.namespace);
        return operationBody(request, flags, { manifest });
      }),
  });
}

const selector = text('a label selector such as app=web', { short: 'l', value: 'LABELS', help: 'label selector' });
const none = () => ({});

const sendCommands: readonly Command[] = [
  command({
    name: 'ops send',
    summary: 'Send an operation from a file (protobuf JSON, YAML or text format) and wait for its result.',
    arguments: [],
    flags: {
      account: { ...accountFlag, help: 'the account, instead of the one in the file' },
      file: required(fileFlag('the operation'), 'give REQUEST KIND NAME, or a file with a whole operation'),
      ...sending,
    },
    run: ({ flags }, io) => send(flags, io, async () => wholeOperation(await readInput(flags.file, io), flags)),
  }),
  withManifest('deploy', 'Deploy the object in a manifest.'),
  command({
    name: 'ops send delete',
    summary: 'Delete an object.',
    arguments: [kind, name],
    flags: { account, namespace, ...sending },
    run: ({ words: [kindOf = '', nameOf], flags }, io) =>
      send(flags, io, () =>
        operationBody('delete', flags, { object: objectReference(kindOf, flags.namespace, nameOf) }),
      ),
  }),
  command({
    name: 'ops send delete',
    summary: 'Delete the objects that match a label selector.',
    arguments: [kind],
    flags: {
      account,
      namespace,
      selector: required(selector, 'give a NAME, or a selector of the objects to delete'),
      ...sending,
    },
    run: ({ words: [kindOf = ''], flags }, io) =>
      send(flags, io, () =>
        operationBody('delete', flags, {
          object: objectReference(kindOf, flags.namespace),
          labelSelector: flags.selector,
        }),
      ),
  }),
  onObject('get', 'Get an object.', {}, none),
  command({
    name: 'ops send list',
    summary: 'List objects of a kind.',
    arguments: [kind],
    flags: {
      account,
      namespace: { ...namespace, help: 'only this namespace (default: all)' },
      selector,
      ...sending,
    },
    run: ({ words: [kindOf = ''], flags }, io) =>
      send(flags, io, () =>
        operationBody('list', flags, {
          object: objectReference(kindOf, flags.namespace),
          ...(flags.selector === undefined ? {} : { labelSelector: flags.selector }),
        }),
      ),
  }),
  onObject(
    'patch',
    'Change an object by a merge patch.',
    { file: required(fileFlag('patch as YAML or JSON'), 'give the patch to send') },
    async (flags, io) => ({ type: 'TYPE_MERGE', patch: patchOf(await readInput(flags.file, io)) }),
  ),
  onObject(
    'scale',
    'Scale a Deployment or the like.',
    { replicas: required(whole({}, { value: 'N', help: 'number of replicas' }), 'scale to how many?') },
    ({ replicas }) => ({ replicas }),
  ),
  onObject('restart', 'Start the pods of a Deployment or the like anew, one after the other.', {}, none),
  onObject('pause', 'Pause the rollout of a Deployment.', {}, none),
  onObject('resume', 'Resume the rollout of a Deployment.', {}, none),
  onObject('undo', 'Take a Deployment back to the revision before.', {}, none),
  withManifest('run-job', 'Run the Job of a manifest.'),
  onObject(
    'logs',
    'Print the log of a pod.',
    {
      container: text('a name', { short: 'c', value: 'NAME', help: 'the container (default: the only one)' }),
      tail: whole({ minimum: 1 }, { value: 'LINES', help: 'only the last LINES lines' }),
    },
    ({ container, tail }) => ({
      ...(container === undefined ? {} : { container }),
      ...(tail === undefined ? {} : { tailLines: tail }),
    }),
  ),
];

const outcomes = ['pending', 'completed', 'failed', 'timed-out', 'cancelled', 'agent-lost', 'refused'] as const;
const ofAccount = { ...accountFlag, help: 'only this account' };
const operationId: Argument = { name: 'ID', completes: 'operations' };

export const operationCommands: readonly Command[] = [
  ...sendCommands,
  command({
    name: 'ops get',
    summary: 'Show the record of an operation.',
    arguments: [operationId],
    flags: gatewayFlags,
    run: ({ words: [id = ''], flags }, io) => operations.get(openSession(flags, io), id),
  }),
  command({
    name: 'ops list',
    summary: 'List pending and recent operations, newest first.',
    arguments: [],
    flags: {
      account: ofAccount,
      outcome: repeated(
        choice(outcomes, { value: 'OUTCOME', help: `only ${outcomes.join(', ')}; several times for several` }),
      ),
      type: filterText('TYPE', 'only this type: deploy, scale ...; kubernetes-api for requests of the Kubernetes API'),
      kind: filterText('KIND', 'only about objects of this kind: Deployment, deployments'),
      namespace: { ...filterText('NAMESPACE', 'only about objects in this namespace'), short: 'n' },
      name: filterText('NAME', 'only about the object of this name'),
      caller: filterText('CALLER', 'only of this caller, as the records name it'),
      agent: { ...filterText('AGENT', 'only sent to this agent'), completes: 'agents' },
      replica: {
        ...filterText('REPLICA', 'only received by this replica, or sent to an agent by it'),
        completes: 'instances',
      },
      search: filterText('TEXT', 'only with this in the account, the name of the object or the message'),
      since: time({ help: 'started at this time or later: ISO 8601, or an age such as 90s, 10m, 2h, 1d' }),
      until: time({ help: 'started before this time, in the same forms' }),
      items: whole({ minimum: 1, maximum: 500 }, { value: 'N', help: 'records per page, 1 to 500 (default 50)' }),
      page: whole({ maximum: 10_000 }, { value: 'N', help: 'page to show; 0 is the first' }),
      ...gatewayFlags,
    },
    run: ({ flags }, io) => {
      const { since, until, outcome, items, page, type, kind, namespace, name: object, caller, agent, replica } = flags;
      if (since !== undefined && until !== undefined && since >= until)
        throw new UsageError('--until must be later than --since');
      return operations.list(openSession(flags, io), {
        account: flags.account,
        outcome: outcome?.map((word) => word.replace('-', ' ')),
        type,
        kind,
        namespace,
        name: object,
        caller,
        agent,
        replica,
        search: flags.search,
        since: isoOf(since),
        until: isoOf(until),
        items: items?.toString(),
        page: page?.toString(),
      });
    },
  }),
  command({
    name: 'ops watch',
    summary: 'Print operations as they start and end, until Ctrl-C.',
    arguments: [],
    flags: { account: ofAccount, ...gatewayFlags },
    run: ({ flags }, io) => operations.watchAll(openSession(flags, io), flags.account),
  }),
  command({
    name: 'ops watch',
    summary: 'Wait until an operation has ended.',
    arguments: [operationId],
    flags: {
      wait: seconds({ maximum: maxSeconds }, { help: `time to wait (default ${defaultWatch})` }),
      ...gatewayFlags,
    },
    run: ({ words: [id = ''], flags }, io) =>
      operations.watchOne(openSession(flags, io), id, flags.wait ?? defaultWatch),
  }),
];

function filterText(value: string, help: string) {
  return text('a value that is not empty', { value, help });
}

function isoOf(time: number | undefined): string | undefined {
  return time === undefined ? undefined : new Date(time).toISOString();
}

/** @param file - is standard input. @throws UsageError, or the reason of the signal */
async function readInput(file: string, { stdin, signal }: CommandIo): Promise<string> {
  try {
    return await (file === '-' ? readAll(addAbortSignal(signal, stdin)) : readFile(file, 'utf8'));
  } catch (error) {
    signal.throwIfAborted();
    throw new UsageError(`--file: ${messageOf(error)}`);
  }
}
