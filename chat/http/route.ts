import type { Access } from "../auth/access.ts";
import type { AddressBudget } from "../limits/address_budgets.ts";
import { parseRoom } from "../protocol/names.ts";
import type { RequestBody } from "./request_body.ts";

/** A request with what the server knows of it. */
export interface RouteRequest {
  readonly request: Request;
  readonly body: RequestBody;
  /** The URL of the request. */
  readonly url: URL;
  /** The groups of the route's path. */
  readonly segments: readonly string[];
  /** The client's address. */
  readonly client: AddressBudget;
}

/** A request that was admitted to a room. */
export interface RoomRequest extends RouteRequest {
  /** The room's name. */
  readonly room: string;
  /** What the client may do. */
  readonly access: Access;
  /** Checks it again: meanwhile the token may have expired, or the user been banned. */
  readonly admitAgain: () => Promise<Access>;
}

/** What a client must be allowed to do in a room. */
export type Need = "read" | "publish" | "moderate";

/**
 * Finds out what a client may do in a room: for joins and for every HTTP route alike.
 *
 * @throws {Refused} if the client may not do what the route needs
 */
export type Admission = (request: RouteRequest, need: Need, room: string) => Promise<Access>;

interface RouteOfPath {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  /** Matches the whole path, still percent-encoded; its groups are the segments. */
  readonly path: RegExp;
  /** Tells whether it is for a request, where a later route has the same path and method. */
  readonly isFor?: (request: Request) => boolean;
}

/** A route that gives nothing of a room. */
interface OpenRoute extends RouteOfPath {
  readonly needs: "nothing";
  /** Whether it is for those who run the server, and is never refused for a limit. */
  readonly isProbe?: boolean;
  readonly handle: (request: RouteRequest) => Response | Promise<Response>;
}

/** A route for clients that may do something in a room. */
interface RoomRoute extends RouteOfPath {
  readonly needs: Need;
  /** Finds the room's name in a request; throws {@linkcode BadRequest} if there is no valid one. */
  readonly room: (request: RouteRequest) => string;
  readonly handle: (request: RoomRequest) => Response | Promise<Response>;
}

/** One entry of the table of routes. A `GET` route responds to `HEAD` too. */
export type Route = OpenRoute | RoomRoute;

/** Makes a route whose path is `/rooms/{room}/` and a pattern. */
export function routeInRoom(
  method: RoomRoute["method"],
  pattern: string,
  needs: Need,
  handle: RoomRoute["handle"],
): RoomRoute {
  const path = new RegExp(`^/rooms/([^/]+)/${pattern}$`);
  return { method, path, needs, room: ({ segments: [room] }) => parseRoom([room]), handle };
}
