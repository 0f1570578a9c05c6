import { accepts } from "@std/http/negotiation";
import { STATUS_CODE } from "@std/http/status";
import { parseRoom } from "../protocol/names.ts";
import { respondAsset } from "./asset.ts";
import type { Page } from "./make_page.ts";
import { plain, refuse } from "./responses.ts";
import type { Route } from "./route.ts";
import { asksForWebSocket } from "./upgrade.ts";

/** The script that helps a page of another version to find its files. */
const LOAD_AGAIN = "load_again.js";

/**
 * Makes the routes of the page and of the client. To `/`, `/r/{room}` and `/chat/{user}` the server
 * responds with the page if HTML is preferred, whatever the names are: the page says what is wrong.
 *
 * @param load makes the page, once; called when it is asked for
 */
export function pageRoutes(load: () => Promise<Page>): Route[] {
  function assetRoute(path: RegExp, name: "index" | "serviceWorker" | "client"): Route {
    return {
      method: "GET",
      path,
      needs: "nothing",
      handle: async ({ request }) => respondAsset(request, (await load())[name]),
    };
  }
  return [
    { ...assetRoute(/^\/(?:r\/.*|chat(?:\/.*)?)?$/, "index"), isFor: prefersHtml },
    {
      method: "GET",
      path: /^\/$/,
      needs: "nothing",
      handle: ({ request }) => respondProgram(request, "you are good to go!"),
    },
    {
      method: "GET",
      path: /^\/r\/(.*)$/,
      needs: "nothing",
      handle({ request, segments: [room] }) {
        const line = `browsers join here, WebSocket clients at /chat/{user}?room=${
          parseRoom([room])
        }`;
        return respondProgram(request, `${line}\n`);
      },
    },
    assetRoute(/^\/client\.js$/, "client"),
    assetRoute(/^\/sw\.js$/, "serviceWorker"),
    {
      method: "GET",
      path: /^\/web\/([^/]+)\/(.+)$/,
      needs: "nothing",
      async handle({ request, segments: [version, path] }) {
        const { hash, files, maps } = await load();
        const file = version === hash || path === LOAD_AGAIN
          ? files.get(path) ?? maps.get(path)
          : undefined;
        if (file) return respondAsset(request, file);
        return refuse(STATUS_CODE.NotFound, "the page has another version now: reload it");
      },
    },
  ];
}

/** Responds to who does not prefer HTML, where the page is for browsers. */
function respondProgram(request: Request, line: string): Response {
  return asksForWebSocket(request)
    ? refuse(STATUS_CODE.NotFound, "WebSocket clients join at /chat/{user}?room={room}")
    : plain(STATUS_CODE.OK, line, { vary: "accept" });
}

function prefersHtml(request: Request): boolean {
  return !asksForWebSocket(request) &&
    accepts(request, "text/plain", "text/html") === "text/html";
}
