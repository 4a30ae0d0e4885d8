/**
 * A file whose changes take effect at once: tokens, keys and policies change while the gateway runs. It is read every
 * two seconds, like TLS files; an invalid file changes nothing, and the log says so once.
 */

import { readFile } from 'node:fs/promises';
import { GatewayError, messageOf } from '../../core/errors.js';
import type { Logger } from '../../core/logger.js';
import { repeat } from '../../core/repeat.js';

const checkMs = 2_000;

export class ReloadedFile<Content> {
  readonly setting: string;
  readonly #path: string;
  readonly #parse: (text: string) => Content;
  readonly #listeners = new Set<() => void>();
  #text: string;
  #content: Content;

  private constructor(setting: string, path: string, parse: (text: string) => Content, text: string) {
    this.setting = setting;
    this.#path = path;
    this.#parse = parse;
    this.#text = text;
    this.#content = parse(text);
  }

  /**
   * @param setting the key that names the file, for errors
   * @param parse throws an Error in words, without secrets of the file
   * @throws GatewayError `configuration` naming the setting
   */
  static async open<Content>(
    setting: string,
    path: string,
    parse: (text: string) => Content,
  ): Promise<ReloadedFile<Content>> {
    try {
      return new ReloadedFile(setting, path, parse, await readFile(path, 'utf8'));
    } catch (error) {
      const message = `${setting}: ${path} cannot be used: ${messageOf(error)}`;
      throw new GatewayError('configuration', message, { field: setting, cause: error });
    }
  }

  get current(): Content {
    return this.#content;
  }

  /** Calls the listener after each change. */
  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** Reads it again and again until the signal aborts; never rejects. */
  async run(logger: Logger, signal: AbortSignal): Promise<void> {
    const { setting } = this;
    let refused: string | undefined;
    const failed = (error: unknown): void => {
      const reason = messageOf(error);
      if (reason !== refused)
        logger.error({ setting, error: reason }, 'file changed and cannot be used; keeping the old content');
      refused = reason;
    };
    await repeat({ pauseMs: () => checkMs, failed }, signal, async () => {
      const text = await readFile(this.#path, 'utf8');
      if (text === this.#text) {
        refused = undefined;
        return;
      }
      this.#content = this.#parse(text);
      this.#text = text;
      refused = undefined;
      logger.info({ setting }, 'file changed; its new content is in effect');
      for (const listener of this.#listeners) listener();
    });
  }
}
