import { assertEquals } from "@std/assert";
import { findClientAddress, isForwarded } from "../../chat/limits/client_address.ts";

const PROXY = "198.51.100.7";

function find(trustedProxies: number, ...headers: [string, string][]): string {
  return findClientAddress(PROXY, new Headers(headers), trustedProxies);
}

const xff = (value: string): [string, string] => ["X-Forwarded-For", value];
const forwarded = (value: string): [string, string] => ["Forwarded", value];

Deno.test("without proxies, a client's address is the peer's, whatever headers say", () => {
  assertEquals(find(0, xff("192.0.2.1")), PROXY);
  assertEquals(find(0, forwarded("for=192.0.2.1")), PROXY);
});

Deno.test("a client's address is the n-th from the right of X-Forwarded-For", () => {
  assertEquals(find(1, xff("10.0.0.1, 192.0.2.1")), "192.0.2.1");
  assertEquals(find(2, xff("10.0.0.1,192.0.2.1 ,203.0.113.9")), "192.0.2.1");
  assertEquals(find(2, xff("10.0.0.1"), xff("192.0.2.1"), xff("203.0.113.9")), "192.0.2.1");
  assertEquals(find(1, xff("192.0.2.1:5312")), "192.0.2.1");
  assertEquals(find(1, xff("192.0.2.1"), forwarded("for=192.0.2.2")), "192.0.2.1");
});

Deno.test("otherwise a client's address is the n-th from the right of Forwarded", () => {
  assertEquals(find(1, forwarded("for=10.0.0.1, for=192.0.2.1;proto=https;by=x")), "192.0.2.1");
  assertEquals(find(1, forwarded('proto=http; For="192.0.2.1:80"')), "192.0.2.1");
  assertEquals(find(1, forwarded('for="[2001:db8:cafe::17]:4711"')), "2001:db8:cafe::/64");
  assertEquals(
    find(2, forwarded("for=192.0.2.1"), forwarded('for="_a,b;for=10.0.0.1"')),
    "192.0.2.1",
  );
});

Deno.test("what no proxy can have added is not believed", () => {
  assertEquals(find(2, xff("192.0.2.1")), PROXY, "fewer entries than proxies");
  const garbage = ["unknown", "_hidden", "", " , ", "192.0.2", "192.0.2.256", "1.2.3.4:x", "[::1"];
  for (const value of garbage) {
    assertEquals(find(1, xff(value)), PROXY, value);
    assertEquals(find(1, forwarded(`for="${value}"`)), PROXY, value);
  }
  for (
    const value of ["for=", "fort=192.0.2.1", 'for="192.0.2.1', "by=192.0.2.1", '"for=1.2.3.4"']
  ) {
    assertEquals(find(1, forwarded(value)), PROXY, value);
  }
});

Deno.test("a header of 64 KiB without an end of its quote is read in linear time", () => {
  for (const value of ['"\\"', '\\"', 'for="', ";for=", "for=x ;", ","]) {
    const header = `"${value.repeat(65_536 / value.length)}\\`;
    assertEquals(find(1, forwarded(header)), PROXY);
    assertEquals(find(1, xff(header)), PROXY);
  }
});

Deno.test("the addresses of one IPv6 /64 are one, and a mapped IPv4 address is IPv4", () => {
  const cases = {
    "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64",
    "2001:DB8:1:2::": "2001:db8:1:2::/64",
    "2001:0db8::6": "2001:db8::/64",
    "1::": "1::/64",
    "::1": "::/64",
    "fe80::1%eth0": "fe80::/64",
    "::ffff:192.0.2.1": "192.0.2.1",
    "::FFFF:c000:201": "192.0.2.1",
    "[::ffff:192.0.2.1]:80": "192.0.2.1",
    "64:ff9b::192.0.2.1": "64:ff9b::/64",
  };
  for (const [given, expected] of Object.entries(cases)) {
    assertEquals(findClientAddress(given, new Headers(), 0), expected, given);
    assertEquals(find(1, xff(given)), expected, given);
  }
});

Deno.test("a peer without an address keeps its name", () => {
  assertEquals(findClientAddress("", new Headers(), 1), "");
});

Deno.test("a request is forwarded if it has either header", () => {
  assertEquals([[], [xff("x")], [forwarded("")]].map((all) => isForwarded(new Headers(all))), [
    false,
    true,
    true,
  ]);
});
