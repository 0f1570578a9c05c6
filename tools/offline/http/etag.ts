/** Stand-in for `@std/http/etag`: tags of contents, and whether a client has one already. */

/** The options of {@linkcode eTag}. */
export interface ETagOptions {
  /** The algorithm of the digest; by default SHA-256. */
  algorithm?: AlgorithmIdentifier;
  /** Whether the tag is weak; by default it is not. */
  weak?: boolean;
}

const encoder = new TextEncoder();

/** Calculates the tag of a content. */
export async function eTag(
  entity: string | Uint8Array,
  { algorithm = "SHA-256", weak = false }: ETagOptions = {},
): Promise<string> {
  const bytes = typeof entity === "string" ? encoder.encode(entity) : new Uint8Array(entity);
  const digest = new Uint8Array(await crypto.subtle.digest(algorithm, bytes));
  const tag = `${bytes.length.toString(16)}-${digest.toBase64().slice(0, 27)}`;
  return weak ? `W/"${tag}"` : `"${tag}"`;
}

/**
 * Tells whether none of the tags in a request's `If-None-Match` is that of the content: then the
 * response has a body. Tags are the same whether they are weak or not.
 */
export function ifNoneMatch(value: string | null, etag: string | undefined): boolean {
  if (!value || !etag) return true;
  if (value.trim() === "*") return false;
  const strong = (tag: string) => tag.startsWith("W/") ? tag.slice(2) : tag;
  return !value.split(/\s*,\s*/).map(strong).includes(strong(etag));
}
