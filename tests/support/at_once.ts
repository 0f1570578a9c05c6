/** How many steps run at a time. Each may have a Redis, two instances and many clients. */
const STEPS_AT_ONCE = 5;

/**
 * Defines a test whose steps run side by side, because they wait most of the time: for a lease that
 * expires, for a sweep, or for the end of an incident.
 *
 * @returns a function that adds a step, to be called as `Deno.test`
 */
export function testAtOnce(
  name: string,
): (name: string, fn: () => Promise<void>, options?: { readonly ignore: boolean }) => void {
  const steps: Deno.TestStepDefinition[] = [];
  Deno.test(name, async (t) => {
    const waiting = steps.values();
    await Promise.all(Array.from({ length: STEPS_AT_ONCE }, async () => {
      for (const step of waiting) await t.step(step);
    }));
  });
  // Deno does not know which of several steps has left something open.
  const unchecked = { sanitizeExit: false, sanitizeOps: false, sanitizeResources: false };
  return (name, fn, options) => void steps.push({ name, fn, ...unchecked, ...options });
}
