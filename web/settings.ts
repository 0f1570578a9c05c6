import { setTimeFormat } from "./texts.ts";

/** What a user has chosen for all tabs of this browser. */
export interface Settings {
  readonly theme: "auto" | "light" | "dark";
  readonly density: "comfortable" | "compact";
  readonly timeFormat: "auto" | "12" | "24";
  readonly notifications: "off" | "mentions" | "all";
  readonly sound: boolean;
}

/** A storage of the browser that never throws: a browser may forbid it, or have no room. */
export interface SafeStorage {
  get(key: string): string | undefined;
  /** Stores a value; `undefined` deletes it. */
  set(key: string, value: string | undefined): void;
}

/** What all tabs share, and what outlives them. */
export const browser: SafeStorage = makeSafe(() => localStorage);

/** What only this tab has. It outlives a reload. */
export const tab: SafeStorage = makeSafe(() => sessionStorage);

/** Even to name the storage may throw. */
function makeSafe(storage: () => Storage): SafeStorage {
  return {
    get(key) {
      try {
        return storage().getItem(key) ?? undefined;
      } catch {
        return undefined;
      }
    },
    set(key, value) {
      try {
        if (value === undefined) storage().removeItem(key);
        else storage().setItem(key, value);
      } catch {
        // It holds as long as the page.
      }
    },
  };
}

const KEY = "settings";

const DEFAULTS: Settings = {
  theme: "auto",
  density: "comfortable",
  timeFormat: "auto",
  notifications: "off",
  sound: false,
};

/** Has the event `change` after the settings have changed, in this tab or in another one. */
export const settingsChanged = new EventTarget();

/** The settings that hold now. */
export let settings: Settings = read();
apply();

/** Changes some of the settings, for all tabs. */
export function changeSettings(changes: Partial<Settings>): void {
  settings = { ...settings, ...changes };
  browser.set(KEY, JSON.stringify(settings));
  apply();
}

addEventListener("storage", ({ key }) => {
  if (key !== KEY) return;
  settings = read();
  apply();
});

function read(): Settings {
  try {
    return { ...DEFAULTS, ...JSON.parse(browser.get(KEY) ?? "{}") };
  } catch {
    return DEFAULTS;
  }
}

function apply(): void {
  const { theme, density, timeFormat } = settings;
  Object.assign(document.documentElement.dataset, { theme, density });
  setTimeFormat(timeFormat);
  settingsChanged.dispatchEvent(new Event("change"));
}
