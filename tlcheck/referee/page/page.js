// The list of instances and their evidence. Everything on show is a text node; the state is the URL's fragment:
// #i12&benchmark=..&verdict=..&tool=..&ruling=..&contradicted=1&q=..&page=2 (page.py documents the data).
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { strings: S, shapes, instances, meanings } = data;
  const PER_PAGE = 100;
  const FILTERS = ["benchmark", "verdict", "tool", "ruling", "contradicted", "q"];
  const FACTS = ["real", "deployed", "tolerance", "official", "repaired"];
  const form = document.getElementById("filters");
  const body = document.querySelector("#list tbody");
  const status = document.getElementById("status");

  // Elements.

  function el(tag, attributes, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
    node.append(...children.filter((child) => child !== null));
    return node;
  }

  function meaning(kind, text) {
    return Object.hasOwn(meanings[kind], text) ? meanings[kind][text] : null;
  }

  function word(kind, text) {
    const known = meaning(kind, text);
    if (known === null) return el("span", { class: "name" }, text);
    return el("span", { class: `w ${kind[0]}-${text}`, title: known }, text);
  }

  /** A name, with places to break the line at. */
  function named(text) {
    const parts = text.length > 300 ? [text] : text.split(/(?<=[_./-])/);
    return el("span", { class: "name", title: text }, ...parts.flatMap((part, k) => (k ? [el("wbr"), part] : [part])));
  }

  /** C's %.3g */
  function threeDigits(x) {
    if (!Number.isFinite(x)) return String(x);
    const [digits, power] = x.toExponential(2).split("e");
    const exponent = Number(power);
    const trim = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);
    if (exponent >= -4 && exponent < 3) return trim(x.toFixed(2 - exponent));
    return `${trim(digits)}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
  }

  function real(x) {
    return el("span", { title: String(x) }, threeDigits(x));
  }

  /** A count, or a real number. */
  function number(x) {
    return Number.isInteger(x) && Math.abs(x) < 1e6 ? el("span", { title: String(x) }, String(x)) : real(x);
  }

  function decimal(text) {
    const x = text.trim() === "" ? NaN : Number(text);
    return el("span", { title: text, class: "name" }, Number.isFinite(x) ? threeDigits(x) : text);
  }

  function table(caption, columns, rows, kind) {
    const head = columns.map(([name, numeric]) => el("th", numeric ? { scope: "col", class: "n" } : { scope: "col" }, name));
    const lines = rows.map((cells) => el("tr", {}, ...cells.map((cell, k) =>
      el(k ? "td" : "th", { ...(k ? {} : { scope: "row" }), ...(columns[k][1] ? { class: "n" } : {}) }, cell))));
    const made = el("table", kind ? { class: kind } : {}, el("caption", {}, el("span", {}, caption)), el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...lines));
    return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, made);
  }

  // The data.

  function answer([tool, result, written, seconds, contradicted, witness]) {
    return { tool: S[tool], result: S[result], written: S[written], seconds, contradicted: contradicted === 1, witness: witness || null };
  }

  function instance(n) {
    const [benchmark, version, network, property, networkHash, propertyHash, verdict, code, reason, settledBy, answers, certificates] = instances[n];
    return {
      benchmark: S[benchmark], version: S[version], network: S[network], property: S[property], networkHash: S[networkHash],
      propertyHash: S[propertyHash], verdict: S[verdict], code: S[code], reason: S[reason], settledBy: settledBy.map((k) => S[k]),
      answers: answers.map(answer), certificates: certificates.map((c) => c.map((k) => (k === null ? null : S[k]))),
    };
  }

  function entries(fact) {
    const [shape, ...values] = fact;
    return shapes[shape].map((name, k) => [name, values[k]]);
  }

  let haystacks = null;
  function haystack(n) {
    haystacks = haystacks || [];
    if (haystacks[n] === undefined) {
      const [benchmark, version, network, property, networkHash, propertyHash, , code, reason] = instances[n];
      const parts = [benchmark, version, network, property, networkHash, propertyHash, code, reason].map((k) => S[k]);
      haystacks[n] = [`i${n}`, ...parts].join(" ").toLowerCase();
    }
    return haystacks[n];
  }

  function matches(n, state, terms) {
    const row = instances[n];
    if (state.benchmark && S[row[0]] !== state.benchmark) return false;
    if (state.verdict && S[row[6]] !== state.verdict) return false;
    const asked = state.tool || state.ruling || state.contradicted;
    const suits = (a) => (!state.tool || S[a[0]] === state.tool) && (!state.contradicted || a[4] === 1)
      && (!state.ruling || (a[5] && S[a[5][2]] === state.ruling));
    if (asked && !row[10].some(suits)) return false;
    return terms.every((term) => haystack(n).includes(term));
  }

  // The state, and the fragment that holds it.

  function read() {
    const given = new URLSearchParams(location.hash.slice(1));
    const state = { open: null, page: 0, lost: [] };
    for (const key of given.keys()) {
      const found = /^i(\d{1,9})$/.exec(key);
      if (!found) continue;
      if (Number(found[1]) < instances.length) state.open = Number(found[1]);
      else state.lost.push(`there is no instance ${key}`);
    }
    for (const name of FILTERS) {
      const value = given.get(name) || "";
      const field = form.elements[name];
      const possible = field.tagName !== "SELECT" || [...field.options].some((option) => option.value === value);
      if (!possible) state.lost.push(`there is no ${name} ${value.slice(0, 80)}`);
      state[name] = possible ? value : "";
    }
    state.page = Math.max(0, (Number.parseInt(given.get("page") || "1", 10) || 1) - 1);
    return state;
  }

  function fragment(state, changes) {
    const next = { ...state, ...changes };
    const given = new URLSearchParams();
    for (const name of FILTERS) if (next[name]) given.set(name, next[name]);
    if (next.page > 0 && next.open === null) given.set("page", String(next.page + 1));
    const parts = [next.open === null ? "" : `i${next.open}`, given.toString()].filter(Boolean);
    return `#${parts.join("&") || "all"}`; // no element is called "all": nothing scrolls
  }

  // The list.

  function answersCell(n) {
    const groups = new Map();
    for (const raw of instances[n][10]) {
      const a = answer(raw);
      if (!groups.has(a.result)) groups.set(a.result, []);
      groups.get(a.result).push(a);
    }
    const order = Object.keys(meanings.result).filter((result) => groups.has(result));
    const others = [];
    const lines = [];
    for (const result of order) {
      const said = groups.get(result);
      if (result !== "sat" && result !== "unsat") {
        others.push(`${result} ${said.length}`);
        continue;
      }
      const line = el("span", {}, el("b", { title: meaning("result", result) }, result), " ");
      said.forEach((a, k) => {
        line.append(k ? ", " : "", el("span", { class: "tool", title: a.tool }, a.tool.slice(0, 60)));
        if (a.witness) line.append(" ", word("ruling", S[a.witness[2]]));
        if (a.contradicted) line.append(" ", el("span", { class: "contradicted" }, "contradicted"));
      });
      lines.push(line);
    }
    if (others.length) lines.push(el("span", { class: "muted" }, others.join(", ")));
    return lines;
  }

  function inFolder(path) {
    return path.replace(/^(.*\/)?(onnx|vnnlib)\//, "") || path;
  }

  function row(n) {
    const [benchmark, version, network, property, , , verdict] = instances[n];
    const link = el("a", { "aria-expanded": "false", "aria-label": `i${n}: ${inFolder(S[network]).slice(0, 80)}, ${inFolder(S[property]).slice(0, 80)}` }, `i${n}`);
    const cells = [
      el("th", { scope: "row", role: "rowheader" }, link),
      el("td", { role: "cell" }, word("verdict", S[verdict])),
      el("td", { role: "cell" }, named([S[benchmark], S[version]].filter(Boolean).join(" "))),
      el("td", { role: "cell" }, named(inFolder(S[network]))),
      el("td", { role: "cell" }, named(inFolder(S[property]))),
      el("td", { role: "cell", class: "answers" }, ...answersCell(n)),
    ];
    const line = el("tr", { class: "row", role: "row" }, ...cells);
    line.addEventListener("click", (event) => {
      if (!event.target.closest("a") && String(getSelection()) === "") location.hash = link.getAttribute("href");
    });
    return { n, line, link };
  }

  // One instance's evidence.

  function value(x) {
    if (typeof x === "boolean") return x ? "yes" : "no";
    if (typeof x === "number") return number(x);
    if (x !== null && typeof x === "object") return Object.entries(x).map(([k, v]) => `${k} ${typeof v === "object" ? JSON.stringify(v) : v}`).join(", ");
    return String(x);
  }

  function holds(x) {
    return x === undefined ? el("span", { class: "muted" }, "not decided") : el("span", { class: x === true ? "yes" : x === false ? "no" : "" }, value(x));
  }

  function rest(pairs) {
    const spans = pairs.map(([name, x]) => {
      const known = meaning("detail", name);
      return el("span", known === null ? {} : { title: known }, `${name.replaceAll("_", " ")} `, el("b", {}, value(x)));
    });
    return el("span", {}, ...spans);
  }

  function facts(witness) {
    const rows = FACTS.map((name, k) => {
      const found = entries(witness[7 + k]);
      const get = (key) => (found.find(([other]) => other === key) || [])[1];
      const others = found.filter(([key]) => key !== "holds" && key !== "margin");
      const margin = get("margin");
      const empty = found.length === 0;
      return [
        el("span", { title: meaning("fact", name) }, name), empty ? el("span", { class: "muted" }, "not asked") : holds(get("holds")),
        margin === undefined ? "" : typeof margin === "number" ? real(margin) : value(margin), rest(others),
      ];
    });
    const produced = entries(witness[12]);
    rows.push([el("span", { title: meaning("fact", "produced") }, "produced"), "", "", rest(produced)]);
    return table("facts", [["fact"], ["holds"], ["margin", true], ["what it rests on"]], rows, "facts");
  }

  function pairs(...list) {
    return el("dl", {}, ...list.filter(([, shown]) => shown !== "").flatMap(([name, shown]) => [el("dt", {}, name), el("dd", {}, shown)]));
  }

  function witnessBlock(a) {
    const [file, hash, ruling, settled, code, reason, format] = a.witness;
    return el("section", {},
      el("h4", {}, "Witness of ", named(a.tool), ": ", word("ruling", S[ruling])),
      el("p", {}, `${S[reason]} `, el("span", { class: "muted" }, `[${S[code]}]`)),
      facts(a.witness),
      pairs(["file", el("code", {}, S[file])], ["SHA-256", el("code", {}, S[hash])], ["format", S[format]], ["settles", settled === null ? "nothing" : word("verdict", S[settled])]));
  }

  function standing(a, verdict) {
    if (a.contradicted) return el("span", { class: "contradicted" }, "contradicted");
    return (verdict === "sat" || verdict === "unsat") && a.result === verdict ? el("span", { class: "confirmed" }, "confirmed") : "";
  }

  function evidence(n) {
    const it = instance(n);
    const said = it.answers.map((a) => [
      named(a.tool), el("span", { title: meaning("result", a.result) || "" }, a.result),
      a.witness ? word("ruling", S[a.witness[2]]) : a.result === "sat" ? (data.complete ? "no file" : "no file, or not judged yet") : "", standing(a, it.verdict),
      a.seconds === null ? "" : number(a.seconds), a.written === a.result ? "" : named(a.written),
    ]);
    const columns = [["tool"], ["answer"], ["witness"], ["certified fact"], ["seconds", true], ["written as"]];
    if (it.answers.every((a) => a.written === a.result)) for (const cells of [columns, ...said]) cells.pop();
    const proofs = it.certificates.map(([file, format, kind, verdict, code, reason, margin]) => [
      el("code", {}, file), format, kind, verdict, margin === null ? "" : decimal(margin), `${reason} [${code}]`]);
    return el("td", { colspan: "6", role: "cell", class: "evidence" },
      el("h3", {}, `i${n}: `, word("verdict", it.verdict)),
      el("p", {}, `${it.reason} `, el("span", { class: "muted" }, `[${it.code}]`)),
      pairs(["benchmark", it.benchmark], ["VNN-LIB version", it.version], ["network", el("code", {}, it.network)], ["SHA-256", el("code", {}, it.networkHash || "no such file")],
        ["property", el("code", {}, it.property)], ["SHA-256", el("code", {}, it.propertyHash || "no such file")],
        ["settled by", it.settledBy.length ? el("span", {}, ...it.settledBy.map((file) => el("code", {}, file, el("br")))) : ""]),
      table("answers", columns, said),
      ...it.answers.filter((a) => a.witness).map(witnessBlock),
      proofs.length ? table("certificates", [["file"], ["format"], ["claim"], ["verdict"], ["margin", true], ["reason"]], proofs) : el("p", { class: "muted" }, "No certificate about this network and property."));
  }

  // Showing a state.

  let state = null;
  let shown = { key: null, rows: new Map(), list: [] };

  function select(next) {
    const terms = next.q.toLowerCase().split(/\s+/).filter(Boolean);
    const list = [];
    for (let n = 0; n < instances.length; n += 1) if (matches(n, next, terms)) list.push(n);
    return list;
  }

  function pages(count) {
    const total = Math.max(1, Math.ceil(count / PER_PAGE));
    for (const place of document.querySelectorAll(".pages")) {
      const to = (page, text) => (page >= 0 && page < total && page !== state.page
        ? el("a", { href: fragment(state, { open: null, page }) }, text) : el("span", { class: "muted" }, text));
      place.replaceChildren(to(0, "first"), to(state.page - 1, "previous"), el("span", {}, `page ${state.page + 1} of ${total}`), to(state.page + 1, "next"), to(total - 1, "last"));
    }
  }

  function list() {
    const key = FILTERS.map((name) => state[name]).join("\u0000");
    let found = key === shown.filters ? shown.found : select(state);
    const matching = found.length;
    shown.filters = key;
    shown.found = found;
    if (state.open !== null) {
      if (!found.includes(state.open)) found = [state.open, ...found];
      state.page = Math.floor(found.indexOf(state.open) / PER_PAGE);
    }
    state.page = Math.min(state.page, Math.max(0, Math.ceil(found.length / PER_PAGE) - 1));
    const here = found.slice(state.page * PER_PAGE, (state.page + 1) * PER_PAGE);
    const besides = found.length > matching ? `; i${state.open} is shown besides` : "";
    status.textContent = [`${matching.toLocaleString("en")} of ${instances.length.toLocaleString("en")} instances${besides}`, ...state.lost].join("; ");
    if (here.join() !== shown.key) {
      const rows = here.map(row);
      body.replaceChildren(...rows.map(({ line }) => line));
      shown.key = here.join();
      shown.rows = new Map(rows.map((entry) => [entry.n, entry]));
    }
    pages(found.length);
  }

  function open() {
    for (const old of body.querySelectorAll("tr.evidence")) old.remove();
    for (const [n, { line, link }] of shown.rows) {
      const opened = n === state.open;
      line.classList.toggle("open", opened);
      link.setAttribute("aria-expanded", String(opened));
      link.setAttribute("href", fragment(state, { open: opened ? null : n }));
      if (opened) line.after(el("tr", { class: "evidence", role: "row" }, evidence(n)));
    }
  }

  function fill() {
    for (const name of FILTERS) {
      const field = form.elements[name];
      if (field.type === "checkbox") field.checked = state[name] !== "";
      else if (field.value !== state[name]) field.value = state[name];
    }
  }

  function show(next, scroll) {
    const before = state;
    state = next;
    const entry = shown.rows.get(next.open === null && before ? before.open : next.open);
    const top = entry ? entry.line.getBoundingClientRect().top : null;
    list();
    open();
    fill();
    if (!scroll) return;
    const now = shown.rows.get(state.open);
    if (entry && entry.line.isConnected && top >= 0 && top < innerHeight) scrollBy(0, entry.line.getBoundingClientRect().top - top);
    else if (now) now.line.scrollIntoView({ block: "start" });
    else if (location.hash.length > 1) document.getElementById("instances").scrollIntoView();
  }

  function edited() {
    const changes = { open: null, page: 0, lost: [] };
    for (const name of FILTERS) {
      const field = form.elements[name];
      changes[name] = field.type === "checkbox" ? (field.checked ? "1" : "") : field.value;
    }
    history.replaceState(null, "", fragment(changes, {}));
    show(changes, false);
  }

  document.querySelector("nav").addEventListener("click", (event) => {
    const target = event.target.closest("a") && document.getElementById(event.target.hash.slice(1));
    if (!target) return;
    event.preventDefault(); // the fragment is the state of the list
    target.scrollIntoView();
    target.setAttribute("tabindex", "-1");
    target.focus({ preventScroll: true });
  });
  form.addEventListener("input", edited);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(edited));
  addEventListener("hashchange", () => show(read(), true));
  document.getElementById("browse").hidden = false;
  show(read(), true);
})();
