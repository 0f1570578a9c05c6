/**
 * One room: what its client tells is shown, and what the user does is told to its client.
 *
 * @module
 */
import { ChatClient } from "../chat/client/client.ts";
import type {
  ChatError,
  ChatEventMap,
  Message,
  StateChange,
  UnsentMessage,
  Welcome,
} from "../chat/client/client.ts";
import { currentToken } from "./address.ts";
import { load, notify } from "./attention.ts";
import { Composer, isTouchOnly } from "./composer.ts";
import { h } from "./dom.ts";
import { mentions } from "./message_view.ts";
import type { MenuContext } from "./moderation.ts";
import { People } from "./people.ts";
import { tab } from "./settings.ts";
import { type Connection, describeError, makeStateLine } from "./state_line.ts";
import { announce, isInOtherTab, takeFromOtherTab } from "./tabs.ts";
import { listNames, text } from "./texts.ts";
import { Timeline } from "./timeline.ts";

/** Who typed is shown for so long. */
const TYPING_MS = 5_000;

/** So many of those who type are named. */
const TYPING_NAMES = 3;

/** How often what depends on the clock is shown again. */
const RENDER_MS = 500;

/** How long the form waits for the server. */
const JOIN_TIMEOUT_MS = 2_000;

/** How long to wait before the list of users is read again, when that failed, or it is wrong. */
const READ_AGAIN_MS = 5_000;

/** What a conversation tells the page. */
export interface ConversationHandlers {
  /** The unread messages, or the count of users, changed. */
  onChange(): void;
  /** The user wants to see this room. */
  onOpen(): void;
  /** The user wants to join this room with another name. */
  onChooseName(): void;
}

/** A message that was sent, and is not delivered back yet. */
interface Sent {
  readonly text: string;
  /** Its id, once it is acknowledged. */
  id?: string;
  /** Why it was not sent. */
  failure?: string;
}

