/**
 * Definitions of dynamic accounts: the options of `kubernetes.accounts[]`, and the source of the kubeconfig. The
 * database keeps references as they are and the text of a kubeconfig sealed; answers show neither of the texts.
 */

import { GatewayError } from '../../core/errors.js';
import { readKubeconfig } from './kubeconfig/content.js';
import type { KubeconfigProviders } from './kubeconfig/providers.js';
import { parseReference, type Reference } from './kubeconfig/reference.js';
import { isSealed, type Sealer } from './kubeconfig/sealer.js';

export type Definition = Readonly<Record<string, unknown>>;

/** Options with a kubeconfig. The first one that is set wins: the one for agents before that of Clouddriver. */
const kubeconfigOptions = ['kubeconfigAgent', 'kubeconfigContents', 'kubeconfigFile'] as const;

/** The data that an agent needs to serve an account. */
export interface OpenDefinition {
  readonly kubeconfig: string | undefined;
  readonly kubeconfigFile: string | undefined;
  /** JSON of the other options. */
  readonly options: string;
  /** Replaces secrets of the kubeconfig in an agent's messages. */
  readonly redact: (text: string) => string;
}

export class Definitions {
  readonly #sealer: Sealer;
  readonly #providers: KubeconfigProviders;

  constructor(sealer: Sealer, providers: KubeconfigProviders) {
    this.#sealer = sealer;
    this.#providers = providers;
  }

  /**
   * The form for the database.
   * @throws GatewayError `invalid-argument` naming the option below `field`
   */
  seal(account: string, definition: Definition, field: string): string {
    const { requiredGroupMembership: groups } = definition;
    if (Array.isArray(groups) && groups.length > 0) {
      const name = `${field}.requiredGroupMembership`;
      const message = `${name}: has no effect here; write these groups as permissions: {READ: [...], WRITE: [...]}`;
      throw new GatewayError('invalid-argument', message, { field: name, account });
    }
    const sealed = Object.entries(definition).map(([option, value]): [string, unknown] => {
      if (!isKubeconfigOption(option) || typeof value !== 'string') return [option, value];
      return [option, this.#sealed(account, option, value, `${field}.${option}`)];
    });
    return JSON.stringify(Object.fromEntries([...sealed, ['name', account]]));
  }

  /**
   * A function that changes the options of a stored definition; a new kubeconfig replaces the old one.
   * @throws as seal()
   */
  change(account: string, changed: Definition, field: string): (stored: string | undefined) => string {
    const sealed = parsed(this.seal(account, changed, field));
    const replaces = Object.keys(sealed).some(isKubeconfigOption);
    return (stored) => {
      const kept = Object.entries(parsed(stored)).filter(([option]) => !replaces || !isKubeconfigOption(option));
      return JSON.stringify({ ...Object.fromEntries(kept), ...sealed });
    };
  }

  /**
   * The form for an agent, with the kubeconfig.
   * @throws GatewayError whose message says what is missing, without secrets
   */
  async open(account: string, stored: string | undefined, signal: AbortSignal): Promise<OpenDefinition> {
    const definition = parsed(stored);
    const options = Object.fromEntries(Object.entries(definition).filter(([option]) => !isKubeconfigOption(option)));
    const rest = { options: JSON.stringify(options), kubeconfigFile: undefined, kubeconfig: undefined };
    const [option] = kubeconfigOptions.filter((each) => typeof definition[each] === 'string');
    if (option === undefined) {
      if (definition['serviceAccount'] === true) return { ...rest, redact: (text) => text };
      throw new GatewayError('invalid-argument', 'the definition names neither a kubeconfig nor a serviceAccount');
    }
    const value = definition[option] as string;
    const reference = isSealed(value) ? undefined : parseReference(value);
    if (reference === undefined && isPath(value)) return { ...rest, kubeconfigFile: value, redact: (text) => text };
    try {
      const text = reference === undefined ? this.#opened(value, account) : await this.#read(reference, signal);
      const { text: kubeconfig, redact } = readKubeconfig(text);
      return { ...rest, kubeconfig, redact };
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error;
      throw new GatewayError(error.code, `${option}: ${error.message}`, { cause: error });
    }
  }

  /** For answers: references and paths as they are, kubeconfigs as `***`. */
  masked(stored: string | undefined): Definition {
    return Object.fromEntries(
      Object.entries(parsed(stored)).map(([option, value]) => [
        option,
        isKubeconfigOption(option) && typeof value === 'string' && !isShown(value) ? '***' : value,
      ]),
    );
  }

  #sealed(account: string, option: string, value: string, field: string): string {
    try {
      if (isSealed(value)) throw new GatewayError('invalid-argument', 'expected a kubeconfig or a reference to one');
      if (parseReference(value) !== undefined) return value;
      if (option !== 'kubeconfigContents' && isPath(value)) return value;
      readKubeconfig(value);
      return this.#sealer.seal(value, account);
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error;
      throw new GatewayError('invalid-argument', `${field}: ${error.message}`, { field, account });
    }
  }

  /** Definitions of Armory's plugin are not sealed. */
  #opened(value: string, account: string): string {
    return isSealed(value) ? this.#sealer.open(value, account) : value;
  }

  #read(reference: Reference, signal: AbortSignal): Promise<string> {
    switch (reference.kind) {
      case 'file':
        return this.#providers.file.read(reference, signal);
      case 'env':
        return this.#providers.env.read(reference, signal);
      case 'k8s':
        return this.#providers.k8s.read(reference, signal);
    }
  }
}

function isKubeconfigOption(option: string): boolean {
  return (kubeconfigOptions as readonly string[]).includes(option);
}

function parsed(stored: string | undefined): Definition {
  try {
    const value: unknown = JSON.parse(stored ?? '{}');
    return typeof value === 'object' && value !== null ? (value as Definition) : {};
  } catch {
    return {};
  }
}

/** On the agent's machine. */
function isPath(value: string): boolean {
  return /^[~/.][^\n]*$/u.test(value);
}

function isShown(value: string): boolean {
  if (isSealed(value)) return false;
  try {
    return parseReference(value) !== undefined || isPath(value);
  } catch {
    return false;
  }
}
