/**
 * The client as plain JavaScript modules, for pages that import `/client.js`. Each of its files is
 * served as it is, without its types; there is no build.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { stripTypeScriptTypes } from "node:module";
import { STATUS_CODE } from "@std/http/status";
import chatError from "../client/chat_error.ts" with { type: "text" };
import chatEvents from "../client/chat_events.ts" with { type: "text" };
import client from "../client/client.ts" with { type: "text" };
import iterateMessages from "../client/iterate_messages.ts" with { type: "text" };
import leave from "../client/leave.ts" with { type: "text" };
import nameSecret from "../client/name_secret.ts" with { type: "text" };
import pageLock from "../client/page_lock.ts" with { type: "text" };
import sendQueue from "../client/send_queue.ts" with { type: "text" };
import servers from "../client/servers.ts" with { type: "text" };
import badRequest from "../protocol/bad_request.ts" with { type: "text" };
import closeCodes from "../protocol/close_codes.ts" with { type: "text" };
import ids from "../protocol/ids.ts" with { type: "text" };
import names from "../protocol/names.ts" with { type: "text" };
import tokenBucket from "../protocol/token_bucket.ts" with { type: "text" };
import utf8 from "../protocol/utf8.ts" with { type: "text" };
import { bounded } from "./responses.ts";
import type { Route } from "./route.ts";

/** The TypeScript source of each module by its path. Nothing else can be read. */
const CLIENT_SOURCES: Readonly<Record<string, string>> = {
  "/client.js": 'export * from "./client/client.ts";\n',
  "/client/chat_error.js": chatError,
  "/client/chat_events.js": chatEvents,
  "/client/client.js": client,
  "/client/iterate_messages.js": iterateMessages,
  "/client/leave.js": leave,
  "/client/name_secret.js": nameSecret,
  "/client/page_lock.js": pageLock,
  "/client/send_queue.js": sendQueue,
  "/client/servers.js": servers,
  "/protocol/bad_request.js": badRequest,
  "/protocol/close_codes.js": closeCodes,
  "/protocol/ids.js": ids,
  "/protocol/names.js": names,
  "/protocol/token_bucket.js": tokenBucket,
  "/protocol/utf8.js": utf8,
};

/** A module as it is served. */
export interface Module {
  readonly javaScript: string;
  readonly etag: string;
}

/** The client's modules by their paths. */
export const CLIENT_MODULES: ReadonlyMap<string, Module> = compile(CLIENT_SOURCES);

/**
 * Makes JavaScript of TypeScript.
 *
 * @param sources the source of each module by its path, in erasable syntax: no enums, namespaces or
 * parameter properties; imports are relative and end with `.ts`
 */
export function compile(sources: Readonly<Record<string, string>>): Map<string, Module> {
  return new Map(
    Object.entries(sources).map(([path, source]) => {
      const javaScript = stripTypeScriptTypes(source)
        .replaceAll(/^(.*\bfrom "\.{1,2}\/[^"]+)\.ts";$/gm, '$1.js";');
      const etag = `"${createHash("sha256").update(javaScript).digest("base64url")}"`;
      return [path, { javaScript, etag }];
    }),
  );
}

/** Makes the routes that serve the client. */
export function moduleRoutes(): Route[] {
  return [...CLIENT_MODULES].map(([path, module]) => ({
    method: "GET",
    path: new RegExp(`^${RegExp.escape(path)}$`),
    needs: "nothing",
    handle: ({ request }) => respondModule(request, module),
  }));
}

/** Responds with a module, or with 304 if the client has it already. */
function respondModule(request: Request, { javaScript, etag }: Module): Response {
  // `no-cache`: the browser keeps it, but asks each time whether it is still the same.
  const headers = { etag, "cache-control": "no-cache" };
  const known = request.headers.get("if-none-match")?.split(",") ?? [];
  if (known.some((tag) => tag.trim().replace(/^W\//, "") === etag)) {
    return new Response(null, { status: STATUS_CODE.NotModified, headers });
  }
  return bounded(javaScript, { ...headers, "content-type": "text/javascript; charset=utf-8" });
}
