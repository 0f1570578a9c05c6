/**
 * The files of the page, which are served to browsers. Nothing else of `web/` is.
 *
 * @module
 */
import address from "../../web/address.ts" with { type: "text" };
import attention from "../../web/attention.ts" with { type: "text" };
import composer from "../../web/composer.ts" with { type: "text" };
import conversation from "../../web/conversation.ts" with { type: "text" };
import dom from "../../web/dom.ts" with { type: "text" };
import icon from "../../web/icon.svg" with { type: "text" };
import index from "../../web/index.html" with { type: "text" };
import join from "../../web/join.ts" with { type: "text" };
import loadAgain from "../../web/load_again.ts" with { type: "text" };
import main from "../../web/main.ts" with { type: "text" };
import manifest from "../../web/manifest.webmanifest" with { type: "text" };
import messageView from "../../web/message_view.ts" with { type: "text" };
import moderation from "../../web/moderation.ts" with { type: "text" };
import overlays from "../../web/overlays.ts" with { type: "text" };
import people from "../../web/people.ts" with { type: "text" };
import rooms from "../../web/rooms.ts" with { type: "text" };
import serviceWorker from "../../web/service_worker.ts" with { type: "text" };
import settings from "../../web/settings.ts" with { type: "text" };
import stateLine from "../../web/state_line.ts" with { type: "text" };
import style from "../../web/style.css" with { type: "text" };
import tabs from "../../web/tabs.ts" with { type: "text" };
import texts from "../../web/texts.ts" with { type: "text" };
import languageDe from "../../web/texts/de.ts" with { type: "text" };
import languageEn from "../../web/texts/en.ts" with { type: "text" };
import timeline from "../../web/timeline.ts" with { type: "text" };

/** The sources of the page by their paths in `web/`. */
export const PAGE_FILES: Readonly<Record<string, string>> = {
  "address.ts": address,
  "attention.ts": attention,
  "composer.ts": composer,
  "conversation.ts": conversation,
  "dom.ts": dom,
  "icon.svg": icon,
  "index.html": index,
  "join.ts": join,
  "load_again.ts": loadAgain,
  "main.ts": main,
  "manifest.webmanifest": manifest,
  "message_view.ts": messageView,
  "moderation.ts": moderation,
  "overlays.ts": overlays,
  "people.ts": people,
  "rooms.ts": rooms,
  "service_worker.ts": serviceWorker,
  "settings.ts": settings,
  "state_line.ts": stateLine,
  "style.css": style,
  "tabs.ts": tabs,
  "texts.ts": texts,
  "texts/de.ts": languageDe,
  "texts/en.ts": languageEn,
  "timeline.ts": timeline,
};
