// The console: who is signed in, which page an address names, and what stands around all pages.

import { html, render, useEffect, useRef, useState } from "./preact-htm.js";
import { claimsOf, get, useToken } from "./api.js";
import { BoardPage } from "./board.js";
import { Dialogs } from "./actions.js";
import { LetterPage, LettersPage, SuspendedPage } from "./letters.js";
import { OrdersPage, SagasPage } from "./lists.js";
import { OrderPage } from "./order.js";
import { SagaPage } from "./saga.js";
import { SearchPage } from "./search.js";
import { TryPage } from "./tryit.js";
import { Problem, Shape } from "./ui.js";

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
const homeOf = (session) => (session.isAdmin ? "board" : "orders");

/** An address behind the #: {path: ["orders", id], query}. */
function addressOf(fragment) {
  const [path, query] = fragment.replace(/^#?\/?/, "").split("?");
  return { path: path.split("/").map(decoded), query: new URLSearchParams(query ?? "") };
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
    useToken(text, (problem) => {
      setRefusal({ ...problem, title: "The token is no longer taken: sign in again" });
      setSession(null);
    });
    setRefusal(null);
    setSession(null);
    const answer = await get("api/orders?limit=1");
    if (answer.ok) setSession(await sessionOf(text));
    else {
      useToken(null, () => {});
      setRefusal(answer.problem);
    }
    setBrought(null);
  }

  function signOut() {
    useToken(null, () => {});
    setRefusal(null);
    setSession(null);
  }

  if (brought) return html`<main class="sign-in"><p class="loading" role="status">Signing in …</p></main>`;
  if (!session) return html`<${SignIn} refusal=${refusal} signIn=${signIn} asked=${addressOf(fragment).path[0]} />`;
  return html`<${Shell} session=${session} signOut=${signOut} address=${addressOf(fragment)} />`;
}

/** Who has signed in, for display, and whether the service is one for development, which only admins are told. */
async function sessionOf(text) {
  const claims = claimsOf(text);
  const isAdmin = claims.roles.includes("admin");
  const board = isAdmin ? await get("api/board") : null;
  return { ...claims, isAdmin, inDevelopment: board?.body?.development === true };
}

function SignIn({ refusal, signIn, asked }) {
  const [text, setText] = useState("");
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    document.title = "Sign in · CampusG console";
  }, []);
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
          <textarea required rows="5" spellcheck="false" autocomplete="off" autocapitalize="off" aria-describedby="token-help"
            value=${text} onInput=${(event) => setText(event.target.value)}></textarea>
        </label>
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
  const page = session.inDevelopment || !PAGES[name]?.inDevelopment ? PAGES[name] : null;
  useEffect(() => {
    if (!address.path[0]) history.replaceState(null, "", `#/${home}`);
  });
  const isShown = (each) => each.name && (session.isAdmin || !each.forAdmins) && (session.inDevelopment || !each.inDevelopment);
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
    <main id="main" ref=${main}>${page ? page.draw(address) : html`<${NotThere} />`}</main>
    <${Dialogs} />`;
}

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
  <div class="notice failed"><${Shape} kind="failed" /><div><h1 tabindex="-1">There is no such page</h1><p>The address names none of the console's pages.</p></div></div>`;

render(html`<${Console} />`, document.getElementById("console"));
