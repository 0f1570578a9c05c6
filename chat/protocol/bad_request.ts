/**
 * A request that the server refuses with 400. The message is one line: what is wrong, and what
 * would be right.
 */
export class BadRequest extends Error {
  /** Always `"BadRequest"`. */
  override name = "BadRequest";
}
