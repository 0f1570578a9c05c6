import { STATUS_CODE } from "@std/http/status";
import * as v from "valibot";
import { BadRequest } from "../protocol/bad_request.ts";
import type { Moderation } from "../protocol/from_client.ts";
import { FromClientSchema } from "../protocol/from_client_schema.ts";
import { parseUser } from "../protocol/names.ts";
import { moderate } from "../rooms/moderation.ts";
import type { RestrictionKind } from "../store/moderation.ts";
import type { Store } from "../store/store.ts";
import { forbid } from "./admission.ts";
import { parseObject, readBody } from "./body.ts";
import { json, jsonHead } from "./responses.ts";
import { type Need, roomOfPath, type RoomRequest, type Route } from "./route.ts";

/** The most bytes of a body. */
const MAX_BODY_BYTES = 1_024;

const EXAMPLE = '{"seconds":3600}';

const LISTS = [["bans", "banned", "ban"], ["mutes", "muted", "mute"]] as const;

/** Makes the routes for moderators, and for senders who remove their own messages. */
export function moderationRoutes(store: Store): Route[] {
  function route(
    method: Route["method"],
    path: string,
    handle: (request: RoomRequest) => Response | Promise<Response>,
    needs: Need = "moderate",
  ): Route {
    return {
      method,
      path: new RegExp(`^/rooms/([^/]+)/${path}$`),
      needs,
      room: roomOfPath,
      handle,
    };
  }

  return [
    route(
      "DELETE",
      "messages/([^/]+)",
      (request) => respond(store, request, { type: "remove", id: request.segments[1] }),
      "read",
    ),
    route(
      "DELETE",
      "users/([^/]+)",
      (request) => respond(store, request, { type: "kick", user: userOf(request) }),
    ),
    ...LISTS.flatMap(([name, kind, type]) => [
      route("GET", name, (request) => respondList(store, request, name, kind)),
      route("PUT", `${name}/([^/]+)`, async (request) => {
        const given = parseObject(await readBody(request.request, MAX_BODY_BYTES), EXAMPLE);
        return respond(store, request, { ...given, type, user: userOf(request) });
      }),
      route(
        "DELETE",
        `${name}/([^/]+)`,
        (request) => respond(store, request, { type, user: userOf(request), seconds: 0 }),
      ),
    ]),
  ];
}

function userOf({ segments: [, user] }: RoomRequest): string {
  return parseUser(user);
}

/**
 * Does what a moderator asks for.
 *
 * @param given the same as a client would send it in the JSON protocol
 */
async function respond(
  store: Store,
  { room, access }: RoomRequest,
  given: Readonly<Record<string, unknown>>,
): Promise<Response> {
  const { success, output, issues } = v.safeParse(FromClientSchema, given);
  if (!success) throw new BadRequest(`${v.getDotPath(issues[0])}: ${issues[0].message}`);
  if (!await moderate(store, room, access, output as Moderation)) {
    throw forbid("you may not do this");
  }
  return new Response(null, { status: STATUS_CODE.NoContent });
}

/** Lists who is banned or muted. The addresses are shown to nobody. */
async function respondList(
  store: Store,
  { request, room }: RoomRequest,
  name: string,
  kind: RestrictionKind,
): Promise<Response> {
  if (request.method === "HEAD") return jsonHead();
  const users = await store.moderation.listRestricted(kind, room);
  const list = users.map(({ user, by, until }) => ({ user, by, until }));
  return json(JSON.stringify({ [name]: list }));
}
