/**
 * Opens the page without a network, with the files of the version that was the last one to be
 * opened with it. The server writes the two constants below before the code.
 *
 * @module
 */

/** Where the files of this version are; it changes with each of them. */
declare const FOLDER: string;

/** Their paths below it, `index.html` among them. */
declare const FILES: readonly string[];

interface WaitingEvent extends Event {
  waitUntil(promise: Promise<unknown>): void;
}

interface FetchEvent extends WaitingEvent {
  readonly request: Request;
  respondWith(response: Promise<Response>): void;
}

declare const self: EventTarget & {
  readonly clients: { claim(): Promise<void> };
  skipWaiting(): Promise<void>;
};

/** The addresses of the page: everything else goes to the server as if there were no worker. */
const PAGE = /^\/(?:r\/.*|chat(?:\/.*)?)?$/;

self.addEventListener("install", (event) => {
  self.skipWaiting();
  // The browser has these already: they come out of its HTTP cache.
  const fill = async () => (await caches.open(FOLDER)).addAll(FILES.map((file) => FOLDER + file));
  (event as WaitingEvent).waitUntil(fill());
});

self.addEventListener("activate", (event) => {
  const takeOver = async () => {
    const old = (await caches.keys()).filter((name) => name !== FOLDER);
    await Promise.all(old.map((name) => caches.delete(name)));
    await self.clients.claim();
  };
  (event as WaitingEvent).waitUntil(takeOver());
});

self.addEventListener("fetch", (event) => {
  const { request } = event as FetchEvent;
  const { pathname } = new URL(request.url);
  if (request.mode === "navigate" && PAGE.test(pathname)) {
    (event as FetchEvent).respondWith(openPage(request));
  } else if (pathname.startsWith(FOLDER)) (event as FetchEvent).respondWith(readFile(request));
});

/** The server is asked first: nobody gets an old page while there is a new one. */
async function openPage(request: Request): Promise<Response> {
  const response = await fetch(request).catch(() => undefined);
  // A proxy answers with 502 to 504 while the server is away.
  if (response && response.status < 502) return response;
  return await caches.match(`${FOLDER}index.html`) ?? response ?? Response.error();
}

async function readFile(request: Request): Promise<Response> {
  return await caches.match(request) ?? await fetch(request);
}

export {};
