import { cleanWords } from "../../chat/store/redis/incidents.ts";
import { assertEquals } from "@std/assert";

Deno.test("what Redis says is the same whatever script it stopped, and has no user's text", () => {
  const words = "OOM command not allowed when used memory > 'maxmemory'.";
  const inProbe = `@user_script: 26: -${words}\r\n`;
  for (
    const message of [
      words,
      `${words} script: 3ad8a8, on @user_script:34.`,
      inProbe,
      `ERR Error running script (call to f_3ad8a8): @user_script:26: ${inProbe}`,
    ]
  ) {
    assertEquals(cleanWords(message), words);
  }
  assertEquals(
    cleanWords("ERR unknown command 'xadd', with args beginning with: 'a secret' "),
    "ERR unknown command 'xadd'",
  );
});
