// The console: who is signed in, which page an address names, and what stands around all pages.

import { Component, html, render, useEffect, useRef, useState } from "./preact-htm.js";
import { Dialogs } from "./actions.js";
import { claimsOf, get, strangeIn, useToken } from "./api.js";
import { BoardPage } from "./board.js";
import { LetterPage, LettersPage, SuspendedPage } from "./letters.js";
import { OrdersPage, SagasPage } from "./lists.js";
import { OrderPage } from "./order.js";
import { SagaPage } from "./saga.js";
import { SearchPage } from "./search.js";
import { TryPage } from "./tryit.js";
import { Empty, Heading, Problem, Shape, useLive } from "./ui.js";

// By an address's first word: its name in the navigation (none: not there), who is led there, and what is drawn. What may be seen and done
// is the API's to judge.
const PAGES = {
  board: { name: "Board", forAdmins: true, draw: () => html`<${BoardPage} />` },
  orders: { name: "Orders", draw: ({ path, query }) => (path[1] ? html`<${OrderPage} key=${path[1]} id=${path[1]} />` : html`<${OrdersPage} query=${query} />`) },
  sagas: { name: "Sagas", forAdmins: true, draw: ({ path, query }) => (path[1] ? html`<${SagaPage} key=${path[1]} id=${path[1]} />` : html`<${SagasPage} query=${query} />`) },
  suspended: { name: "Suspended", forAdmins: true, draw: () => html`<${SuspendedPage} />` },
  "dead-letters": { name: "Dead letters", forAdmins: true, draw: ({ path }) => (path[1] ? html`<${LetterPage} key=${path[1]} id=${path[1]} />` : html`<${LettersPage} />`) },
  search: { draw: ({ query }) => html`<${SearchPage} query=${query} />` },
  try: { name: "Try it", forAdmins: true, inDevelopment: true, draw: ({ path }) => html`<${TryPage} id=${path[1]} />` },
};
const LOOK_MS = 5000;
const homeOf = (session) => (session.isAdmin ? "board" : "orders");

/** An address behind the #: {text, path: ["orders", id], query}. */
function addressOf(fragment) {
  const text = fragment.replace(/^#?\/?/, "");
  const [path, query] = text.split("?");
  return { text, path: path.split("/").map(decoded), query: new URLSearchParams(query ?? "") };
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The token that an address brings, taken out of it before anything else; null where it brings none. */
function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1));
  const token = given.get("token");
  if (!location.hash.startsWith("#token=")) return null;
  history.replaceState(null, "", `#${given.get("go") ?? "/"}`);
  return token;
}

function Console() {
  const [session, setSession] = useState(null);
  const [refusal, setRefusal] = useState(null);
  const [strange, setStrange] = useState(null);
  const [brought, setBrought] = useState(takeToken);
  const [fragment, setFragment] = useState(location.hash);
  useEffect(() => {
    const follow = () => {
      const token = takeToken();
      if (token) setBrought(token);
      setFragment(location.hash);
    };
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  useEffect(() => {
    if (brought) signIn(brought);
  }, [brought]);

  /** Whether the API takes the token is asked of the API. */
  async function signIn(text) {
    signOut();
    const found = strangeIn(text);
    setStrange(found);
    if (!found) {
      useToken(text, (problem) => {
        setRefusal({ ...problem, title: "The token is no longer taken: sign in again" });
        setSession(null);
      });
      const answer = await get("api/orders?limit=1");
      if (answer.ok) setSession(await sessionOf(text));
      else {
        useToken(null, () => {});
        setRefusal(answer.problem);
      }
    }
    setBrought(null);
  }

  function signOut() {
    useToken(null, () => {});
    setRefusal(null);
    setSession(null);
  }

  if (brought) return html`<main class="sign-in"><p class="loading" role="status">Signing in …</p></main>`;
  if (!session) return html`<${SignIn} refusal=${refusal} strange=${strange} signIn=${signIn} asked=${addressOf(fragment).path[0]} />`;
  return html`<${Shell} session=${session} signOut=${signOut} address=${addressOf(fragment)} />`;
}

/** Who has signed in, for display, and whether the service is one for development, which only admins are told; undefined where it did not answer. */
async function sessionOf(text) {
  const claims = claimsOf(text);
  const isAdmin = claims.roles.includes("admin");
  const board = isAdmin ? await get("api/board") : null;
  return { ...claims, isAdmin, inDevelopment: isAdmin ? board.body?.development : false };
}

function SignIn({ refusal, strange, signIn, asked }) {
  const field = useRef(null);
  const [text, setText] = useState("");
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    document.title = "Sign in · CampusG console";
  }, []);
  useEffect(() => {
    if (strange) field.current.focus();
  }, [strange]);
  async function submit(event) {
    event.preventDefault();
    setBusy(true);
    await signIn(text.trim());
    setBusy(false);
  }
  return html`
    <main class="sign-in">
      <form onSubmit=${submit}>
        <h1><${Logo} />CampusG console</h1>
        <p>${asked ? "Sign in to see the page that this address leads to." : "See every saga, know why, act safely."}</p>
        ${refusal && html`<${Problem} of=${refusal} />`}
        <label>Token
          <textarea ref=${field} required rows="5" spellcheck="false" autocomplete="off" autocapitalize="off"
            aria-invalid=${strange ? "true" : null} aria-describedby=${strange ? "token-wrong token-help" : "token-help"}
            value=${text} onInput=${(event) => setText(event.target.value)}></textarea>
        </label>
        ${strange && html`<p id="token-wrong" class="small failed" role="alert"><${Shape} kind="failed" /> This is no token: ${strange}.</p>`}
        <p id="token-help" class="small">
          A bearer token of the API. In development, <code>make -s token ROLE=admin SUB=ops_1</code> prints one, and <code>make run</code> a link
          that brings one. It is kept in this page's memory only: when the page is closed or loaded again, it is gone.
        </p>
        <div class="buttons"><button class="primary" disabled=${busy || !text.trim()}>${busy ? "Signing in …" : "Sign in"}</button></div>
      </form>
    </main>`;
}

