import { assert } from "@std/assert";

/** The promise of the README. */
const MAX_BYTES = 6 * 1024;

Deno.test("the client is below 6 KB, minified and gzipped", async () => {
  const client = new URL("../../chat/client/client.ts", import.meta.url).pathname;
  const { stdout, success } = await new Deno.Command(Deno.execPath(), {
    args: ["bundle", "--quiet", "--minify", "--platform=browser", client],
    stderr: "inherit",
  }).output();
  assert(success);
  const gzipped = new Blob([stdout]).stream().pipeThrough(new CompressionStream("gzip"));
  const { byteLength } = await new Response(gzipped).arrayBuffer();
  assert(stdout.byteLength > 5_000 && byteLength < MAX_BYTES, `${byteLength} bytes`);
});