/** A user in a room, until {@linkcode Conversation.leave}. */
export class Conversation {
  readonly room: string;
  readonly user: string;
  readonly element: HTMLElement;
  readonly people: People;
  /** How many messages of others arrived and were not seen, and how many of them are mentions. */
  unread = 0;
  mentions = 0;
  readonly #handlers: ConversationHandlers;
  readonly #timeline: Timeline;
  readonly #composer: Composer;
  readonly #stateLine = makeStateLine({
    now: () => {
      this.#chat.reconnect();
      this.focus();
    },
    tryAgain: () => this.#connectAgain(),
    comeBack: () => this.#connectAgain(),
    useHere: () => this.#useHere(),
    chooseName: () => this.#handlers.onChooseName(),
  });
  readonly #typingLine = h("p", { class: "typing" });
  #chat!: ChatClient;
  /** Aborted when the client is not listened to any more. */
  #listening = new AbortController();
  #connection!: Connection;
  #stopAnnouncing = () => {};
  #canModerate = false;
  #canPublish = true;
  /** The room's newest message when the user joined: what comes later is unread. */
  #newestAtJoin: string | undefined;
  /** Until when each user who typed is shown, in milliseconds since 1970. */
  readonly #typing = new Map<string, number>();
  /** Who joined (`true`) or left while the list of users is being read. */
  #changes = new Map<string, boolean>();
  #knowsPeople = false;
  /** By `ref`. */
  readonly #sent = new Map<string, Sent>();
  #clock: ReturnType<typeof setTimeout> | undefined;

  /**
   * Joins a room.
   *
   * @throws {TypeError} in the server's words, if a name is invalid
   */
  constructor(room: string, user: string, handlers: ConversationHandlers) {
    this.room = room;
    this.user = user.normalize("NFC");
    this.#handlers = handlers;
    const onUser = async (user: string, anchor: HTMLElement) => {
      (await loadModeration())?.openUserMenu(user, anchor, this.#menuContext(user));
    };
    this.people = new People({ self: this.user, onUser });
    this.#timeline = new Timeline({
      room,
      self: this.user,
      loadOlder: (before) => this.#chat.history({ before }),
      onRead: () => this.#onRead(),
      onUser,
      hasMessageMenu: ({ user }) =>
        currentToken() !== undefined && (this.#canModerate || user === this.user),
      onMessageMenu: async (message, anchor) => {
        const context = this.#menuContext(message.user);
        (await loadModeration())?.openMessageMenu(message, anchor, context);
      },
      onRetry: (ref) => this.#retry(ref),
      onDiscard: (ref) => this.#forget(ref),
    });
    this.#composer = new Composer({
      onSend: (text) => this.#send(text),
      onTyping: () => this.#chat.typing(),
    }, room);
    this.element = h(
      "section",
      { class: "conversation", hidden: true },
      this.#timeline.element,
      this.#typingLine,
      this.#stateLine.element,
      this.#composer.element,
    );
    this.#connect();
    this.#restoreFailed();
  }

  /**
   * Resolves when the user is in the room, with an error if that is refused. If the server cannot
   * be reached, it resolves all the same soon.
   */
  joined(): Promise<ChatError | void> {
    return new Promise((resolve) => {
      this.#chat.ready.then(() => resolve(), resolve);
      setTimeout(resolve, JOIN_TIMEOUT_MS);
    });
  }

  /** Shows this room, or hides it because another one is shown. */
  show(isShown: boolean): void {
    if (!isShown && !this.element.hidden) this.#timeline.markUnread();
    this.element.hidden = !isShown;
    this.#timeline.show(isShown);
  }

  /** Puts the focus into the message box, but on a phone, whose keyboard hides what one reads. */
  focus(): void {
    if (!isTouchOnly.matches) this.#composer.focus();
    // The box may be disabled.
    if (this.element.contains(document.activeElement)) return;
    const action = this.#stateLine.element.querySelector("button");
    action ? action.focus() : this.#timeline.focus();
  }

  /** Remembers where the user stopped reading, because the page is not visible any more. */
  onHidden(): void {
    if (!this.element.hidden) this.#timeline.markUnread();
  }

  /** Is right again at once after the page slept, or the network came or went. */
  wake(): void {
    if (this.#connection.state !== "closed") this.#chat.reconnect();
    this.#render();
  }

  /** Leaves the room for good. Resolves when the name is free. */
  async leave(): Promise<void> {
    this.#listening.abort();
    this.#stopAnnouncing();
    clearTimeout(this.#clock);
    this.element.remove();
    await this.#chat.close();
  }

  /** Connects; again after the client has closed, and then resumes where it was. */
  #connect(): void {
    const since = this.#chat?.position;
    const chat = new ChatClient(location.origin, this.user, {
      room: this.room,
      ...since === undefined ? { history: 50 } : { since },
      storage: storageOfTab(),
      ...currentToken() === undefined ? {} : { token: () => currentToken()! },
    });
    this.#listening.abort();
    const { signal } = this.#listening = new AbortController();
    this.#chat = chat;
    this.#connection = { user: this.user, state: "connecting", reason: "" };
    this.#render();
    function on<K extends keyof ChatEventMap>(
      type: K,
      listener: (detail: ChatEventMap[K]["detail"]) => void,
    ): void {
      chat.addEventListener(type, ({ detail }) => listener(detail), { signal });
    }
    on("state", (change) => this.#onState(change));
    on("welcome", (welcome) => this.#onWelcome(welcome));
    on("restored", (unsent) => unsent.forEach((each) => this.#follow(each)));
    on("message", (message) => this.#onMessage(message));
    on("gap", () => this.#timeline.addGap());
    on("removed", ({ id, by }) => this.#timeline.remove(id, by));
    on("notice", (notice) => this.#timeline.addNotice(notice.text));
    on("joined", (joined) => this.#onPresence(joined));
    on("left", (left) => this.#onPresence(left));
    on("typing", ({ user }) => {
      this.#typing.set(user, Date.now() + TYPING_MS);
      this.#render();
    });
    on("kicked", ({ user, by }) => this.#timeline.addNotice(text("kickedOther", { user, by })));
    on("banned", ({ user, by, until }) => {
      this.#timeline.addNotice(text(until > 0 ? "bannedOther" : "unbannedOther", { user, by }));
    });
    on("muted", ({ user, by, until }) => {
      this.#timeline.addNotice(text(until > 0 ? "mutedOther" : "unmutedOther", { user, by }));
      if (user === this.user) this.#setConnection({ mutedUntil: until });
    });
  }

  #onWelcome(welcome: Welcome): void {
    const { last, canModerate, canPublish, mutedUntil, maxMessageBytes } = welcome;
    this.#newestAtJoin ??= last;
    this.#connection = { ...this.#connection, mutedUntil };
    this.#canModerate = canModerate ?? false;
    this.#canPublish = canPublish ?? true;
    this.#composer.setLimit(maxMessageBytes);
    this.#stopAnnouncing();
    this.#stopAnnouncing = announce(this.room, this.user, () => this.#letGo());
    this.#timeline.onWelcome();
    this.#readPeople();
    this.#render();
  }

  async #onState({ state, reason, error, retryAt }: StateChange): Promise<void> {
    this.#setConnection({ state, reason, error, retryAt });
    if (state !== "closed") return;
    this.#stopAnnouncing();
    if (error?.code !== "name_taken" || !await isInOtherTab(this.room, this.user)) return;
    if (this.#connection.error === error) this.#setConnection({ isInOtherTab: true });
  }

  #setConnection(changes: Partial<Connection>): void {
    this.#connection = { ...this.#connection, ...changes };
    this.#render();
  }

  /** Leaves the room to another tab. */
  async #letGo(): Promise<void> {
    this.#listening.abort();
    this.#stopAnnouncing();
    await this.#chat.close();
    this.#setConnection({ state: "closed", isInOtherTab: true });
  }

  async #useHere(): Promise<void> {
    this.#setConnection({ state: "connecting" });
    await takeFromOtherTab(this.room, this.user);
    // The user may have left the room meanwhile.
    if (this.element.isConnected) this.#connectAgain();
  }

  #connectAgain(): void {
    this.#connect();
    // The button that was pressed is gone.
    this.focus();
  }

  #onMessage(message: Message): void {
    const { id, user, ref, text } = message;
    if (ref !== undefined && user === this.user) this.#delete(ref);
    // Ids begin with a time, and history comes first.
    const isNew = parseInt(id) > parseInt(this.#newestAtJoin!);
    if (this.#timeline.add(message, isNew) && isNew && user !== this.user) {
      const isMention = mentions(text, this.user);
      this.unread++;
      if (isMention) this.mentions++;
      notify({ user, text, room: this.room, isMention }, () => this.#handlers.onOpen());
    }
    this.#dropDelivered();
    if (this.#typing.delete(user)) this.#render();
    this.#handlers.onChange();
  }

  #onRead(): void {
    if (this.unread === 0) return;
    this.unread = this.mentions = 0;
    this.#handlers.onChange();
  }

  #onPresence(
    { type, user, users }: {
      readonly type: "joined" | "left";
      readonly user: string;
      /** How many users are in the room, after one has joined. */
      readonly users?: number;
    },
  ): void {
    const isHere = type === "joined";
    this.#changes.set(user, isHere);
    if (!isHere && this.#typing.delete(user)) this.#render();
    if (!this.#knowsPeople) return;
    isHere ? this.people.add(user) : this.people.delete(user);
    this.#timeline.addPresence(type, user);
    this.#handlers.onChange();
    // Nobody is told who joined or left while the server was cut off from its store.
    if (users !== undefined && users !== this.people.count) this.#readPeopleLater();
  }

  #readPeopleLater(): void {
    const changes = this.#changes, chat = this.#chat;
    setTimeout(() => {
      if (this.#changes === changes && chat.state === "connected") this.#readPeople();
    }, READ_AGAIN_MS);
  }

  /** Reads who is here. Until then, joins and leaves are no news. */
  async #readPeople(): Promise<void> {
    this.#knowsPeople = false;
    const changes = this.#changes = new Map();
    let users: Set<string>;
    try {
      users = new Set(await this.#chat.users());
    } catch {
      if (this.#changes === changes) this.#readPeopleLater();
      return;
    }
    // Another welcome came, and the list is read again.
    if (this.#changes !== changes) return;
    for (const [user, isHere] of changes) isHere ? users.add(user) : users.delete(user);
    this.people.set(users);
    this.#knowsPeople = true;
    this.#handlers.onChange();
  }

  #send(text: string): void {
    const id = this.#chat.send(text);
    // What is refused at once is not among them, and has no ref.
    const unsent = this.#chat.unsent.find((unsent) => unsent.id === id);
    this.#follow(unsent ?? { ref: `refused-${Math.random()}`, text, id });
    this.#timeline.scrollToNewest();
  }

  /** Shows a message as pending until it is delivered, and tells if that fails. */
  #follow({ ref, text: words, id }: UnsentMessage): void {
    const sent: Sent = { text: words };
    this.#sent.set(ref, sent);
    this.#timeline.addPending(ref, words);
    id.then((id) => {
      sent.id = id;
      this.#dropDelivered();
    }, (error: ChatError) => {
      // If it is not there any more, it was delivered.
      if (this.#sent.get(ref) !== sent) return;
      const isListening = error.code === "forbidden" && this.#chat.state === "connected";
      this.#fail(ref, words, isListening ? text("listenOnly") : describeError(error, this.user));
    });
  }

  #fail(ref: string, text: string, failure: string): void {
    this.#sent.set(ref, { text, failure });
    this.#timeline.fail(ref, failure);
    this.#storeFailed();
  }

  #retry(ref: string): void {
    const text = this.#sent.get(ref)?.text;
    this.#forget(ref);
    if (text !== undefined) this.#send(text);
  }

  #forget(ref: string): void {
    this.#timeline.drop(ref);
    this.#delete(ref);
  }

  #delete(ref: string): void {
    const hadFailed = this.#sent.get(ref)?.failure !== undefined;
    this.#sent.delete(ref);
    if (hadFailed) this.#storeFailed();
  }

  /** Drops what was acknowledged with an id that has passed: it is in the history. */
  #dropDelivered(): void {
    const position = parseInt(this.#chat.position ?? "");
    for (const [ref, { id }] of this.#sent) if (parseInt(id ?? "") < position) this.#forget(ref);
  }

  #storeFailed(): void {
    const failed = [...this.#sent].filter(([, { failure }]) => failure !== undefined);
    tab.set(this.#failedKey, failed.length === 0 ? undefined : JSON.stringify(failed));
  }

  #restoreFailed(): void {
    const stored: [string, Required<Sent>][] = JSON.parse(tab.get(this.#failedKey) ?? "[]");
    for (const [ref, { text, failure }] of stored) {
      this.#timeline.addPending(ref, text);
      this.#fail(ref, text, failure);
    }
  }

  get #failedKey(): string {
    return `failed ${this.room}`;
  }

  #menuContext(user: string): MenuContext {
    return {
      room: this.room,
      self: this.user,
      canModerate: this.#canModerate,
      token: currentToken,
      mention: () => {
        this.#handlers.onOpen();
        this.#composer.insert(`@${user} `);
      },
    };
  }

  /** Shows what depends on the clock, and again after a second if it will change. */
  #render(): void {
    clearTimeout(this.#clock);
    const now = Date.now();
    for (const [user, until] of this.#typing) if (until <= now) this.#typing.delete(user);
    const names = [...this.#typing.keys()].slice(0, TYPING_NAMES);
    const more = this.#typing.size - names.length;
    const key = this.#typing.size === 1 ? "typingOne" : "typingMany";
    this.#typingLine.textContent = names.length > 0
      ? text(key, { names: listNames(names, more) })
      : "";
    this.#stateLine.show(this.#connection);
    const { state, retryAt, mutedUntil = 0 } = this.#connection;
    const canWrite = this.#canPublish && mutedUntil <= now;
    this.#composer.setState(state === "closed" ? "closed" : canWrite ? "ready" : "listen-only");
    if (names.length === 0 && retryAt === undefined && mutedUntil <= now) return;
    this.#clock = setTimeout(() => this.#render(), RENDER_MS);
  }
}

function loadModeration(): Promise<typeof import("./moderation.ts") | undefined> {
  return load(import("./moderation.ts"));
}

/** Even to name the storage may throw. */
function storageOfTab(): Storage | undefined {
  try {
    return globalThis.sessionStorage;
  } catch {
    return undefined;
  }
}
