/**
 * The secrets by which servers know that several connections belong to the same user, so that a new
 * one takes the name over from a former one at once.
 *
 * @module
 */
import { lockForPage } from "./page_lock.ts";

/** Where a page keeps what a reload must not lose: `sessionStorage`. */
export interface SecretStorage {
  /** Returns what is stored under a key, `null` if there is nothing. */
  getItem(key: string): string | null;
  /** Stores something under a key. */
  setItem(key: string, value: string): void;
}

/** What is stored, as the end of its key. */
const SECRET = "";
const UNSENT = " unsent";

const SUBPROTOCOL = /^secret\.(\d{16,})\.(\d+)$/;

/** The secrets of this page. They are kept after a client is closed: the next one may be near. */
const secrets = new Map<string, NameSecret>();

/** Returns the one secret of a page for a user in a room of some servers. */
export function secretOf(
  servers: readonly URL[],
  room: string,
  user: string,
  storage: SecretStorage | undefined,
): NameSecret {
  const hrefs = servers.map(({ href }) => href).sort();
  const key = `deno-redis-chat ${JSON.stringify([...hrefs, room, user])}`;
  let secret = secrets.get(key);
  if (!secret) secrets.set(key, secret = new NameSecret(key, storage));
  return secret;
}

/** Makes up to 40 digits that nobody can guess, also in a page that was loaded over plain HTTP. */
export function makeRandomId(): string {
  return crypto.getRandomValues(new BigUint64Array(2)).join("");
}

/** A secret that all clients of a page share which use the same name. */
export class NameSecret {
  /** The client that has the name or is about to get it: the newest one that is not closed. */
  client: object | undefined;
  readonly #key: string;
  readonly #storage: SecretStorage | undefined;
  readonly #secret: Promise<string>;
  /** Whether this page was reloaded, and its tab is not a duplicate. */
  #isReload = false;
  #attempt = 0;

  /**
   * Makes a secret, or takes the one that a storage has.
   *
   * @param key the key in the storage
   */
  constructor(key: string, storage: SecretStorage | undefined) {
    this.#key = key;
    this.#storage = storage;
    this.#secret = this.#restore();
  }

  /** Returns a subprotocol for the next attempt to connect. The server prefers later attempts. */
  async nextSubprotocol(): Promise<string> {
    const secret = await this.#secret;
    this.#attempt = Math.max(this.#attempt + 1, Date.now());
    const subprotocol = `secret.${secret}.${this.#attempt}`;
    this.#write(SECRET, subprotocol);
    return subprotocol;
  }

  /** Returns what this page stored before it was reloaded; `""` if it was not. */
  async readUnsent(): Promise<string> {
    await this.#secret;
    return this.#isReload ? this.#read(UNSENT) : "";
  }

  /** Stores what a client has not sent yet. */
  storeUnsent(unsent: string): void {
    // What is there already must not be taken for what is unsent now.
    if (!this.#write(UNSENT, unsent)) this.#write(UNSENT, "");
  }

  async #restore(): Promise<string> {
    const [, stored, attempt] = SUBPROTOCOL.exec(this.#read(SECRET)) ?? [];
    if (stored && await lockForPage(stored)) {
      this.#isReload = true;
      this.#attempt = Number(attempt);
      return stored;
    }
    const secret = makeRandomId();
    lockForPage(secret, true);
    return secret;
  }

  #read(what: string): string {
    try {
      return this.#storage?.getItem(this.#key + what) ?? "";
    } catch {
      return "";
    }
  }

  /** Returns whether it is stored: it may be too much, or the browser may not allow it. */
  #write(what: string, value: string): boolean {
    try {
      this.#storage?.setItem(this.#key + what, value);
      return true;
    } catch {
      return false;
    }
  }
}
