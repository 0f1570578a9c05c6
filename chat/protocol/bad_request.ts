/** A request that cannot be answered; the message is one line that says what is wrong and what would be right. */
export class BadRequest extends Error {
  /** Always `"BadRequest"`. */
  override name = "BadRequest";
}
