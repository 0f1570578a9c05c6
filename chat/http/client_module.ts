/**
 * The client as one plain JavaScript module, for pages that import `/client.js`.
 *
 * @module
 */
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
import { link } from "./javascript.ts";

/** Makes the client's module. */
export function makeClientModule(): string {
  return link("client/client.ts", {
    "client/chat_error.ts": chatError,
    "client/chat_events.ts": chatEvents,
    "client/client.ts": client,
    "client/iterate_messages.ts": iterateMessages,
    "client/leave.ts": leave,
    "client/name_secret.ts": nameSecret,
    "client/page_lock.ts": pageLock,
    "client/send_queue.ts": sendQueue,
    "client/servers.ts": servers,
    "protocol/bad_request.ts": badRequest,
    "protocol/close_codes.ts": closeCodes,
    "protocol/ids.ts": ids,
    "protocol/names.ts": names,
    "protocol/token_bucket.ts": tokenBucket,
    "protocol/utf8.ts": utf8,
  });
}
