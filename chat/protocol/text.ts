/**
 * The text protocol, for `wscat` and people: one message is one text frame, in both directions.
 *
 * @module
 */
import type { Event, Notice } from "../events.ts";

/** What a user who has joined is told. */
export function welcome(user: string): string {
  return `Welcome ${user}!`;
}

/** What everyone else in the room is told of an event. */
export function line(event: Event | Notice): string {
  switch (event.type) {
    case "message":
      return `${event.user}: ${event.text}`;
    case "joined":
      return `${event.user}: has joined the chat!`;
    case "left":
      return `${event.user}: has left the chat!`;
    case "notice":
      return event.text;
  }
}

/** What a newcomer is told whose name someone else in the room has. */
export function taken(user: string): string {
  return `username ${user} is already taken. please retry with a different name`;
}

/** What a newcomer is told while the store cannot be reached. */
export const UNREACHABLE = "failed to connect. please try again";

/** What a sender is told whose message the store did not take. */
export const NOT_DELIVERED = "message not delivered. please try again";

/** What a sender is told when the store's answer was lost, and so it may or may not have taken the message. */
export const MAYBE_DELIVERED = "message may not have been delivered";
