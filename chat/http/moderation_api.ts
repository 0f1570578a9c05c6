import { STATUS_CODE } from "@std/http/status";
import type { Moderation } from "../protocol/from_client.ts";
import { parseUser } from "../protocol/names.ts";
import type { Hub } from "../rooms/hub.ts";
import type { RestrictionKind } from "../store/moderation.ts";
import type { Store } from "../store/store.ts";
import { forbid } from "./admission.ts";
import { checkFields, parseObject, readBody } from "./body.ts";
import type { Charge } from "./charge.ts";
import { json, jsonHead } from "./responses.ts";
import { type RoomRequest, type Route, routeInRoom } from "./route.ts";

/** The most bytes of a body. */
const MAX_BODY_BYTES = 1_024;

const EXAMPLE = '{"seconds":3600}';

const LISTS = [["bans", "banned", "ban"], ["mutes", "muted", "mute"]] as const;

/** Makes the routes for moderators, and for senders who remove their own messages. */
export function moderationRoutes(hub: Hub, store: Store, charge: Charge): Route[] {
  /** Does what a moderator asks for; the fields are those of a line of the JSON protocol. */
  async function act(request: RoomRequest, fields: object, bodyBytes = 0): Promise<Response> {
    const action = checkFields(fields) as Moderation;
    charge(request, bodyBytes, action.type === "remove");
    if (!await hub.moderate(request.room, request.access, action)) {
      throw forbid("you may not do this");
    }
    return new Response(null, { status: STATUS_CODE.NoContent });
  }

  return [
    routeInRoom(
      "DELETE",
      "messages/([^/]+)",
      "read",
      (request) => act(request, { type: "remove", id: request.segments[1] }),
    ),
    routeInRoom(
      "DELETE",
      "users/([^/]+)",
      "moderate",
      (request) => act(request, { type: "kick", user: userOf(request) }),
    ),
    ...LISTS.flatMap(([name, kind, type]) => [
      routeInRoom("GET", name, "moderate", (request) => list(store, request, name, kind)),
      routeInRoom("PUT", `${name}/([^/]+)`, "moderate", async (request) => {
        const body = await readBody(request, MAX_BODY_BYTES);
        const fields = { ...parseObject(body, EXAMPLE), type, user: userOf(request) };
        return await act(request, fields, body.length);
      }),
      routeInRoom(
        "DELETE",
        `${name}/([^/]+)`,
        "moderate",
        (request) => act(request, { type, user: userOf(request), seconds: 0 }),
      ),
    ]),
  ];
}

function userOf({ segments: [, user] }: RoomRequest): string {
  return parseUser(user);
}

/** Lists who is banned or muted. The addresses are shown to nobody. */
async function list(
  store: Store,
  { request, room }: RoomRequest,
  name: string,
  kind: RestrictionKind,
): Promise<Response> {
  if (request.method === "HEAD") return jsonHead();
  const users = await store.moderation.listRestricted(kind, room);
  return json(
    JSON.stringify({ [name]: users.map(({ user, by, until }) => ({ user, by, until })) }),
  );
}
