/** The Dockerfile of the project. */
export const dockerfile = await Deno.readTextFile(new URL("../../Dockerfile", import.meta.url));

/** The command that the image runs, without `deno` at its start. */
export const imageCommand: string[] = JSON.parse(/^CMD (.+)$/m.exec(dockerfile)![1]);

/** The command of the image's health check. */
export const healthCheck: string[] = JSON.parse(/^HEALTHCHECK .*CMD (.+)$/m.exec(dockerfile)![1]);
