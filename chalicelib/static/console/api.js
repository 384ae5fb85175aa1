// Requests to the API with the reader's token. What comes of one is a value, also a refusal or no answer at all: nothing is thrown.

const LOOK_AGAIN_MOST_MS = 30000;

// The token lives here and nowhere else: with the page it is gone.
let token = null;
let onRefusal = () => {};

/** Use this token from now on; `refused` is called when the API no longer takes it. */
export function useToken(text, refused) {
  token = text;
  onRefusal = refused;
}

/** What the token says of its bearer, for display only: every right is the API's to judge. */
export function claimsOf(text) {
  try {
    const payload = text.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(payload), (letter) => letter.charCodeAt(0));
    const { sub, roles } = JSON.parse(new TextDecoder().decode(bytes));
    return { sub: String(sub), roles: Array.isArray(roles) ? roles.map(String) : [] };
  } catch {
    return { sub: "unknown", roles: [] };
  }
}

/** What of a text can't stand in a token, in words; null where all can. With letters that no header can carry, a request would not even be sent. */
export function strangeIn(text) {
  const letters = Array.from(text);
  const place = letters.findIndex((letter) => !/[ -~]/.test(letter));
  if (place < 0) return null;
  const code = letters[place].codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
  return `its letter ${place + 1} (U+${code}) can't stand in one`;
}

/** A new id, for a correlation or an idempotency key. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return "console-" + Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Send one request; the path is relative, so that it works below a stage's path. Answers
 * {ok, status, body, etag, correlationId, retryAfter, problem}; status 0 is no answer, and `problem` is null where `ok` or 304.
 */
export async function ask(method, path, { body, etag, key } = {}) {
  const correlationId = newId();
  const headers = { Authorization: `Bearer ${token}`, "X-Correlation-Id": correlationId };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (etag) headers["If-None-Match"] = etag;
  if (key) headers["Idempotency-Key"] = key;
  const sent = token;
  let response, text;
  try {
    const content = body === undefined ? undefined : JSON.stringify(body);
    response = await fetch(path, { method, headers, body: content, cache: "no-store", credentials: "omit" });
    text = await response.text();
  } catch {
    const detail = "The service can't be reached, or the connection was lost before it answered.";
    return { ok: false, status: 0, body: null, correlationId, problem: { title: "No answer", detail, correlationId } };
  }
  const answer = {
    ok: response.ok,
    status: response.status,
    etag: response.headers.get("ETag"),
    correlationId,
    retryAfter: Number(response.headers.get("Retry-After")) || null,
    ...parsed(text),
    problem: null,
  };
  if (!response.ok && response.status !== 304) {
    answer.problem = problemOf(answer, response, correlationId);
    if (response.status === 401 && sent === token) onRefusal(answer.problem);
  }
  return answer;
}

export const get = (path, options) => ask("GET", path, options);

function parsed(text) {
  try {
    return { body: text ? JSON.parse(text) : null };
  } catch {
    return { body: null };
  }
}

/** The problem that a refusal is worded as, or one made of its status where something in between has answered. */
function problemOf(answer, response, correlationId) {
  const given = answer.body && typeof answer.body === "object" ? answer.body : {};
  return {
    title: given.title ?? `Answered ${response.status}`,
    detail: given.detail ?? response.statusText,
    status: response.status,
    errors: given.errors ?? [],
    correlationId: given.correlationId ?? response.headers.get("X-Correlation-Id") ?? correlationId,
  };
}

/**
 * Look at a path again and again, every `pace(body)` milliseconds, and tell what is seen: {body, problem, lost, at}. `lost` is the problem while no
 * good answer comes: the last body stays, and the next look comes later and later. While nobody looks at the page, nothing is asked.
 * Returns {again, stop}.
 */
export function watch(path, pace, tell) {
  let seen = { body: null, problem: null, lost: null, at: null };
  let etag = null, timer = 0, failures = 0, stopped = false, looking = false, wanted = false;

  async function look() {
    clearTimeout(timer);
    wanted = looking;
    if (looking || stopped || document.hidden) return;
    looking = true;
    const answer = await get(path, { etag });
    looking = false;
    if (stopped) return;
    const isLost = answer.status === 0 || answer.status === 429 || answer.status >= 500;
    failures = isLost ? failures + 1 : 0;
    if (isLost) seen = { ...seen, lost: answer.problem };
    else if (answer.problem) {
      etag = null;
      seen = { body: null, problem: answer.problem, lost: null, at: new Date() };
    } else {
      if (answer.status !== 304) etag = answer.etag;
      seen = { body: answer.status === 304 ? seen.body : answer.body, problem: null, lost: null, at: new Date() };
    }
    tell(seen);
    // Whoever asked for another look meanwhile may have changed something.
    const wait = wanted ? 0 : Math.min(pace(seen.body) * 2 ** failures, LOOK_AGAIN_MOST_MS);
    timer = setTimeout(look, Math.max(wait, (answer.retryAfter ?? 0) * 1000));
  }

  document.addEventListener("visibilitychange", look);
  look();
  return {
    again: look,
    stop() {
      stopped = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", look);
    },
  };
}
