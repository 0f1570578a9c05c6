import { isIPv4, isIPv6 } from "node:net";

/**
 * Finds the address that a client is known by: an IPv4 address, or the /64 of an IPv6 address, of
 * which one customer of a provider has all. What is forged or malformed never counts: then it is
 * the peer's address.
 *
 * @param peer the address that the connection comes from
 * @param headers the headers of the request
 * @param trustedProxies the number of proxies in front of the server, of which each has added the
 * address that it was connected from to `X-Forwarded-For` or `Forwarded` (RFC 7239)
 *
 * @example
 * ```ts
 * import { findClientAddress } from "./client_address.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const headers = new Headers({ "x-forwarded-for": "10.9.8.7, 192.0.2.1" });
 * assertEquals(findClientAddress("127.0.0.1", headers, 1), "192.0.2.1");
 * assertEquals(findClientAddress("127.0.0.1", headers, 0), "127.0.0.1");
 * assertEquals(findClientAddress("2001:db8::1", headers, 0), "2001:db8::/64");
 * ```
 */
export function findClientAddress(peer: string, headers: Headers, trustedProxies: number): string {
  const forwarded = trustedProxies > 0 ? listForwarded(headers).at(-trustedProxies) : undefined;
  return normalize(forwarded ?? "") ?? normalize(peer) ?? peer;
}

/** Tells whether a proxy, or the client itself, says that the request comes from elsewhere. */
export function isForwarded(headers: Headers): boolean {
  // In Deno, `has` makes the request keep all its headers for as long as its socket lives.
  return headers.get("x-forwarded-for") !== null || headers.get("forwarded") !== null;
}

/** Lists the addresses of a request's way, the client's first; each may have a port. */
export function listForwarded(headers: Headers): string[] {
  const addresses = headers.get("x-forwarded-for");
  if (addresses !== null) return addresses.split(",").map((address) => address.trim());
  // A quote that is not closed goes to the end: this never fails, so it takes linear time.
  const elements = headers.get("forwarded")?.match(/(?:"(?:\\.?|[^"\\])*(?:"|$)|[^,"])+/g) ?? [];
  return elements.map((element) => {
    const [, quoted, token = ""] = /(?:^|;)\s*for=(?:"([^"\\]*)"|([^\s;"]*))\s*(?:;|$)/i
      .exec(element) ?? [];
    return quoted ?? token;
  });
}

function normalize(given: string): string | undefined {
  const [, bracketed, beforePort] = /^(?:\[([^\]]*)\](?::\d+)?|([^:]*):\d+)$/.exec(given) ?? [];
  const address = (bracketed ?? beforePort ?? given).replace(/%.*$/, "");
  if (isIPv4(address)) return address;
  if (!isIPv6(address)) return;
  const groups = groupsOf(address);
  const isMapped = groups.slice(0, 6).join(":") === "0:0:0:0:0:ffff";
  if (!isMapped) return `${canonical(`${groups.slice(0, 4).join(":")}::`)}/64`;
  const [high, low] = groups.slice(6).map((group) => Number.parseInt(group, 16));
  return [high >> 8, high & 255, low >> 8, low & 255].join(".");
}

/** Returns the eight groups of an IPv6 address. */
function groupsOf(address: string): string[] {
  const [head, tail] = canonical(address).split("::")
    .map((part) => part === "" ? [] : part.split(":"));
  if (!tail) return head;
  return [...head, ...Array(8 - head.length - tail.length).fill("0"), ...tail];
}

/** Writes an IPv6 address as RFC 5952 has it. */
function canonical(address: string): string {
  return new URL(`http://[${address}]`).hostname.slice(1, -1);
}
