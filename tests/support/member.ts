import { ANYONE } from "../../chat/auth/access.ts";
import type { Member } from "../../chat/rooms/member.ts";

/** What the members of most tests have: nobody may moderate. */
export const NO_MODERATION: Pick<Member, "address" | "access" | "onExpelled"> = {
  address: "127.0.0.1",
  access: ANYONE,
  onExpelled() {},
};
