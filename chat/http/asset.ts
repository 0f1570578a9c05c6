import { gzipSync } from "node:zlib";
import { eTag, ifNoneMatch } from "@std/http/etag";
import { acceptsEncodings } from "@std/http/negotiation";
import { STATUS_CODE } from "@std/http/status";
import { makeBody } from "./unread_response.ts";

/** A text that is served as it is. */
export interface Asset {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The same, compressed. */
  readonly gzipped: Uint8Array<ArrayBuffer>;
  readonly headers: Readonly<Record<string, string>>;
}

/** The browser keeps it, but asks each time whether it is still the same. */
export const ASK_EACH_TIME = { "cache-control": "no-cache" };

/** The browser keeps it for a year, and does not ask. */
export const KEEP = { "cache-control": "public, max-age=31536000, immutable" };

const TYPES: Readonly<Record<string, string>> = {
  css: "text/css; charset=utf-8",
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  map: "application/json",
  svg: "image/svg+xml",
  webmanifest: "application/manifest+json",
};

/**
 * Makes an asset.
 *
 * @param name the name of its file, whose extension gives its type
 * @param headers how it may be cached, and others
 */
export async function makeAsset(
  name: string,
  text: string,
  headers: Readonly<Record<string, string>>,
): Promise<Asset> {
  const bytes = new TextEncoder().encode(text);
  return {
    bytes,
    // Once, and not for each response: `automaticCompression` would compress each one anew.
    gzipped: new Uint8Array(gzipSync(bytes, { level: 9 })),
    headers: {
      "content-type": TYPES[name.split(".").at(-1)!],
      // Weak, because the compressed text has the same tag.
      etag: await eTag(bytes, { weak: true }),
      vary: "accept-encoding",
      "x-content-type-options": "nosniff",
      ...headers,
    },
  };
}

/** Responds with an asset, or with 304 if the client has it already. */
export function respondAsset(request: Request, { bytes, gzipped, headers }: Asset): Response {
  if (!ifNoneMatch(request.headers.get("if-none-match"), headers.etag)) {
    return new Response(null, { status: STATUS_CODE.NotModified, headers });
  }
  const isCompressed = request.headers.has("accept-encoding") &&
    acceptsEncodings(request, "gzip", "identity") === "gzip";
  const body = isCompressed ? gzipped : bytes;
  return new Response(request.method === "HEAD" ? null : makeBody(body), {
    headers: {
      ...headers,
      "content-length": `${body.length}`,
      ...isCompressed ? { "content-encoding": "gzip" } : {},
    },
  });
}
