import { assertEquals } from "@std/assert";
import { SETTINGS } from "../../chat/config/settings.ts";
import { findUnknownVariables } from "../../chat/config/unknown_variables.ts";

function advice(name: string, value = "secret"): string | undefined {
  const [line] = findUnknownVariables({ [name]: value });
  return line?.replace(`${name} is not a setting and is ignored. `, "");
}

Deno.test("findUnknownVariables() names the right setting for a misspelt one", () => {
  assertEquals(findUnknownVariables({ REDIS_HSOT: "redis.example" }), [
    "REDIS_HSOT is not a setting and is ignored. Did you mean REDIS_HOST?",
  ]);
  for (
    const [wrong, right] of [
      ["REDIS_HOSTS", "REDIS_HOST"],
      ["redis_host", "REDIS_HOST"],
      ["REDIS_PASWORD", "REDIS_PASSWORD"],
      ["REDIS_URI", "REDIS_URL"],
      ["CHAT_STOER", "CHAT_STORE"],
      ["MAX_MESAGE_BYTE", "MAX_MESSAGE_BYTES"],
      ["MAX_BUFFERD_BYTES", "MAX_BUFFERED_BYTES"],
      ["HISTORY_LIMITS", "HISTORY_LIMIT"],
      ["IDLE_SECOND", "IDLE_SECONDS"],
    ]
  ) assertEquals(advice(wrong), `Did you mean ${right}?`, wrong);
});

Deno.test("findUnknownVariables() knows the names that other programs use", () => {
  assertEquals(advice("REDIS_PORT", "6379"), "Put the port into REDIS_HOST: REDIS_HOST=host:port");
  assertEquals(
    advice("REDIS_DB", "1"),
    "Put the database into REDIS_URL: REDIS_URL=redis://host:port/database",
  );
  assertEquals(advice("REDIS_USER"), "Did you mean REDIS_USERNAME?");
  assertEquals(advice("REDIS_SSL"), "Did you mean REDIS_TLS?");
});

Deno.test("findUnknownVariables() reports each variable, and shows no value", () => {
  const lines = findUnknownVariables({ REDIS_PASS: "secret", REDIS_PORT: "1", PORT: "80" });
  assertEquals(lines.length, 2);
  assertEquals(lines.join().includes("secret"), false);
});

Deno.test("findUnknownVariables() accepts every setting, and empty variables", () => {
  const settings = Object.keys(SETTINGS).map((name) => [name, "x"]);
  assertEquals(findUnknownVariables({ ...Object.fromEntries(settings), REDIS_HSOT: "" }), []);
});

Deno.test("findUnknownVariables() accepts what Kubernetes and Docker set for a service", () => {
  assertEquals(
    findUnknownVariables({
      REDIS_SERVICE_HOST: "10.0.0.7",
      REDIS_SERVICE_PORT: "6379",
      REDIS_SERVICE_PORT_REDIS: "6379",
      REDIS_PORT: "tcp://10.0.0.7:6379",
      REDIS_PORT_6379_TCP: "tcp://10.0.0.7:6379",
      REDIS_PORT_6379_TCP_PROTO: "tcp",
      REDIS_PORT_6379_TCP_PORT: "6379",
      REDIS_PORT_6379_TCP_ADDR: "10.0.0.7",
      REDIS_NAME: "/chat/redis",
      REDIS_ENV_REDIS_VERSION: "7.0.15",
      REDIS_MASTER_SERVICE_HOST: "10.0.0.8",
      CHAT_SERVICE_HOST: "10.0.0.9",
      CHAT_PORT: "tcp://10.0.0.9:8080",
      CHAT_STORE_PORT: "tcp://10.0.0.9:8080",
      KUBERNETES_PORT: "tcp://10.0.0.1:443",
      KUBERNETES_SERVICE_HOST: "10.0.0.1",
    }),
    [],
  );
});

Deno.test("findUnknownVariables() accepts what shells, services and platforms set", () => {
  const names =
    "HOME HOSTNAME HOSTTYPE HOSTS PORTS POST SORT SPORT WORKER WORKER_ID WORKERS_COUNT " +
    "PWD OLDPWD PATH USER LOGNAME LANG LC_ALL TERM SHELL SHLVL TMPDIR MAIL EDITOR _ PS1 " +
    "HISTFILE HISTSIZE HISTFILESIZE HISTCONTROL TMOUT IFS UID host port http_proxy NO_PROXY " +
    "LISTEN_FDS INVOCATION_ID JOURNAL_STREAM MAINPID NOTIFY_SOCKET XDG_RUNTIME_DIR SSH_CLIENT " +
    "DENO_DIR DENO_CERT NO_COLOR NODE_ENV CI GITHUB_TOKEN GITHUB_REF_NAME RUNNER_OS " +
    "REDIS_VERSION REDIS_DOWNLOAD_URL REDIS_DOWNLOAD_SHA REDIS_SENTINELS REDIS_PREFIX REDIS_TTL " +
    "DATABASE_URL DATABASE_HOST POSTGRES_HOST RABBITMQ_URL CHAT_ID DYNO WEB_CONCURRENCY " +
    "WEBSITE_HOSTNAME WEBSITES_PORT APPSETTING_PORT CONTAINER_APP_NAME MAX_MEMORY IDLE_TIMEOUT " +
    "npm_config_cache constructor toString __proto__";
  for (const name of names.split(" ")) assertEquals(advice(name), undefined, name);
});
