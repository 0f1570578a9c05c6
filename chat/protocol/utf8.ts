const encoder = new TextEncoder();

/** Returns how many bytes a text has in UTF-8. */
export function byteLength(text: string): number {
  return encoder.encode(text).length;
}

/** Returns how many bytes a text has in UTF-8 as JSON, without the quotes. */
export function jsonByteLength(text: string): number {
  return byteLength(JSON.stringify(text)) - 2;
}

/** Tells whether a text has more than a number of bytes in UTF-8 as JSON, without the quotes. */
export function exceedsJsonBytes(text: string, bytes: number): boolean {
  // A UTF-16 code unit takes one to six bytes, such as "\\u0000".
  return text.length > bytes || text.length * 6 > bytes && jsonByteLength(text) > bytes;
}

/** Tells whether a text has more than a number of bytes in UTF-8. Most texts need no encoding. */
export function exceedsBytes(text: string, bytes: number): boolean {
  // A UTF-16 code unit takes one to three bytes.
  return text.length > bytes || text.length * 3 > bytes && byteLength(text) > bytes;
}