const Logo = () => html`
  <svg class="logo" viewBox="0 0 16 16" width="24" height="24" aria-hidden="true">
    <rect width="16" height="16" rx="4" class="plate" /><path d="M4 8.5l2.7 2.7L12 5" class="tick" />
  </svg>`;

function Shell({ session, signOut, address }) {
  const main = useRef(null);
  const home = homeOf(session);
  const name = address.path[0] || home;
  const inDevelopment = useDevelopment(session);
  const page = PAGES[name]?.inDevelopment && !inDevelopment ? null : PAGES[name];
  const isUnknown = PAGES[name]?.inDevelopment && inDevelopment === undefined;
  useEffect(() => {
    if (!address.path[0]) history.replaceState(null, "", `#/${home}`);
  });
  const isShown = (each) => each.name && (session.isAdmin || !each.forAdmins) && (inDevelopment || !each.inDevelopment);
  function skip(event) {
    event.preventDefault();
    main.current.querySelector("h1").focus();
  }
  return html`
    <a class="skip" href="#main" onClick=${skip}>Skip to the page</a>
    <header>
      <a class="brand" href="#/${home}"><${Logo} />CampusG</a>
      <nav aria-label="Pages">
        ${Object.entries(PAGES).filter(([, each]) => isShown(each)).map(([key, each]) => html`
          <a key=${key} href="#/${key}" aria-current=${key === name ? "page" : null}>${each.name}</a>`)}
      </nav>
      <${Search} text=${name === "search" ? address.query.get("q") ?? "" : ""} />
      <div class="who">
        <span>${session.sub} <span class="small">${session.roles.join(", ")}</span></span>
        <button type="button" onClick=${signOut}>Sign out</button>
      </div>
    </header>
    <main id="main" ref=${main}>
      <${Guard} at=${address.text}>
        ${page ? page.draw(address) : isUnknown ? html`<p class="loading" role="status">Loading …</p>` : html`<${NotThere} key=${address.text} />`}
        <${Dialogs} key=${address.text} />
      <//>
    </main>`;
}

/** Whether the service is one for development; where the board did not answer at the sign-in, it is asked until it does. */
function useDevelopment({ inDevelopment }) {
  const [known, setKnown] = useState(inDevelopment);
  const { body } = useLive(known === undefined ? "api/board" : null, LOOK_MS);
  useEffect(() => {
    if (body) setKnown(body.development);
  }, [body]);
  return known;
}

/** Draws what is in it; where that fails, what went wrong, until another address is followed. */
class Guard extends Component {
  static getDerivedStateFromProps({ at }, { failedAt }) {
    return at === failedAt ? null : { failedAt: null };
  }

  componentDidCatch(error) {
    console.error(error);
    this.setState({ error, failedAt: this.props.at });
  }

  render({ at, children }, { error, failedAt }) {
    return failedAt === at ? html`<${Undrawn} key=${at} error=${error} />` : children;
  }
}

const Undrawn = ({ error }) => html`
  <${Heading} title="This page can't be drawn" />
  <div class="notice failed" role="alert">
    <${Shape} kind="failed" />
    <div>
      <p>The console has a fault: <code>${String(error)}</code></p>
      <p class="small">The other pages still work. Where it went wrong stands in the browser's own console, for those who mend it.</p>
    </div>
  </div>`;

function Search({ text }) {
  const input = useRef(null);
  function submit(event) {
    event.preventDefault();
    location.hash = `/search?${new URLSearchParams({ q: input.current.value.trim() })}`;
  }
  return html`
    <form class="search" role="search" onSubmit=${submit}>
      <input ref=${input} type="search" aria-label="Search by an id" placeholder="Id of an order, saga, person …" spellcheck="false" key=${text} defaultValue=${text} />
      <button>Search</button>
    </form>`;
}

const NotThere = () => html`
  <${Heading} title="There is no such page" />
  <${Empty}>The address names none of the console's pages, or none that you may see.<//>`;

render(html`<${Console} />`, document.getElementById("console"));
