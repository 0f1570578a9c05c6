/** Stand-in for `@std/http/negotiation`: the best of some media types or encodings for a client. */

interface Preference {
  /** The media type or the encoding, in lower case; it may have `*` in it. */
  readonly range: string;
  readonly quality: number;
}

/** How well an offer fits a range: 0 if it does not. */
type Fit = (range: string, offer: string) => number;

/**
 * Finds the media type that a request prefers.
 *
 * @param types in the server's order, which decides where the request has no preference
 * @returns `undefined` if it accepts none of them
 */
export function accepts(
  request: Pick<Request, "headers">,
  ...types: string[]
): string | undefined {
  const accept = request.headers.get("accept");
  return accept ? prefer(parse(accept), types, fitType) : types[0];
}

/** Finds the encoding that a request prefers; give `identity` as one of them. */
export function acceptsEncodings(
  request: Pick<Request, "headers">,
  ...encodings: string[]
): string | undefined {
  const accept = request.headers.get("accept-encoding");
  if (!accept) return encodings[0];
  const preferences = parse(accept);
  if (!preferences.some(({ range }) => fitEncoding(range, "identity") > 0)) {
    const quality = Math.min(1, ...preferences.map(({ quality }) => quality || 1));
    preferences.push({ range: "identity", quality });
  }
  return prefer(preferences, encodings, fitEncoding);
}

/** Parses a list such as `text/html, *\/*;q=0.8`. */
function parse(header: string): Preference[] {
  return header.split(",").map((part) => {
    const [range, ...parameters] = part.split(";").map((text) => text.trim());
    const quality = parameters.find((parameter) => /^q=./i.test(parameter))?.slice(2);
    return { range: range.toLowerCase(), quality: quality === undefined ? 1 : Number(quality) };
  });
}

/** The most specific range that fits an offer gives its quality. */
function prefer(
  preferences: readonly Preference[],
  offers: readonly string[],
  fit: Fit,
): string | undefined {
  return offers
    .map((offer, index) => {
      const fitting = preferences
        .map(({ range, quality }, order) => ({ quality, order, fit: fit(range, offer) }))
        .filter((one) => one.fit > 0)
        .sort((a, b) => b.fit - a.fit || b.quality - a.quality || b.order - a.order);
      return { offer, index, best: fitting[0] };
    })
    .filter(({ best }) => best?.quality > 0)
    .sort(({ best: a, index: i }, { best: b, index: j }) =>
      b.quality - a.quality || b.fit - a.fit || a.order - b.order || i - j
    )[0]?.offer;
}

function fitType(range: string, offer: string): number {
  const [type] = offer.split("/");
  return range === offer ? 3 : range === `${type}/*` ? 2 : range === "*/*" ? 1 : 0;
}

function fitEncoding(range: string, offer: string): number {
  return range === offer ? 2 : range === "*" ? 1 : 0;
}
