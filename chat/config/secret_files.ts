import type { Environment } from "./settings.ts";

/** The settings that may be in a file, whose path `NAME_FILE` gives. */
const NAMES = ["REDIS_PASSWORD", "REDIS_URL", "AUTH_SECRET"];

/**
 * Reads the secrets that are in files, as Docker and Kubernetes provide them.
 *
 * @param problems gets a line for each file that cannot be used
 * @returns the environment with the secrets; a line break at the end of a file is none of it
 */
export function readSecretFiles(env: Environment, problems: string[]): Environment {
  const secrets: Record<string, string> = {};
  for (const name of NAMES) {
    const path = env[`${name}_FILE`];
    if (!path) continue;
    if (env[name]) problems.push(`${name} and ${name}_FILE are both set: give one of them`);
    const file = `${name}_FILE is ${JSON.stringify(path)}`;
    try {
      secrets[name] = Deno.readTextFileSync(path).replace(/\r?\n$/, "");
      if (secrets[name] === "") problems.push(`${file}, which is empty: put the secret there`);
      // Decoded, other bytes would be another secret, which is of no use and says nothing.
      if (secrets[name].includes("\ufffd")) {
        problems.push(`${file}, which is not text: give the secret in UTF-8, such as in base64`);
      }
    } catch (error) {
      problems.push(`${file}, which cannot be read: ${(error as Error).message}`);
    }
  }
  return { ...env, ...secrets };
}
