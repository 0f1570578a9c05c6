import { settings } from "./settings.ts";
import { text } from "./texts.ts";

let title = document.title;
let unreadCount = 0;

/** Sets the title of the tab. */
export function setTitle(newTitle: string): void {
  title = newTitle;
  showTitle();
}

/** Shows in the title how many messages are unread. */
export function showUnread(count: number): void {
  unreadCount = count;
  showTitle();
}

function showTitle(): void {
  document.title = unreadCount > 0 ? `(${unreadCount}) ${title}` : title;
}

/** How long a line of {@linkcode tell} is shown. */
const TELL_MS = 5_000;

let tellTimer: ReturnType<typeof setTimeout> | undefined;

/** Shows one line for a few seconds; screen readers read it aloud. */
export function tell(line: string): void {
  const status = document.getElementById("status")!;
  status.textContent = line;
  clearTimeout(tellTimer);
  tellTimer = setTimeout(() => status.textContent = "", TELL_MS);
}

/**
 * Waits for a module that is loaded when it is needed. Tells the user to reload the page if it does
 * not come: the server may have another version by now, or be away.
 */
export function load<T>(module: Promise<T>): Promise<T | undefined> {
  return module.catch(() => void tell(text("reloadNeeded")));
}

/** A message of someone else. */
export interface HeardMessage {
  readonly user: string;
  readonly text: string;
  readonly room: string;
  readonly isMention: boolean;
}

/** The most characters of a text in a notification. */
const MAX_SHOWN_CHARS = 200;

/**
 * Tells of a message with a notification and a sound, if the user wants that and looks at something
 * else.
 *
 * @param open shows the room of the message; called at a click on the notification
 */
export function notify(message: HeardMessage, open: () => void): void {
  if (!document.hidden && document.hasFocus()) return;
  const { notifications, sound } = settings;
  if (notifications === "mentions" && !message.isMention) return;
  if (sound) playTone();
  if (notifications === "off" || !canNotify() || Notification.permission !== "granted") return;
  const { user, room } = message;
  const notification = new Notification(text("notificationTitle", { user, room }), {
    body: message.text.slice(0, MAX_SHOWN_CHARS),
    tag: room,
  });
  notification.onclick = () => {
    notification.close();
    focus();
    open();
  };
}

/**
 * Tells whether the page can show notifications. On Android a page has the class, but may not use
 * it.
 */
export function canNotify(): boolean {
  return isSecureContext && "Notification" in globalThis && !/Android/.test(navigator.userAgent);
}

/** The shortest time between two sounds. */
const TONE_PAUSE_MS = 2_000;

let tonePlayedAt = -Infinity;
let audio: AudioContext | undefined;

/** Plays two short, quiet notes. */
export async function playTone(): Promise<void> {
  const now = performance.now();
  if (now - tonePlayedAt < TONE_PAUSE_MS) return;
  tonePlayedAt = now;
  audio ??= new AudioContext();
  if (audio.state !== "running") await audio.resume();
  // Until the first click browsers play nothing, and then all of it at once.
  if (now !== tonePlayedAt) return;
  playNote(audio, 660, 0);
  playNote(audio, 880, 0.09);
}

function playNote(context: AudioContext, frequencyHz: number, delaySeconds: number): void {
  const start = context.currentTime + delaySeconds;
  const volume = new GainNode(context, { gain: 0 });
  volume.gain.setTargetAtTime(0.08, start, 0.005);
  volume.gain.setTargetAtTime(0, start + 0.06, 0.06);
  const note = new OscillatorNode(context, { frequency: frequencyHz });
  note.connect(volume).connect(context.destination);
  note.start(start);
  note.stop(start + 0.5);
}
