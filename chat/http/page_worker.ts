/**
 * Runs on a thread of its own, which `page.ts` starts and ends: makes the page.
 *
 * @module
 */
import { makePage } from "./make_page.ts";
import { PAGE_FILES } from "./page_files.ts";

(self as unknown as Worker).postMessage(await makePage(PAGE_FILES));
