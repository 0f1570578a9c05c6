import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { NameSecret, secretOf, type SecretStorage } from "../../chat/client/name_secret.ts";

/** Splits a subprotocol into secret and attempt. */
async function next(secret: NameSecret): Promise<[secret: string, attempt: number]> {
  const [, text, attempt] = /^secret\.([\w-]{16,64})\.([1-9]\d*)$/
    .exec(await secret.nextSubprotocol())!;
  return [text, Number(attempt)];
}

function makeStorage(value: string | null = null): SecretStorage & { value: string | null } {
  return {
    value,
    getItem(key) {
      assertEquals(key, "key");
      return this.value;
    },
    setItem(_key, value) {
      this.value = value;
    },
  };
}

Deno.test("clients of the same servers, room and user share a secret, others do not", async () => {
  const [a, b] = [new URL("http://a.example/"), new URL("http://b.example/")];
  const secret = secretOf([a, b], "red", "foo", undefined);
  assertEquals(secretOf([b, a], "red", "foo", undefined), secret);
  const others = [
    secretOf([a], "red", "foo", undefined),
    secretOf([a, b], "blue", "foo", undefined),
    secretOf([a, b], "red", "bar", undefined),
  ];
  const texts = await Promise.all([secret, ...others].map(async (one) => (await next(one))[0]));
  assertEquals(new Set(texts).size, 4);
});

Deno.test("each attempt is later than the one before", async () => {
  const secret = new NameSecret("key", undefined);
  const attempts = await Promise.all(Array.from({ length: 10 }, () => next(secret)));
  const [[text, first]] = attempts;
  assertEquals(attempts, attempts.map((_, i) => [text, Math.max(first + i, attempts[i][1])]));
  assertEquals(new Set(attempts.map(([, attempt]) => attempt)).size, 10);
});

Deno.test("a reloaded page has the same secret, and its attempts are later", async () => {
  const storage = makeStorage();
  const [text] = await next(new NameSecret("key", storage));
  const [sameText, attempt] = await next(new NameSecret("key", storage));
  assertEquals(sameText, text);
  const { now } = Date;
  Date.now = () => now() - 3_600_000;
  try {
    assertEquals(await next(new NameSecret("key", storage)), [text, attempt + 1]);
  } finally {
    Date.now = now;
  }
});

for (const value of ["", "secret.short.1", "secret.0123456789abcdef.x", "secret..", "{}"]) {
  Deno.test(`a stored ${JSON.stringify(value)} is replaced by a secret`, async () => {
    const storage = makeStorage(value);
    const [text] = await next(new NameSecret("key", storage));
    assert(storage.value?.startsWith(`secret.${text}.`));
  });
}

Deno.test("a secret is kept in memory if the browser allows no storage", async () => {
  function refuse(): never {
    throw new DOMException("access is denied", "SecurityError");
  }
  const secret = new NameSecret("key", { getItem: refuse, setItem: refuse });
  const [text, attempt] = await next(secret);
  const [sameText, later] = await next(secret);
  assert(later > attempt);
  assertEquals(sameText, text);
  assertNotEquals(text, (await next(new NameSecret("key", undefined)))[0]);
});
