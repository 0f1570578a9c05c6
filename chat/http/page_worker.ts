/**
 * Runs on a thread of its own, which `page.ts` starts and ends: makes the page.
 *
 * @module
 */
import { makePage } from "./make_page.ts";

(self as unknown as Worker).postMessage(await makePage());
