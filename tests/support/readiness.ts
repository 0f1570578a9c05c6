import type { Instance } from "./instance.ts";
import { until } from "./wait.ts";

/** Requests a path of an instance and returns the status of the response. */
export async function getStatus({ http }: Instance, path: string): Promise<number> {
  const response = await fetch(http + path);
  await response.body?.cancel();
  return response.status;
}

/** Waits until an instance says that it is ready. */
export async function untilReady(instance: Instance): Promise<void> {
  await until(async () => await getStatus(instance, "/readyz") === 200, 20);
}

/** Waits until an instance says that it is not ready. */
export async function untilNotReady(instance: Instance): Promise<void> {
  await until(async () => await getStatus(instance, "/readyz") === 503, 20);
}
